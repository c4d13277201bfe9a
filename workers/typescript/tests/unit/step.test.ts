import assert from "node:assert/strict";
import { test } from "node:test";
import { makeStep } from "../support.js";

test("a step's own parameter wins over the task's", () => {
  const context = { ms: 1, a: { ms: 2 }, b: { ms: 3 } };
  assert.equal(makeStep({ context }).param("ms"), 2);
  assert.equal(makeStep({ context, name: "c" }).param("ms"), 1);
  assert.equal(makeStep({ context }).param("other", "none"), "none");
  assert.equal(makeStep({ context }).param("other"), undefined);
  for (const none of [null, 3, "ms", [1]]) {
    assert.equal(makeStep({ context: none }).param("ms", 7), 7);
  }
});

test("a null that was sent is no missing one", () => {
  assert.equal(makeStep({ context: { ms: null } }).param("ms", 7), null);
});

test("what every object has is no parameter", () => {
  const step = makeStep({ context: {}, name: "constructor" });
  assert.equal(step.param("toString", "none"), "none");
  assert.equal(step.param("name", "none"), "none");
  const sent = makeStep({ context: JSON.parse('{"__proto__": {"ms": 1}}') });
  assert.equal(sent.param("ms", "none"), "none");
  assert.deepEqual(Object.entries(sent.param("__proto__") ?? {}), [["ms", 1]]);
});

test("a step cannot be changed", () => {
  const step = makeStep({});
  assert.throws(() => {
    (step as { attempt: number }).attempt = 2;
  }, TypeError);
});
