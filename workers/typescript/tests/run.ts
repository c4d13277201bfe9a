/**
 * Runs the test files of a directory: `node dist/tests/run.js unit ../../target/junit/unit.xml`.
 *
 * `node --test` would do but for three things: with no file to run it ends 0, it runs what an old
 * build left in `dist`, and its JUnit report fails where the report's directory is missing.
 */

import { createWriteStream, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { junit, spec } from "node:test/reporters";

/** For one test file, in milliseconds. One that leaves something open would never end. */
const TIMEOUT = 180_000;

const [suite, report] = process.argv.slice(2);
if (suite === undefined || report === undefined) {
  throw new Error("usage: run.js SUITE REPORT");
}
const built = join(import.meta.dirname, suite);
const sources = join(import.meta.dirname, "..", "..", "tests", suite);
const files = readdirSync(sources)
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => join(built, name.replace(/\.ts$/, ".js")));
if (files.length === 0) {
  throw new Error(`no test is in ${sources}`);
}
mkdirSync(dirname(report), { recursive: true });
const events = run({ files, concurrency: true, timeout: TIMEOUT });
events.on("test:fail", () => {
  process.exitCode = 1;
});
events.compose(junit).pipe(createWriteStream(report));
events.compose(new spec()).pipe(process.stdout);
