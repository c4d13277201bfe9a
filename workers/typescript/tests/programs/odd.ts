/** A service with handlers that do what handlers should not do. */

import { Worker } from "../../lib/index.js";

const worker = new Worker(process.env["NAMESPACE"] ?? "odd")
  .handler("never", () => {
    console.log("never begins");
    return new Promise<void>(() => undefined);
  })
  .handler("blocks", () => {
    process.stdout.write("blocks begins\n");
    for (;;) {}
  })
  .handler("exits", () => {
    process.exit(7);
  });

process.exit(await worker.run());
