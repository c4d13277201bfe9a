import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { ConfigurationError, StartError } from "./errors.js";
import { failure } from "./failure.js";
import { type Json, type Jsonable, toJson } from "./json.js";
import { type Call, type Service as Core, native } from "./native.js";
import { Step } from "./step.js";

/** Runs a step. What it returns has to be JSON; `undefined` is `null`. */
export type Handler<
  Context = Json,
  Dependencies = { readonly [step: string]: Json },
  Result = unknown,
> = (step: Step<Context, Dependencies>) => Result | Promise<Result>;

/** Where a result is no JSON, the compiler's message shows which part of it, as a `never`. */
type Checked<Result> = [Result] extends [Jsonable<Result>]
  ? unknown
  : { "a handler's result has to be JSON": Jsonable<Result> };

/** A handler of any types: what a step holds is known to those who submit tasks alone. */
export type Registered = (step: never) => unknown;

/** How often `run` looks whether the worker is still there, in milliseconds. */
const WATCH_INTERVAL = 200;

/** SIGBREAK is Ctrl-Break, and Windows' alone. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGBREAK"] as const;

/** What `/health` answers. */
export interface Health {
  readonly healthy: boolean;
  readonly body: Json;
}

/**
 * A running worker with its `/health`. Like a listening server it keeps the process alive until it
 * is stopped.
 */
export class Service implements AsyncDisposable {
  readonly #core: Core;

  /** @internal */
  constructor(core: Core) {
    this.#core = core;
  }

  /** Where `/health` is. */
  get address(): string {
    return this.#core.address;
  }

  /** Whether it works: false from the call of `stop` on, and after a fault that ended it. */
  isRunning(): boolean {
    return this.#core.isRunning();
  }

  /** What `/health` says; `null` from the call of `stop` on. */
  async health(): Promise<Health | null> {
    const health = await this.#core.health();
    return health && { healthy: health.healthy, body: JSON.parse(health.body) };
  }

  /** Lets the running steps finish and ends; a second call waits for the first. */
  async stop(): Promise<void> {
    await this.#core.stop();
  }

  /** For `await using service = await worker.start()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** @internal Ends the process on a signal even while a handler blocks the event loop. */
  endOnSignal(): void {
    this.#core.endOnSignal();
  }

  /** @internal Whether that signal came. */
  heardSignal(): boolean {
    return this.#core.heardSignal();
  }
}

/** Runs the steps of one namespace. */
export class Worker {
  readonly namespace: string;
  readonly #handlers = new Map<string, Registered>();

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  /**
   * Registers the handler of this name, a plain function or an async one; async ones run side by
   * side. What it throws fails the try, and the step is tried again later; a
   * `PermanentError` fails the step at once.
   */
  handler<Context = Json, Dependencies = { readonly [step: string]: Json }, Result = void>(
    name: string,
    handler: Handler<Context, Dependencies, Result> & Checked<Result>,
  ): this {
    if (this.#handlers.has(name)) {
      throw new Error(`two handlers have the name \`${name}\``);
    }
    this.#handlers.set(name, handler);
    return this;
  }

  /** What is registered, by name. */
  get handlers(): ReadonlyMap<string, Registered> {
    return this.#handlers;
  }

  /**
   * Takes the port, waits for the database, and works in the background.
   *
   * @throws StartError when it cannot; its kind ConfigurationError when the environment makes no
   * sense.
   */
  async start(): Promise<Service> {
    // Of this moment: a handler that is registered later is not known to the core.
    const handlers = new Map(this.#handlers);
    const variables = process.env as Record<string, string>;
    const names = [...handlers.keys()];
    const started = await native.start({ ...variables }, this.namespace, names, (call) => {
      void runStep(handlers, call);
    });
    if ("configuration" in started) {
      const { message, configuration } = started;
      throw configuration ? new ConfigurationError(message) : new StartError(message);
    }
    return new Service(started);
  }

  /**
   * Serves until SIGTERM or Ctrl-C; resolves to the exit code of the process: 0 after a graceful
   * stop, 1 when it could not start or ended by itself, 2 for an environment that makes no sense.
   * To be handed to `process.exit`: a handler that was cut off may have left timers behind.
   */
  async run(): Promise<number> {
    const asked = new AbortController();
    const ask = () => asked.abort();
    for (const signal of SIGNALS) {
      process.on(signal, ask);
    }
    try {
      const starting = this.start();
      const first = await Promise.race([starting, once(asked.signal, "abort")]);
      if (!(first instanceof Service)) {
        // Nothing runs yet. Whoever does not end the process now gets no stray service either.
        starting.then(
          (service) => service.stop(),
          () => undefined,
        );
        return 0;
      }
      first.endOnSignal();
      const graceful = await isAsked(first, asked.signal);
      await first.stop();
      if (!graceful) {
        throw new StartError("the worker ended");
      }
      return 0;
    } catch (error) {
      if (!(error instanceof StartError)) {
        throw error;
      }
      console.error(`error: ${error.message}`);
      return error instanceof ConfigurationError ? 2 : 1;
    } finally {
      for (const signal of SIGNALS) {
        process.off(signal, ask);
      }
    }
  }
}

/** Waits for the end: by a signal, or by a fault. */
async function isAsked(service: Service, signal: AbortSignal): Promise<boolean> {
  while (service.isRunning()) {
    try {
      await setTimeout(WATCH_INTERVAL, undefined, { signal });
    } catch {
      return true;
    }
  }
  return signal.aborted || service.heardSignal();
}

async function runStep(handlers: ReadonlyMap<string, Registered>, call: Call) {
  try {
    const step = new Step(JSON.parse(call.step));
    // The core hands over steps of registered handlers alone.
    call.succeed(toJson(await handlers.get(step.handler)?.(step as never)));
  } catch (thrown) {
    const { message, permanent } = failure(thrown);
    call.fail(message, permanent);
  }
}
