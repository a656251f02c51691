import { loadIntoCluster } from "./load-into-cluster.ts";
import { runStep } from "./step.ts";

await runStep(loadIntoCluster);
