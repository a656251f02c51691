import { runAction } from "../../runner/run-action.ts";
import { deleteCluster } from "../../workflows/delete-cluster.ts";

await runAction(deleteCluster);
