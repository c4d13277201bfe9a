/** Steps that run in this process, from the queue to their result. */

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type Json, PermanentError, type Step, Worker } from "../../lib/index.js";
import type { Service } from "../../lib/worker.js";
import { Database, eventually } from "./database.js";

const CONCURRENCY = 8;

let database: Database;
let service: Service | undefined;

before(async () => {
  database = await Database.create();
  Object.assign(process.env, {
    DATABASE_URL: database.url,
    RUST_LOG: "error",
    TYPESCRIPT_WORKER_PORT: "0",
    TASKER_CONCURRENCY: String(CONCURRENCY),
    TASKER_POLL_INTERVAL_MS: "20",
  });
});

afterEach(async () => {
  await service?.stop();
});

after(async () => {
  await database.drop();
});

async function started(worker: Worker): Promise<Service> {
  service = await worker.start();
  return service;
}

test("plain and async handlers, and what they return", async () => {
  const worker = new Worker("returns")
    .handler("plain", (step) => ({ got: step.context, parents: step.dependencies }))
    .handler("async", async () => [1, null, "ü\u2028\ud83d\ude00"])
    .handler("nothing", () => {})
    // biome-ignore lint/suspicious/noThenProperty: some libraries return such objects.
    .handler("thenable", () => ({ then: (done: (n: number) => void) => done(5) }) as never)
    .handler("late", async (step: Step<{ ms: number }>) => setTimeout(step.context.ms, "late"));
  await started(worker);
  const expected: [string, Json, Json][] = [
    [
      "plain",
      { a: [true, { "": "\u2028" }] },
      { got: { a: [true, { "": "\u2028" }] }, parents: { p: 1 } },
    ],
    ["async", {}, [1, null, "ü\u2028\ud83d\ude00"]],
    ["nothing", {}, null],
    ["thenable", {}, 5],
    ["late", { ms: 5 }, "late"],
  ];
  for (const [handler, context, result] of expected) {
    const id = await database.send("returns", handler, context, { p: 1 });
    assert.deepEqual(await database.result(id), {
      ...(await database.result(id)),
      outcome: "success",
      result,
    });
  }
});

test("the step is as it was sent", async () => {
  let seen: Step | undefined;
  await started(
    new Worker("facts").handler("look", (step) => {
      seen = step;
    }),
  );
  const id = await database.send("facts", "look", { n: 1 }, { p: [2] });
  await database.result(id);
  assert.match(seen?.taskId ?? "", /^[0-9a-f]{8}-[0-9a-f-]{27}$/);
  const { taskId: _, ...facts } = seen ?? {};
  assert.deepEqual(facts, {
    stepId: id,
    name: "a",
    handler: "look",
    attempt: 1,
    maxAttempts: 3,
    context: { n: 1 },
    dependencies: { p: [2] },
  });
});

test("what a handler throws is a failed try, whatever it is", async () => {
  const explode = () => {
    throw new Error("hands off");
  };
  const thrown: [unknown, string, boolean][] = [
    [new TypeError("no"), "TypeError: no", true],
    [new PermanentError("never"), "PermanentError: never", false],
    ["boom", "no Error was thrown, but string: boom", true],
    [undefined, "no Error was thrown, but undefined: undefined", true],
    [new Proxy({}, { getPrototypeOf: explode }), "what was thrown cannot be described", true],
    [new Error("half \ud800 a character"), "Error: half \ufffd a character", true],
    [new Error("a\0b"), "Error: a\ufffdb", true],
  ];
  const worker = new Worker("throws");
  for (const [index, [error]] of thrown.entries()) {
    worker.handler(`plain_${index}`, () => {
      throw error;
    });
    worker.handler(`async_${index}`, async () => {
      await setTimeout(1);
      throw error;
    });
  }
  await started(worker);
  for (const [index, [, error, retryable]] of thrown.entries()) {
    for (const kind of ["plain", "async"]) {
      const result = await database.result(await database.send("throws", `${kind}_${index}`));
      assert.equal(result.outcome, "failure");
      assert.deepEqual([result.error, result.retryable], [error, retryable]);
    }
  }
});

test("a result that is no JSON is a failure for good, with a reason", async () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const results: [unknown, string][] = [
    [{ n: 1n }, "`n` is a bigint"],
    [Number.NaN, "it is NaN"],
    [() => 1, "it is a function"],
    [cycle, "`self` is an object that it is in itself"],
    [new Map(), "it is a Map"],
    ["half \ud800 a character", "half a character"],
    ["a\0b", "U+0000"],
  ];
  const worker = new Worker("no_json");
  for (const [index, [result]] of results.entries()) {
    worker.handler(`result_${index}`, () => result as never);
  }
  await started(worker);
  for (const [index, [, reason]] of results.entries()) {
    const result = await database.result(await database.send("no_json", `result_${index}`));
    assert.equal(result.outcome, "failure");
    assert.ok(result.error.includes(reason), result.error);
    assert.equal(result.retryable, false);
  }
});

test("a number arrives as what it was, or the step fails and says so", async () => {
  await started(
    new Worker("numbers").handler("echo", (step: Step<{ n: number }>) => step.context.n),
  );
  const exact = [
    ["9007199254740991", "9007199254740991"],
    ["1152921504606846976", "1152921504606846976"],
    ["-1152921504606846976", "-1152921504606846976"],
    ["907.3038322028689", "907.3038322028689"],
    ["0.1", "0.1"],
    ["1e21", "1000000000000000000000"],
  ];
  for (const [sent, back] of exact) {
    const id = await database.send("numbers", "echo", { text: `{"n": ${sent}}` });
    assert.equal(await database.resultText(id), back);
  }
  for (const number of ["9007199254740993", "-9007199254740993", "18446744073709551615"]) {
    const inContext = await database.send("numbers", "echo", { text: `{"a": [{"n": ${number}}]}` });
    const inParent = await database.send("numbers", "echo", {}, { text: `{"p": ${number}}` });
    for (const [id, place] of [
      [inContext, "context.a[0].n"],
      [inParent, "p"],
    ] as const) {
      const result = await database.result(id);
      assert.equal(result.outcome, "failure");
      assert.equal(
        result.error,
        `\`${place}\` is ${number}, which a JavaScript number cannot hold exactly; send it as a string`,
      );
      assert.equal(result.retryable, false);
    }
  }
});

test("200 quick steps run side by side, each of them once", async () => {
  let atWork = 0;
  let most = 0;
  let calls = 0;
  await started(
    new Worker("many").handler("quick", async (step: Step<{ n: number }>) => {
      calls += 1;
      atWork += 1;
      most = Math.max(most, atWork);
      await setTimeout(5);
      atWork -= 1;
      return { n: step.context.n };
    }),
  );
  const ids = await Promise.all(
    Array.from({ length: 200 }, (_, n) => database.send("many", "quick", { n })),
  );
  for (const [n, id] of ids.entries()) {
    const result = await database.result(id);
    assert.deepEqual(result.outcome === "success" && result.result, { n });
  }
  await eventually("the queue is empty", async () => (await database.queued("many")) === 0);
  assert.equal(calls, 200);
  for (const id of ids) {
    assert.equal((await database.results(id)).length, 1);
  }
  assert.ok(most > 1 && most <= CONCURRENCY, `${most} at once`);
});

test("a stop lets the running step finish, and blocks nobody meanwhile", async () => {
  let begun = false;
  const running = await started(
    new Worker("stops").handler("slow", async () => {
      begun = true;
      await setTimeout(300);
      return "finished";
    }),
  );
  const id = await database.send("stops", "slow");
  await eventually("the step has begun", () => begun);
  let turns = 0;
  const ticking = setInterval(() => {
    turns += 1;
  }, 10);
  const stops = [running.stop(), running.stop()];
  assert.equal(running.isRunning(), false);
  assert.equal(await running.health(), null);
  await Promise.all(stops);
  clearInterval(ticking);
  const [result] = await database.results(id);
  assert.deepEqual(result?.outcome === "success" && result.result, "finished");
  assert.ok(turns >= 5, `the event loop turned ${turns} times`);
  await running.stop();
});

test("health and address, and a second service in the same process", async () => {
  const worker = new Worker("twice").handler("a", () => 1);
  for (const _ of [1, 2]) {
    const running = await started(worker);
    assert.match(running.address, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(running.isRunning(), true);
    await eventually("it is healthy", async () => (await running.health())?.healthy === true);
    const health = await running.health();
    const answer = await fetch(`${running.address}/health`);
    assert.equal(answer.status, 200);
    const body = (await answer.json()) as Record<string, unknown>;
    assert.equal(body["service"], "tasker-worker-typescript");
    assert.deepEqual(Object.keys(health?.body ?? {}).sort(), Object.keys(body).sort());
    await running[Symbol.asyncDispose]();
    await assert.rejects(fetch(`${running.address}/health`));
  }
});
