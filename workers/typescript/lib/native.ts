/** What `src/lib.rs` exports. A test holds the two together. */

import { createRequire } from "node:module";

/** One try of a step. */
export interface Call {
  /** JSON: the arguments of `Step`. */
  readonly step: string;
  succeed(result: string): void;
  fail(message: string, permanent: boolean): void;
}

export interface Service {
  readonly address: string;
  isRunning(): boolean;
  /** The body is JSON. */
  health(): Promise<{ healthy: boolean; body: string } | null>;
  /** Has to be called after JavaScript's own listeners are there. */
  endOnSignal(): void;
  /** Whether such a signal came. */
  heardSignal(): boolean;
  stop(): Promise<void>;
}

export interface Refusal {
  readonly message: string;
  /** Whether it is the environment that makes no sense. */
  readonly configuration: boolean;
}

export interface Native {
  readonly Call: { readonly prototype: Call };
  readonly Service: { readonly prototype: Service };
  /** `run` must not throw. */
  start(
    variables: Record<string, string>,
    namespace: string,
    handlers: string[],
    run: (call: Call) => void,
  ): Promise<Service | Refusal>;
}

function load(): Native {
  try {
    return createRequire(import.meta.url)("../../native/core.node");
  } catch (error) {
    throw new Error("the native part of the worker does not load; `cargo make build` makes it", {
      cause: error,
    });
  }
}

export const native: Native = load();
