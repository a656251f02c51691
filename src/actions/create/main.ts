import { runAction } from "../../runner/run-action.ts";
import { createCluster } from "../../workflows/create-cluster.ts";

await runAction(createCluster, { onCancel: "The post step removes what was created." });
