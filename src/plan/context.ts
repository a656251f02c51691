import type { Daemon } from "../docker/daemon.ts";
import type { Architecture } from "../versions/releases.ts";
import type { Inputs } from "./inputs.ts";

/** The job, from the environment that the runner sets. */
export interface Job {
  readonly architecture: Architecture;
  readonly workspace: string;
  /** RUNNER_TEMP, which the runner empties after the job. */
  readonly temp: string;
  /** The temporary folder of the machine. */
  readonly systemTemp: string;
  readonly home: string;
  readonly id: string;
  readonly workflow: string;
  readonly workflowRunId: string;
  readonly attempt: string;
  readonly selfHosted: boolean;
  readonly path: readonly string[];
  /** The first file of KUBECONFIG, to which kind and kubectl write. */
  readonly kubeconfig: string | undefined;
  /** KIND_CLUSTER_NAME, which kind uses in the other steps of the job. */
  readonly clusterName: string | undefined;
  /** The Docker network of kind: KIND_EXPERIMENTAL_DOCKER_NETWORK, or `kind`. */
  readonly network: string;
}

/** The event that triggered the workflow. It decides whether the job saves caches. */
export interface WorkflowEvent {
  readonly name: string;
  /** `refs/heads/main` */
  readonly ref: string;
  readonly defaultBranch: string | undefined;
}

/** All data that the plan depends on. */
export interface PlanContext {
  readonly inputs: Inputs;
  readonly job: Job;
  readonly daemon: Daemon | { readonly problem: string };
  /** The names of clusters that exist, or that another run is creating. */
  readonly takenNames: readonly string[];
  /** The latest version of kind for `version: latest`, or why it is unknown. */
  readonly latest: string | { readonly problem: string } | undefined;
  readonly runId: string;
  readonly event: WorkflowEvent;
}
