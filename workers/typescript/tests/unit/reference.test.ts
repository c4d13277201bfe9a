import assert from "node:assert/strict";
import { test } from "node:test";
import { PermanentError } from "../../lib/index.js";
import {
  add,
  alwaysFails,
  echo,
  flaky,
  multiply,
  raises,
  sleep,
  worker,
} from "../../lib/reference.js";
import { makeStep } from "../support.js";

test("the service has the handlers of the other languages", () => {
  const names = ["add", "always_fails", "echo", "flaky", "multiply", "raises", "sleep"];
  assert.deepEqual([...worker.handlers.keys()].sort(), names);
  assert.equal(worker.namespace, "typescript");
});

test("numbers of parents and the own are folded", () => {
  const context = { a: { value: 3 } };
  const dependencies = { p: { value: 1 }, q: { value: 2 } };
  assert.deepEqual(add(makeStep({ context, dependencies })), { value: 6 });
  assert.deepEqual(multiply(makeStep({ context, dependencies })), { value: 6 });
  assert.deepEqual(multiply(makeStep({})), { value: 1 });
});

test("what is no whole number fails for good", () => {
  for (const value of ["3", null, true, 1.5, 2 ** 53]) {
    assert.throws(
      () => add(makeStep({ handler: "add", dependencies: { p: { value } } })),
      (error) => error instanceof PermanentError && /`p` gives no whole number/.test(error.message),
    );
  }
  assert.throws(() => add(makeStep({ dependencies: { p: 1 } })), PermanentError);
});

test("a result that would be rounded fails for good", () => {
  const dependencies = { p: { value: Number.MAX_SAFE_INTEGER }, q: { value: 2 } };
  const handler = "h";
  for (const operation of [add, multiply]) {
    assert.throws(() => operation(makeStep({ handler, dependencies })), {
      name: "PermanentError",
      message: "h: the result is out of range",
    });
  }
});

test("flaky works after its failures", () => {
  const context = { fail_times: 2 };
  for (const attempt of [1, 2]) {
    assert.throws(() => flaky(makeStep({ context, attempt })), {
      message: `flaky: failed at attempt ${attempt}`,
    });
  }
  assert.deepEqual(flaky(makeStep({ context, attempt: 3 })), { succeeded_at: 3 });
  assert.throws(() => flaky(makeStep({ context: { fail_times: "many" } })), {
    name: "PermanentError",
    message: '`fail_times` is "many", it has to be a non-negative number',
  });
});

test("echo returns what it got, sleep waits", async () => {
  const context = { a: [1, null] };
  const dependencies = { p: "x" };
  assert.deepEqual(echo(makeStep({ context, dependencies })), { context, dependencies });
  const start = performance.now();
  assert.deepEqual(await sleep(makeStep({ context: { sleep_ms: 20 } })), { slept_ms: 20 });
  assert.ok(performance.now() - start >= 19);
  await assert.rejects(sleep(makeStep({ context: { sleep_ms: 2 ** 31 } })), PermanentError);
});

test("the failing ones fail", () => {
  assert.throws(() => alwaysFails(makeStep({})), { message: "always_fails: it always does" });
  assert.throws(() => alwaysFails(makeStep({ context: { message: "m" } })), {
    message: "always_fails: m",
  });
  assert.throws(() => raises(makeStep({})), { name: "TypeError", message: "raises, as asked" });
});
