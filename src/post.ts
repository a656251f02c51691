import { removeCluster } from "./remove-cluster.ts";
import { runStep } from "./step.ts";

await runStep(removeCluster);
