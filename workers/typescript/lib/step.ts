import type { Json } from "./json.js";

/** The type of a context's parameter: as the context says, or any JSON where it does not. */
export type Param<Context, Key> = Key extends keyof Context ? Context[Key] : Json | undefined;

/** The step that a handler is to run. */
export class Step<Context = Json, Dependencies = { readonly [step: string]: Json }> {
  readonly taskId: string;
  /** The same for every try: the key for effects that must happen once. */
  readonly stepId: string;
  /** Its name in its task. */
  readonly name: string;
  /** The name under which the handler was registered. */
  readonly handler: string;
  /** Which try this is, from 1. A run after a worker's death has the same number. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** The task's context, as it was submitted. */
  readonly context: Context;
  /** The results of the steps that this one depends on, by their names. */
  readonly dependencies: Dependencies;

  constructor(facts: Omit<Step<Context, Dependencies>, "param">) {
    this.taskId = facts.taskId;
    this.stepId = facts.stepId;
    this.name = facts.name;
    this.handler = facts.handler;
    this.attempt = facts.attempt;
    this.maxAttempts = facts.maxAttempts;
    this.context = facts.context;
    this.dependencies = facts.dependencies;
    Object.freeze(this);
  }

  /**
   * `context[<step name>][key]` if there is one, else `context[key]`, else the fallback. So two
   * steps with the same handler can differ. The types are those that `Context` promises: nothing
   * checks that the task was submitted with them.
   */
  param<Key extends string>(key: Key): Param<Context, Key>;
  param<Key extends string, Fallback>(
    key: Key,
    fallback: Fallback,
  ): Exclude<Param<Context, Key>, undefined> | Fallback;
  param(key: string, fallback?: unknown): unknown {
    if (!isRecord(this.context)) {
      return fallback;
    }
    const own = Object.hasOwn(this.context, this.name) ? this.context[this.name] : undefined;
    if (isRecord(own) && Object.hasOwn(own, key)) {
      return own[key];
    }
    return Object.hasOwn(this.context, key) ? this.context[key] : fallback;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
