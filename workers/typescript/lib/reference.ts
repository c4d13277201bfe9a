/** The reference service: namespace `typescript`, handlers small enough to read. */

import { setTimeout } from "node:timers/promises";
import { type Json, PermanentError, type Step, Worker } from "./index.js";
import { isRecord } from "./step.js";

/** The longest time of a timer. */
const MAX_SLEEP_MS = 2 ** 31 - 1;

/** Returns the task's context and the results of the parents. */
export function echo(step: Step) {
  return { context: step.context, dependencies: step.dependencies };
}

/** Waits for `sleep_ms` milliseconds. */
export async function sleep(step: Step) {
  const milliseconds = count(step, "sleep_ms", 100);
  if (milliseconds > MAX_SLEEP_MS) {
    throw new PermanentError(
      `\`sleep_ms\` is ${milliseconds}, it has to be ${MAX_SLEEP_MS} at most`,
    );
  }
  await setTimeout(milliseconds);
  return { slept_ms: milliseconds };
}

/** The sum of the parents' values and the step's own. */
export function add(step: Step) {
  return { value: fold(step, 0, (sum, number) => sum + number) };
}

/** The product of the parents' values and the step's own. */
export function multiply(step: Step) {
  return { value: fold(step, 1, (product, number) => product * number) };
}

/** Fails at the first `fail_times` tries. */
export function flaky(step: Step) {
  if (step.attempt <= count(step, "fail_times", 1)) {
    throw new Error(`flaky: failed at attempt ${step.attempt}`);
  }
  return { succeeded_at: step.attempt };
}

/** Fails at every try. */
export function alwaysFails(step: Step): never {
  throw new Error(`always_fails: ${step.param("message", "it always does")}`);
}

/** An exception that nobody planned for. */
export function raises(_step: Step): never {
  throw new TypeError("raises, as asked");
}

export const worker = new Worker("typescript")
  .handler("echo", echo)
  .handler("sleep", sleep)
  .handler("add", add)
  .handler("multiply", multiply)
  .handler("flaky", flaky)
  .handler("always_fails", alwaysFails)
  .handler("raises", raises);

function count(step: Step, key: string, fallback: number): number {
  const value = step.param(key, fallback);
  if (!isSafeInteger(value) || value < 0) {
    throw new PermanentError(
      `\`${key}\` is ${JSON.stringify(value)}, it has to be a non-negative number`,
    );
  }
  return value;
}

/** Folds the parents' `value`s, and the step's own where the context has one. */
function fold(step: Step, start: number, combine: (total: number, number: number) => number) {
  const found = Object.entries(step.dependencies).map(
    ([name, result]): [string, Json | undefined] => [name, valueIn(result)],
  );
  const own = isRecord(step.context) ? valueIn(step.context[step.name]) : undefined;
  if (own !== undefined) {
    found.push([step.name, own]);
  }
  let total = start;
  for (const [name, value] of found) {
    if (!isSafeInteger(value)) {
      throw new PermanentError(
        `${step.handler}: \`${name}\` gives no whole number as its \`value\``,
      );
    }
    total = combine(total, value);
    if (!isSafeInteger(total)) {
      throw new PermanentError(`${step.handler}: the result is out of range`);
    }
  }
  return total;
}

function valueIn(result: unknown): Json | undefined {
  return isRecord(result) ? (result["value"] as Json | undefined) : undefined;
}

function isSafeInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
