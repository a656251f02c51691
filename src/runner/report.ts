import type { CacheReport } from "../cache/entry.ts";
import type { ClusterDescription } from "../cluster/describe.ts";
import type { LoadedImage } from "../images/load/load-images.ts";
import type { TaskTiming } from "../lib/task-graph.ts";
import type { Plan } from "../plan/plan.ts";

/** The result of restoring one item of a cache entry. */
export interface ItemReport extends CacheReport {
  /** The name of the cache entry. */
  readonly entry: string;
  /** The name of the item, such as an image reference. */
  readonly item: string;
  /** Whether the item counts for the output `cache_hit`. */
  readonly countsForCacheHit: boolean;
  /** The seconds that restoring took. */
  readonly seconds: number;
}

/** The results of a run for the outputs and the summary. Those of tasks that did not finish are missing. */
export interface RunReport {
  readonly plan: Plan;
  readonly succeeded: boolean;
  /** The seconds since main started. */
  readonly seconds: number;
  readonly timings: readonly TaskTiming[];
  /** Undefined if the cluster is not ready. */
  readonly cluster: ClusterDescription | undefined;
  /** The fast start settings of the cluster, as text. */
  readonly settings: readonly string[];
  /** The images that were loaded into the nodes. */
  readonly images: readonly LoadedImage[];
  readonly caches: readonly ItemReport[];
}
