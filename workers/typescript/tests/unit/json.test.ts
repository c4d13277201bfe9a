import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { PermanentError } from "../../lib/index.js";
import { toJson } from "../../lib/json.js";

test("JSON stays what it is", () => {
  const shared = { n: 1 };
  const values: [unknown, string][] = [
    [undefined, "null"],
    [null, "null"],
    ["a\u2028\ud83d\ude00", '"a\u2028\ud83d\ude00"'],
    // The native part makes it 2 ** 60 again.
    [2 ** 60, "1152921504606847000"],
    [0.1, "0.1"],
    [{ a: [1, { b: null }], c: undefined }, '{"a":[1,{"b":null}]}'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [{ toJSON: () => undefined }, "null"],
    [{ "": undefined, a: 1 }, '{"a":1}'],
    [Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    [runInNewContext("({ a: [1] })"), '{"a":[1]}'],
    [[shared, shared, { shared }], '[{"n":1},{"n":1},{"shared":{"n":1}}]'],
  ];
  for (const [value, text] of values) {
    assert.equal(toJson(value), text);
  }
});

test("what JSON.stringify would lose quietly fails for good, and says where", () => {
  class Account {
    balance = 1;
  }
  const cycle: { list: unknown[] } = { list: [0] };
  cycle.list.push({ up: cycle });
  const values: [unknown, RegExp][] = [
    [1n, /no JSON: it is a bigint/],
    [{ a: { b: [0, 2n] } }, /`a\.b\.1` is a bigint/],
    [{ a: Number.NaN }, /`a` is NaN/],
    [[-Infinity], /`0` is -Infinity/],
    [() => 1, /it is a function/],
    [{ f: () => 1 }, /`f` is a function/],
    [Symbol("s"), /it is a symbol/],
    [{ text: "\ud83d" }, /`text` is a string with half a character/],
    [[1, undefined], /`1` is undefined/],
    [new Array(1), /`0` is undefined/],
    [{ m: new Map([[1, 2]]) }, /`m` is a Map, neither a plain object/],
    [new Set(), /it is a Set/],
    [new Account(), /it is a Account/],
    [Promise.resolve(1), /it is a Promise/],
    [new Uint8Array(2), /it is a Uint8Array/],
    [{ at: { toJSON: () => 1n } }, /`at` is a bigint/],
    [cycle, /`list\.1\.up` is an object that it is in itself/],
    [{ first: { x: [1] }, second: { y: Number.NaN } }, /`second\.y` is NaN/],
  ];
  for (const [value, message] of values) {
    assert.throws(
      () => toJson(value),
      (error) => error instanceof PermanentError && message.test(error.message),
      String(message),
    );
  }
});

test("a result can be deep, but not deeper than the services read", () => {
  const nested = (levels: number) => {
    let value: unknown = 1;
    for (let level = 0; level < levels; level += 1) {
      value = [value];
    }
    return value;
  };
  assert.equal(toJson(nested(100)).length, 201);
  assert.throws(() => toJson(nested(101)), /deeper than 100 levels/);
});
