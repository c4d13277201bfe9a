/** Starts, leaves a handler behind that never settles, stops, and has nothing else to do. */

import { Worker } from "../../lib/index.js";

let begin: () => void = () => undefined;
const begun = new Promise<void>((resolve) => {
  begin = resolve;
});
const worker = new Worker("start_and_stop").handler("never", () => {
  begin();
  return new Promise<void>(() => undefined);
});

const service = await worker.start();
await begun;
console.log("begun");
await service.stop();
