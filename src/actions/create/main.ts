import { runAction } from "../../runner/run-action.ts";
import { createCluster } from "../../workflows/create-cluster.ts";

await runAction(createCluster, { afterwards: "The post step removes what was made." });
