import assert from "node:assert/strict";
import { test } from "node:test";
import { type Call, type Native, native, type Service } from "../../lib/native.js";

// A member that the declaration gains or loses does not compile here.
const exports: Record<keyof Native, true> = { Call: true, Service: true, start: true };
const call: Record<keyof Call, true> = { step: true, succeed: true, fail: true };
const service: Record<keyof Service, true> = {
  address: true,
  isRunning: true,
  health: true,
  endOnSignal: true,
  heardSignal: true,
  stop: true,
};

function members(type: { prototype: object }): string[] {
  return Object.getOwnPropertyNames(type.prototype).filter((name) => name !== "constructor");
}

test("the native part exports what is declared, and no more", () => {
  assert.deepEqual(Object.keys(native).sort(), Object.keys(exports).sort());
  assert.deepEqual(members(native.Call).sort(), Object.keys(call).sort());
  assert.deepEqual(members(native.Service).sort(), Object.keys(service).sort());
});

test("what it is given wrongly is an error, not a crash", () => {
  const start = native.start as (...args: unknown[]) => unknown;
  assert.throws(() => start());
  assert.throws(() => start({}, "x", "not a list", () => undefined));
  assert.throws(() => start({}, "x", [], "not a function"));
  assert.throws(() => new (native.Call as unknown as new () => Call)());
});
