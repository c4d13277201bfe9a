import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import postgres from "postgres";
import type { Json } from "../../lib/index.js";

/** For whatever a machine under load may take its time over, in milliseconds. */
export const PATIENCE = 30_000;

/** What a worker sent back for one try. */
export type Result =
  | { readonly outcome: "success"; readonly result: Json }
  | { readonly outcome: "failure"; readonly error: string; readonly retryable: boolean };

/** A database of a test file's own, where it plays the orchestrator: it sends steps, and reads results. */
export class Database {
  readonly url: string;
  readonly #server: string;
  readonly #sql: postgres.Sql;

  private constructor(server: string, url: string) {
    this.#server = server;
    this.url = url;
    this.#sql = connect(url);
  }

  /** With PGMQ and the migrations, on the server of DATABASE_URL. */
  static async create(): Promise<Database> {
    const server = process.env["DATABASE_URL"];
    if (server === undefined) {
      throw new Error("DATABASE_URL is not set; `cargo make test-integration` brings a PostgreSQL");
    }
    const url = new URL(server);
    url.pathname = `/tmp_ts_${randomUUID().replaceAll("-", "")}`;
    const env = { ...process.env, DATABASE_URL: url.href };
    await promisify(execFile)("cargo", ["xtask", "setup-db"], { env });
    return new Database(server, url.href);
  }

  async drop(): Promise<void> {
    await this.#sql.end();
    const server = connect(this.#server);
    await server`DROP DATABASE IF EXISTS ${server(new URL(this.url).pathname.slice(1))} WITH (FORCE)`;
    await server.end();
  }

  /** Sends a step to the workers of a namespace; returns its number. JSON text is sent as it is. */
  async send(
    namespace: string,
    handler: string,
    context: Json | { readonly text: string } = {},
    dependencies: Json | { readonly text: string } = {},
  ): Promise<string> {
    const id = randomUUID();
    const queue = `worker_${namespace}_queue`;
    const fields = {
      task_id: randomUUID(),
      step_id: id,
      step_name: "a",
      handler,
      attempt: 1,
      max_attempts: 3,
    };
    const rest = `"context": ${textOf(context)}, "dependencies": ${textOf(dependencies)}`;
    const message = `${JSON.stringify(fields).slice(0, -1)}, ${rest}}`;
    await this.#sql`SELECT pgmq.create(${queue})`;
    await this.#sql`SELECT pgmq.send(${queue}, ${message}::text::jsonb)`;
    return id;
  }

  /** The result of a step, as soon as it is there. */
  async result(id: string): Promise<Result> {
    const deadline = performance.now() + PATIENCE;
    for (;;) {
      const [result] = await this.results(id);
      if (result !== undefined) {
        return result;
      }
      if (performance.now() > deadline) {
        throw new Error(`no result of ${id}`);
      }
      await setTimeout(10);
    }
  }

  /** Every result of a step that is there now. */
  async results(id: string): Promise<Result[]> {
    const rows = await this.#sql`
      SELECT message FROM pgmq.q_orchestration_step_results WHERE message->>'step_id' = ${id}`;
    return rows.map((row) => row["message"]);
  }

  /** The text of a step's result in the database, where numbers are not yet JavaScript's. */
  async resultText(id: string): Promise<string> {
    await this.result(id);
    const [row] = await this.#sql`
      SELECT message->'result' #>> '{}' AS text
      FROM pgmq.q_orchestration_step_results WHERE message->>'step_id' = ${id}`;
    return row?.["text"];
  }

  /** How many steps wait in the queue of a namespace, or are at work. */
  async queued(namespace: string): Promise<number> {
    const table = this.#sql(`q_worker_${namespace}_queue`);
    const [row] = await this.#sql`SELECT count(*)::int AS count FROM pgmq.${table}`;
    return row?.["count"];
  }

  /** Whether a worker has read this step, and not yet answered. */
  async isTaken(namespace: string, id: string): Promise<boolean> {
    const table = this.#sql(`q_worker_${namespace}_queue`);
    const rows = await this.#sql`
      SELECT 1 FROM pgmq.${table} WHERE message->>'step_id' = ${id} AND read_ct > 0`;
    return rows.length > 0;
  }
}

function connect(url: string): postgres.Sql {
  return postgres(url, { max: 4, onnotice: () => undefined });
}

function textOf(json: Json | { readonly text: string }): string {
  const given = json as { text?: unknown } | null;
  return typeof given?.text === "string" ? given.text : JSON.stringify(json);
}

/** Waits until it holds. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>) {
  const deadline = performance.now() + PATIENCE;
  while (!(await holds())) {
    if (performance.now() > deadline) {
      throw new Error(`not in time: ${what}`);
    }
    await setTimeout(10);
  }
}
