import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import {
  ConfigurationError,
  type Json,
  PermanentError,
  StartError,
  type Step,
  Worker,
} from "../../lib/index.js";
import { Service } from "../../lib/worker.js";

const VARIABLES = ["DATABASE_URL", "TYPESCRIPT_WORKER_PORT"];
const before = VARIABLES.map((name) => [name, process.env[name]] as const);

beforeEach(() => {
  process.env["DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none";
  process.env["TYPESCRIPT_WORKER_PORT"] = "0";
});

afterEach(() => {
  for (const [name, value] of before) {
    if (value === undefined) {
      delete process.env[name];
    } else {
      process.env[name] = value;
    }
  }
  mock.restoreAll();
});

/** A service that never was: it works until `stopped`, or not at all. */
function fakeService(works: boolean) {
  const calls: string[] = [];
  const service = new Service({
    address: "nowhere",
    isRunning: () => works,
    health: async () => null,
    endOnSignal: () => {
      calls.push("endOnSignal");
    },
    heardSignal: () => false,
    stop: async () => {
      calls.push("stop");
    },
  });
  return { service, calls };
}

function workerThatStarts(start: () => Promise<Service>): Worker {
  const worker = new Worker("x");
  worker.start = start;
  return worker;
}

test("two handlers of one name are a mistake", () => {
  const first = () => 1;
  const worker = new Worker("x").handler("a", first);
  assert.throws(() => worker.handler("a", first), { message: "two handlers have the name `a`" });
  assert.deepEqual([...worker.handlers], [["a", first]]);
});

test("a result that is no JSON does not compile", () => {
  const worker = new Worker("x");
  interface Receipt {
    at: Date;
    lines: { price: number; note?: string }[];
  }
  worker
    .handler("1", (step: Step<{ amount: number }>) => ({ charged: step.param("amount") + 1 }))
    .handler("2", (): Receipt => ({ at: new Date(), lines: [] }))
    .handler("3", async (step) => ({ back: step.param("any", "none") satisfies Json }))
    .handler("4", async () => undefined)
    .handler("5", () => {
      throw new PermanentError("x");
    })
    // @ts-expect-error
    .handler("6", () => ({ amount: 1n }))
    // @ts-expect-error
    .handler("7", async () => new Map<string, number>())
    // @ts-expect-error
    .handler("8", () => ({ later: () => 1 }))
    // @ts-expect-error
    .handler("9", (step: Step<{ amount: number }>) => step.param("amount").toUpperCase());
  assert.equal(worker.handlers.size, 9);
});

test("an environment that makes no sense is a ConfigurationError", async () => {
  delete process.env["DATABASE_URL"];
  const started = new Worker("x").handler("a", () => 1).start();
  await assert.rejects(
    started,
    (error) => error instanceof ConfigurationError && /DATABASE_URL/.test(error.message),
  );
});

test("what the core refuses is a StartError", async () => {
  const refused: [Worker, RegExp][] = [
    [new Worker("x"), /the worker of namespace `x` has no handlers/],
    [new Worker("No Such").handler("a", () => 1), /`No Such`/],
  ];
  for (const [worker, message] of refused) {
    await assert.rejects(
      worker.start(),
      (error) =>
        error instanceof StartError &&
        !(error instanceof ConfigurationError) &&
        message.test(error.message),
    );
  }
});

test("run ends 2 for the configuration and 1 for any other start that fails", async () => {
  const said = mock.method(console, "error", () => undefined);
  assert.equal(await new Worker("x").run(), 1);
  process.env["TYPESCRIPT_WORKER_PORT"] = "http";
  assert.equal(await new Worker("x").handler("a", () => 1).run(), 2);
  const lines = said.mock.calls.map((call) => String(call.arguments[0]));
  assert.match(lines[0] ?? "", /^error: the worker of namespace `x` has no handlers/);
  assert.match(lines[1] ?? "", /^error: TYPESCRIPT_WORKER_PORT is `http`/);
});

test("run ends 0 after a signal, and stops the service", async () => {
  const { service, calls } = fakeService(true);
  const running = workerThatStarts(async () => service).run();
  setImmediate(() => process.emit("SIGTERM"));
  assert.equal(await running, 0);
  assert.deepEqual(calls, ["endOnSignal", "stop"]);
  assert.equal(process.listenerCount("SIGTERM"), 0);
  assert.equal(process.listenerCount("SIGINT"), 0);
});

test("run ends 1 when the worker ended by itself", async () => {
  const said = mock.method(console, "error", () => undefined);
  const { service, calls } = fakeService(false);
  assert.equal(await workerThatStarts(async () => service).run(), 1);
  assert.deepEqual(calls, ["endOnSignal", "stop"]);
  assert.equal(said.mock.calls[0]?.arguments[0], "error: the worker ended");
});

test("a signal before the service is there ends at once, and the service when it comes", async () => {
  const { service, calls } = fakeService(true);
  let come: (service: Service) => void = () => undefined;
  const running = workerThatStarts(
    () =>
      new Promise((resolve) => {
        come = resolve;
      }),
  ).run();
  process.emit("SIGINT");
  assert.equal(await running, 0);
  assert.deepEqual(calls, []);
  come(service);
  await new Promise(setImmediate);
  assert.deepEqual(calls, ["stop"]);
});

test("an error of another kind is not swallowed", async () => {
  const worker = workerThatStarts(async () => {
    throw new RangeError("not ours");
  });
  await assert.rejects(worker.run(), RangeError);
  assert.equal(process.listenerCount("SIGTERM"), 0);
});
