import { nodeImageEntry } from "../../cache/entries/node-image.ts";
import { ensureImage, type ImageRequest, type ImageSource } from "../../images/ensure.ts";
import type { Log } from "../../lib/log.ts";
import type { Task } from "../../lib/task-graph.ts";
import { formatSeconds } from "../../lib/units.ts";
import type { ClusterRun } from "./cluster-run.ts";

/** Adds a task that gets the images of nodes and load balancer. @returns the daemon's name of each node image */
export const addNodeImagesTask = (run: ClusterRun): Task<ReadonlyMap<string, string>> =>
  run.graph.add("Get node images", [], async (log) => {
    const { images, loadBalancer } = run.plan;
    const nodes = images.map(
      async (reference) =>
        [reference, await getImage(run, { reference }, { countsForCacheHit: true }, log)] as const,
    );
    const others =
      loadBalancer === undefined ? [] : [getImage(run, loadBalancer, { countsForCacheHit: false }, log)];
    await Promise.all([...nodes, ...others]);
    return new Map(await Promise.all(nodes));
  });

/**
 * Restores or pulls an image that the Docker daemon lacks, and adds it to the state for post to save.
 *
 * @param options.countsForCacheHit whether the image counts for the output `cache_hit`
 * @returns the name of the image in the daemon
 */
export async function getImage(
  {
    ctx,
    engine,
    caches,
    labels,
  }: Pick<ClusterRun, "engine" | "caches" | "labels"> & {
    readonly ctx: Pick<ClusterRun["ctx"], "job" | "runProgram">;
  },
  request: ImageRequest,
  { countsForCacheHit }: { countsForCacheHit: boolean },
  log: Log,
): Promise<string> {
  const { reference } = request;
  const { architecture } = ctx.job;
  const source: ImageSource = {
    engine,
    runProgram: ctx.runProgram,
    platform: { os: "linux", architecture },
    restore: async (image, log) => {
      const target = { image, onlyIfFaster: caches.onlyIfFaster, labels };
      const { outcome } = await caches.restore(
        nodeImageEntry,
        target,
        { item: reference, countsForCacheHit },
        log,
      );
      return outcome === "hit";
    },
  };
  const image = await ensureImage(request, source, log);
  const { name, from, seconds } = image;
  if (from === "daemon")
    caches.reportUnused(nodeImageEntry, { item: reference, countsForCacheHit, outcome: "present" });
  else if (!reference.includes("@sha256:"))
    caches.reportUnused(nodeImageEntry, { item: reference, countsForCacheHit, outcome: "skipped" });
  else
    caches.saveLater(nodeImageEntry, {
      reference,
      architecture,
      restored: from === "cache",
      seconds,
      ...(name !== reference && from === "registry" && { tag: name }),
    });
  if (from === "cache") log.line(`Restored ${reference} from the cache in ${formatSeconds(seconds)}.`);
  return name;
}
