import { createCluster } from "./create-cluster.ts";
import { runStep } from "./step.ts";

await runStep(createCluster, { afterwards: "The post step removes what was made." });
