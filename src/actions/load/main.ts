import { runStep } from "../../runner/run-action.ts";
import { loadIntoCluster } from "../../workflows/load-images.ts";

await runStep(loadIntoCluster);
