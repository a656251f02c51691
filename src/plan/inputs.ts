import type { ArchiveFile } from "../archive/find-archives.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { Workload } from "../kubernetes/rollout.ts";
import type { Problem } from "../lib/errors.ts";
import type { NodeSelection } from "../node/nodes.ts";
import type { CredentialsPlan } from "../registries/resolve-credentials.ts";
import type { Upstream } from "../registries/upstreams.ts";

/** The validated inputs of action.yml. An invalid input has its default here, and a problem in `problems`. */
export interface Inputs {
  /** A kind version with its `v`, or `latest`. */
  readonly version: string;
  readonly config: ClusterConfig;
  /** An absolute path. */
  readonly kubeconfig: string | undefined;
  readonly nodeImage: string | undefined;
  /** `1.34`, `v1.34.11` or `stable`. */
  readonly kubernetesVersion: string | undefined;
  readonly clusterName: string | undefined;
  /** The milliseconds until the cluster must be ready; 0 does not wait. */
  readonly wait: number;
  readonly verbosity: number;
  readonly kubectlVersion: string | undefined;
  readonly installOnly: boolean;
  /** Whether the cluster gets settings that make it ready sooner. */
  readonly fastStart: boolean;
  readonly ignoreFailedClean: boolean;
  readonly load: ImageInputs;
  readonly registries: RegistryInputs;
  readonly cache: CacheInputs;
  readonly logs: LogsWhen;
  /** Expected SHA-256 checksums, by tool. */
  readonly checksums: Readonly<Partial<Record<Tool, string>>>;
  /** Base URLs of downloads that replace the upstream ones, by tool, without a trailing slash. */
  readonly downloadBaseUrls: Readonly<Partial<Record<Tool, string>>>;
  /** The values of the job's matrix, as JSON. */
  readonly matrix: string;
  readonly problems: readonly Problem[];
}

/** Images to load, and the nodes to load them into: inputs of the main action and of `load`. */
export interface ImageInputs {
  readonly archives: readonly ArchiveFile[];
  /** References of images in the runner's Docker daemon, as given. */
  readonly images: readonly string[];
  readonly nodes: NodeSelection;
}

/** The inputs that control the Actions cache. */
export interface CacheInputs {
  /** The names of the enabled cache entries. */
  readonly entries: readonly string[];
  /** Whether the input is `auto`: entries are then used only if that is faster. */
  readonly auto: boolean;
  readonly save: CacheSave;
  /** The milliseconds that all restores may take together. */
  readonly restoreTimeoutMs: number;
  /** The milliseconds that all saves may take together. */
  readonly saveTimeoutMs: number;
  /** The maximum size of the proxies' blobs in the cache, in bytes. */
  readonly maxBytes: number;
}

export type CacheSave = "auto" | "always" | "never";

/** The inputs that control the registries of a cluster. */
export interface RegistryInputs {
  /** The image of all registries. */
  readonly image: string;
  /** The registry for images that the job builds. */
  readonly local:
    | { readonly name: string; readonly port: number; readonly enableDelete: boolean }
    | undefined;
  /** The registries that nodes pull from through a proxy. */
  readonly upstreams: readonly Upstream[];
  readonly logins: CredentialsPlan;
}

/** The inputs of load/action.yml. */
export interface LoadInputs {
  /** The name of the cluster to load into. */
  readonly clusterName: string | undefined;
  readonly load: ImageInputs;
  /** The workloads to restart after the images are loaded. */
  readonly restart: readonly Workload[];
  /** The milliseconds that the restart may take. */
  readonly wait: number;
  readonly problems: readonly Problem[];
}

export type LogsWhen = "on-failure" | "always" | "never";
export type Tool = "kind" | "kubectl";
