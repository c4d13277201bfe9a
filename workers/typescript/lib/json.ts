import { PermanentError } from "./errors.js";

/** What JSON can hold. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/**
 * `T` where JSON can hold it, `never` in the places where it cannot. Unlike {@link Json} it takes
 * interfaces, optional properties and what has a `toJSON`, such as a Date.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing has it.
export type Jsonable<T> = T extends Json | undefined | void
  ? T
  : T extends { toJSON(): unknown }
    ? T
    : T extends object
      ? T extends (...args: never[]) => unknown
        ? never
        : { [K in keyof T]: Jsonable<T[K]> }
      : never;

/** PostgreSQL and the services read 128 levels, and lay some of their own around a result. */
const MAX_DEPTH = 100;

/**
 * A handler's result as JSON text; a result of `undefined` is `null`. `JSON.stringify` quietly turns
 * NaN to null, a Map to `{}` and leaves functions out: here what would get lost is an error.
 */
export function toJson(result: unknown): string {
  // The objects that the current value is in, and the key at which each of them stands.
  const parents: object[] = [];
  const keys: string[] = [];
  const check = function (this: object, key: string, value: unknown): unknown {
    while (parents.length > 0 && parents.at(-1) !== this) {
      parents.pop();
      keys.pop();
    }
    const fault = faultOf(value, this, parents);
    if (fault !== undefined) {
      const path = parents.length === 0 ? "it" : `\`${[...keys.slice(1), key].join(".")}\``;
      throw new PermanentError(`the handler's result is no JSON: ${path} is ${fault}`);
    }
    if (typeof value === "object" && value !== null) {
      parents.push(value);
      keys.push(key);
    }
    return value;
  };
  return JSON.stringify(result, check) ?? "null";
}

function faultOf(value: unknown, holder: object, parents: object[]): string | undefined {
  switch (typeof value) {
    case "bigint":
    case "function":
    case "symbol":
      return `a ${typeof value}`;
    case "number":
      return Number.isFinite(value) ? undefined : String(value);
    case "string":
      return value.isWellFormed()
        ? undefined
        : "a string with half a character in it (a lone surrogate)";
    case "undefined":
      // A property that is undefined is one that is not there, but a list cannot have a hole.
      return Array.isArray(holder) ? "undefined" : undefined;
    case "object":
      if (value === null) {
        return undefined;
      }
      if (parents.includes(value)) {
        return "an object that it is in itself";
      }
      if (parents.length >= MAX_DEPTH) {
        return `deeper than ${MAX_DEPTH} levels`;
      }
      return Array.isArray(value) || isPlain(value)
        ? undefined
        : `a ${value.constructor.name}, neither a plain object nor one with a toJSON()`;
    default:
      return undefined;
  }
}

/** An object literal, of whatever realm. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
