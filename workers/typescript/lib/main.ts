#!/usr/bin/env node
import { worker } from "./reference.js";

process.exit(await worker.run());
