import { inspect } from "node:util";
import { PermanentError } from "./errors.js";

/** Why a try failed. */
export interface Failure {
  readonly message: string;
  readonly permanent: boolean;
}

/**
 * What a handler threw, as `TypeError: its message`. JavaScript can throw anything, and looking at
 * it may throw again: whatever it is, this returns.
 */
export function failure(thrown: unknown): Failure {
  try {
    return { message: describe(thrown), permanent: thrown instanceof PermanentError };
  } catch {
    return { message: "what was thrown cannot be described", permanent: false };
  }
}

function describe(thrown: unknown): string {
  if (thrown instanceof Error) {
    const message = String(thrown.message);
    return message === "" ? nameOf(thrown) : `${nameOf(thrown)}: ${message}`;
  }
  const text = typeof thrown === "string" ? thrown : inspect(thrown, { breakLength: Infinity });
  return `no Error was thrown, but ${typeof thrown}: ${text}`;
}

/** Its name if it was given one, else its class: most classes inherit the name `Error`. */
function nameOf(error: Error): string {
  const type = error.constructor;
  const named = Object.hasOwn(error, "name") || Object.hasOwn(type.prototype, "name");
  return String(named ? error.name : type.name);
}
