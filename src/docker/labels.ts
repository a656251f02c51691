/** The label of every Docker object that the action creates. Its value is the ID of the run. */
export const runLabel = "kind-action.run";

/** The label of Docker objects that belong to a cluster and are not nodes. Its value is the cluster's name. */
export const clusterLabel = "kind-action.cluster";
