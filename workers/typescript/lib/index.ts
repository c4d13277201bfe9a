/**
 * Workflow steps in TypeScript.
 *
 * ```ts
 * const worker = new Worker("billing");
 * worker.handler("double", (step: Step<{ value: number }>) => ({ value: 2 * step.context.value }));
 * process.exit(await worker.run()); // Serves until SIGTERM or Ctrl-C.
 * ```
 */

export { ConfigurationError, PermanentError, StartError } from "./errors.js";
export type { Json, Jsonable } from "./json.js";
export { type Param, Step } from "./step.js";
export { type Handler, type Health, type Service, Worker } from "./worker.js";
