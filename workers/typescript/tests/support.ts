import { type Json, Step } from "../lib/index.js";

/** A step with what a test does not care about filled in. */
export function makeStep(facts: {
  name?: string;
  handler?: string;
  attempt?: number;
  context?: Json;
  dependencies?: { [step: string]: Json };
}): Step {
  return new Step({
    taskId: "t",
    stepId: "s",
    name: "a",
    handler: "h",
    attempt: 1,
    maxAttempts: 3,
    context: {},
    dependencies: {},
    ...facts,
  });
}
