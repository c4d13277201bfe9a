/** Real worker processes, and how they end. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Database, eventually, PATIENCE } from "./database.js";

const REFERENCE = join(import.meta.dirname, "..", "..", "lib", "main.js");
const PROGRAMS = join(import.meta.dirname, "..", "programs");
// Windows has no signals that a process could send to another and that would be heard there.
const noSignals = process.platform === "win32" && "Windows has no such signals";

let database: Database;
const children: ChildProcess[] = [];

before(async () => {
  database = await Database.create();
});

after(async () => {
  for (const child of children) {
    child.kill("SIGKILL");
  }
  await database.drop();
});

class Program {
  readonly child: ChildProcess;
  readonly #lines: string[] = [];
  #errors = "";
  readonly #ended: Promise<unknown>;

  constructor(script: string, environment: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [script], {
      env: {
        ...process.env,
        DATABASE_URL: database.url,
        RUST_LOG: "warn",
        TYPESCRIPT_WORKER_PORT: "0",
        TASKER_POLL_INTERVAL_MS: "20",
        ...environment,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.push(this.child);
    this.#ended = once(this.child, "close");
    const { stdout, stderr } = this.child;
    assert.ok(stdout && stderr);
    createInterface({ input: stdout }).on("line", (line) => this.#lines.push(line));
    stderr.setEncoding("utf8").on("data", (text) => {
      this.#errors += text;
    });
  }

  /** Waits for a line of its output. */
  async line(pattern: RegExp): Promise<string> {
    let found: string | undefined;
    await eventually(`${pattern} in the output`, () => {
      assert.equal(this.child.exitCode, null, this.#errors);
      found = this.#lines.find((line) => pattern.test(line));
      return found !== undefined;
    });
    return found ?? "";
  }

  /** The URL that it announces as the last word of its first line. */
  async url(): Promise<string> {
    return (await this.line(/listening on/)).split(" ").at(-1) ?? "";
  }

  async healthy(): Promise<Record<string, unknown>> {
    const url = await this.url();
    let body: Record<string, unknown> = {};
    await eventually("it is healthy", async () => {
      const answer = await fetch(`${url}/health`);
      body = (await answer.json()) as Record<string, unknown>;
      return answer.status === 200;
    });
    return body;
  }

  /** Its exit code, or the signal that ended it; what it said on stderr; how long that took. */
  async end(): Promise<{ code: number | string | null; errors: string; milliseconds: number }> {
    const start = performance.now();
    const late = new AbortController();
    const deadline = setTimeout(PATIENCE, "late", { signal: late.signal });
    deadline.catch(() => undefined);
    if ((await Promise.race([this.#ended, deadline])) === "late") {
      this.child.kill("SIGKILL");
      throw new Error(`it does not end; it said: ${this.#errors}`);
    }
    late.abort();
    const { exitCode, signalCode } = this.child;
    return {
      code: exitCode ?? signalCode,
      errors: this.#errors,
      milliseconds: performance.now() - start,
    };
  }
}

test("health is served and tells its name", async () => {
  const program = new Program(REFERENCE);
  const { service, status } = await program.healthy();
  assert.deepEqual([service, status], ["tasker-worker-typescript", "healthy"]);
  program.child.kill("SIGKILL");
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} is a graceful end`, { skip: noSignals }, async () => {
    const program = new Program(REFERENCE);
    await program.healthy();
    program.child.kill(signal);
    const { code, errors } = await program.end();
    assert.deepEqual([code, errors], [0, ""]);
  });
}

test("SIGTERM lets the running step finish", { skip: noSignals }, async () => {
  const program = new Program(REFERENCE);
  await program.healthy();
  const id = await database.send("typescript", "sleep", { sleep_ms: 700 });
  await eventually("the step is at work", () => database.isTaken("typescript", id));
  program.child.kill("SIGTERM");
  assert.equal((await program.end()).code, 0);
  const [result] = await database.results(id);
  assert.deepEqual(result?.outcome === "success" && result.result, { slept_ms: 700 });
});

for (const [handler, what] of [
  ["never", "a handler that never settles"],
  ["blocks", "a handler that blocks the event loop for ever"],
] as const) {
  test(`SIGTERM cuts off ${what}`, { skip: noSignals }, async () => {
    const namespace = `cut_off_${handler}`;
    const program = new Program(join(PROGRAMS, "odd.js"), {
      NAMESPACE: namespace,
      TASKER_SHUTDOWN_GRACE_SECS: "1",
    });
    await program.healthy();
    const id = await database.send(namespace, handler);
    await program.line(new RegExp(`^${handler} begins`));
    program.child.kill("SIGTERM");
    const { code, errors, milliseconds } = await program.end();
    assert.equal(code, 0, errors);
    assert.ok(milliseconds >= 900 && milliseconds < 10_000, `${milliseconds} ms`);
    assert.match(errors, /steps were cut off/);
    assert.equal(errors.includes("blocks the event loop"), handler === "blocks");
    // It was not answered, so it comes back.
    assert.deepEqual(await database.results(id), []);
    assert.ok(await database.isTaken(namespace, id));
  });
}

test("a taken port is one clear line", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address);
  const program = new Program(REFERENCE, { TYPESCRIPT_WORKER_PORT: String(address.port) });
  const { code, errors } = await program.end();
  server.close();
  assert.equal(code, 1);
  assert.match(
    errors,
    new RegExp(`^error: .*${address.port} is in use\nhint: .*TYPESCRIPT_WORKER_PORT.*\n$`),
  );
});

test("a URL that is none ends the start and hides the password", async () => {
  const program = new Program(REFERENCE, { DATABASE_URL: "mysql://app:hunter2@db/app" });
  const { code, errors } = await program.end();
  assert.equal(code, 2);
  assert.match(errors, /^error: DATABASE_URL .*\n$/);
  assert.ok(!errors.includes("hunter2"));
});

test("a signal while it still waits for its database ends it", { skip: noSignals }, async () => {
  const program = new Program(REFERENCE, {
    DATABASE_URL: "postgres://nobody@127.0.0.1:1/none",
    TASKER_STARTUP_TIMEOUT_SECS: "60",
  });
  await program.url();
  program.child.kill("SIGTERM");
  const { code, milliseconds } = await program.end();
  assert.equal(code, 0);
  assert.ok(milliseconds < 10_000, `${milliseconds} ms`);
});

test("a stopped service keeps no process alive, though a handler never settled", async () => {
  await database.send("start_and_stop", "never");
  const program = new Program(join(PROGRAMS, "start_and_stop.js"), {
    TASKER_SHUTDOWN_GRACE_SECS: "0",
  });
  await program.line(/^begun$/);
  const { code, errors } = await program.end();
  assert.equal(code, 0, errors);
});

test("a service that nobody stops is a server: its process stays", {
  skip: noSignals,
}, async () => {
  const program = new Program(join(PROGRAMS, "forgets_to_stop.js"));
  await program.healthy();
  await setTimeout(500);
  assert.equal(program.child.exitCode, null);
  program.child.kill("SIGTERM");
  assert.equal((await program.end()).code, "SIGTERM");
});

test("process.exit ends at once, whatever runs", async () => {
  const program = new Program(join(PROGRAMS, "odd.js"), { NAMESPACE: "exits" });
  await program.healthy();
  await database.send("exits", "never");
  await program.line(/^never begins/);
  await database.send("exits", "exits");
  const { code, milliseconds } = await program.end();
  assert.equal(code, 7);
  assert.ok(milliseconds < 5_000, `${milliseconds} ms`);
});

test("a Node worker thread can have a service, and end without stopping it", async () => {
  await database.send("in_a_thread", "never");
  const program = new Program(join(PROGRAMS, "in_a_thread.js"), {
    TASKER_SHUTDOWN_GRACE_SECS: "0",
    TYPESCRIPT_WORKER_PORT: "not the thread's",
  });
  const { code, errors } = await program.end();
  assert.equal(code, 0, errors);
});
