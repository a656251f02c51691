import { runStep } from "../../runner/run-action.ts";
import { removeCluster } from "../../workflows/delete-cluster.ts";

await runStep(removeCluster);
