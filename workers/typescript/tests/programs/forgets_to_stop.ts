import { Worker } from "../../lib/index.js";

await new Worker("forgets").handler("nothing", () => undefined).start();
