import { runStep } from "../../runner/run-action.ts";
import { createCluster } from "../../workflows/create-cluster.ts";

await runStep(createCluster, { afterwards: "The post step removes what was made." });
