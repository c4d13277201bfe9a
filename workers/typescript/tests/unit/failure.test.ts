import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { failure } from "../../lib/failure.js";
import { ConfigurationError, PermanentError, StartError } from "../../lib/index.js";

test("an error is its name and its message", () => {
  class Declined extends PermanentError {}
  class Named extends Error {
    override name = "Custom";
  }
  const renamed = Object.assign(new Error("x"), { name: "Mine" });
  const errors: [unknown, string, boolean][] = [
    [new TypeError("no"), "TypeError: no", false],
    [new Error("no"), "Error: no", false],
    [new Error(""), "Error", false],
    [new PermanentError("never"), "PermanentError: never", true],
    [new Declined("card"), "Declined: card", true],
    [new Named("x"), "Custom: x", false],
    [renamed, "Mine: x", false],
    [new DOMException("slow", "TimeoutError"), "TimeoutError: slow", false],
  ];
  for (const [thrown, message, permanent] of errors) {
    assert.deepEqual(failure(thrown), { message, permanent });
  }
});

test("JavaScript can throw anything", () => {
  const cases: [unknown, RegExp][] = [
    ["boom", /^no Error was thrown, but string: boom$/],
    [undefined, /undefined$/],
    [null, /null$/],
    [42n, /42n$/],
    [Symbol("s"), /Symbol\(s\)$/],
    [{ code: 7 }, /object: \{ code: 7 \}$/],
    [() => 1, /function/],
    [runInNewContext("new RangeError('far')"), /RangeError: far/],
  ];
  for (const [thrown, message] of cases) {
    assert.match(failure(thrown).message, message);
    assert.equal(failure(thrown).permanent, false);
  }
});

test("what defends itself against being looked at is a failure like any other", () => {
  const explode = () => {
    throw new Error("hands off");
  };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const hostile: unknown[] = [
    Object.defineProperty(new Error("x"), "message", { get: explode }),
    Object.defineProperty(new Error("x"), "name", { get: explode }),
    Object.assign(new Error("x"), { message: { toString: explode } }),
    Object.assign(new Error("x"), { message: Symbol("s") }),
    Object.assign(new Error("x"), { constructor: null }),
    {
      toString: explode,
      [Symbol.toPrimitive]: explode,
      [Symbol.for("nodejs.util.inspect.custom")]: explode,
    },
    {
      get [Symbol.toStringTag]() {
        return explode();
      },
    },
    new Proxy({}, { getPrototypeOf: explode, get: explode }),
    revoked.proxy,
  ];
  for (const thrown of hostile) {
    const { message, permanent } = failure(thrown);
    assert.ok(message.length > 0);
    assert.equal(permanent, false);
  }
});

test("the errors are kinds of each other as they should be", () => {
  const error = new ConfigurationError("x");
  assert.ok(error instanceof StartError && error instanceof Error);
  assert.equal(String(error), "ConfigurationError: x");
  assert.equal(String(new StartError("x")), "StartError: x");
  assert.ok(!(new StartError("x") instanceof ConfigurationError));
});
