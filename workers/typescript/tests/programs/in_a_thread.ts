/** Starts a service in a thread of Node's, and ends the thread in the middle of a step. */

import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker as Thread } from "node:worker_threads";
import { Worker } from "../../lib/index.js";

if (isMainThread) {
  // The process has another port in its environment: the service has to take that of its thread.
  const env = { ...process.env, TYPESCRIPT_WORKER_PORT: "0" };
  const thread = new Thread(fileURLToPath(import.meta.url), { env });
  const [address] = await once(thread, "message");
  await thread.terminate();
  // The service is to end too: nobody is left to run its steps.
  while (await answers(address)) {
    await setTimeout(20);
  }
} else {
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const worker = new Worker("in_a_thread").handler("never", () => {
    begin();
    return new Promise<void>(() => undefined);
  });
  const service = await worker.start();
  await begun;
  parentPort?.postMessage(service.address);
}

function answers(address: string): Promise<boolean> {
  return fetch(`${address}/health`).then(
    () => true,
    () => false,
  );
}
