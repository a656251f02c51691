import { runAction } from "../../runner/run-action.ts";
import { loadIntoCluster } from "../../workflows/load-images.ts";

await runAction(loadIntoCluster);
