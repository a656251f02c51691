import { run } from "./index.js";
await run("cache-worker");
