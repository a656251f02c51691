import { InvalidArchiveError } from "../../archive/errors.ts";
import type { Engine } from "../../docker/engine.ts";
import { errorMessage } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { NodeInventory } from "../../node/containerd/client.ts";
import { type FileBlob, findLinkableVolumes, HardlinkImporter } from "../../node/content/hardlink.ts";
import type { NodeSession } from "../../node/session.ts";
import { type Hardlinks, importImages } from "./import-images.ts";
import { type NodeLoadPlan, planNodeLoad, type SourceImage } from "./plan-node.ts";
import { createBlobVerifier } from "./verify-blob.ts";

/** The outcome of loading an image into nodes. */
export interface ImportedImage {
  /** All its names. */
  readonly names: readonly string[];
  readonly id: string;
  readonly outcome: "loaded" | "re-tagged" | "already there";
  /** The nodes that have it now. */
  readonly nodes: readonly string[];
  /** The bytes of its imported layers. Each layer counts once for all nodes, and a shared one for the first image. */
  readonly bytes: number;
}

export interface LoadOptions {
  readonly engine: Engine;
  /** The labels of the hard-link helper container. */
  readonly labels: Record<string, string>;
  readonly log: Log;
  /** The name of the node that unpacks images in the background, because all pods run on it. */
  readonly unpackOn?: string | undefined;
}

/** A node to load into. */
export interface TargetNode {
  readonly session: NodeSession;
  /** Resolves once the node's containerd has started. */
  readonly inventory: Promise<NodeInventory>;
}

/**
 * Loads images into nodes, into each as soon as its containerd has started: imports the blobs that the node lacks, then
 * verifies the images.
 *
 * @returns the outcome for each image
 * @throws InvalidArchiveError for an invalid archive, before a node has a name of its images
 * @throws NodeLoadError when nodes fail, after the others are done
 */
export async function loadIntoNodes(
  images: readonly SourceImage[],
  nodes: readonly TargetNode[],
  { engine, labels, log, unpackOn }: LoadOptions,
): Promise<ImportedImage[]> {
  const linkable = findLinkableVolumes(nodes.map(({ session }) => session.container));
  const verifyBlob = createBlobVerifier(
    (file) => images.find(({ content }) => content?.file === file)?.from ?? file,
  );
  let hardlinks: Promise<Hardlinks | undefined> | undefined;
  const linked = nodes.map(() => Promise.withResolvers<void>());
  const imports = nodes.map(async ({ session: node, inventory }, index): Promise<NodeLoadPlan> => {
    const onLinked = () => linked[index]?.resolve();
    try {
      const plan = planNodeLoad(images, await inventory, linkable !== undefined);
      if (plan.hardlink.length > 0 && linkable !== undefined)
        hardlinks ??= startHardlinks(images, plan.hardlink, node, linkable, { engine, labels, log });
      const unpack = node.name === unpackOn;
      await importImages({
        images,
        node,
        plan,
        hardlinks: hardlinks ?? Promise.resolve(undefined),
        verifyBlob,
        log,
        unpack,
        onLinked,
      });
      return plan;
    } finally {
      onLinked();
    }
  });
  const closed = Promise.all(linked.map(({ promise }) => promise))
    .then(async () => (await hardlinks)?.importer.close())
    .catch((error: unknown) =>
      log.line(`Could not remove the hard-link helper container: ${errorMessage(error)}`),
    );
  const settled = await Promise.allSettled(imports);
  await closed;
  const names = nodes.map(({ session }) => session.name);
  const failed = names.flatMap((name, index): FailedNode[] => {
    const result = settled[index];
    return result?.status === "rejected" ? [{ name, reason: result.reason }] : [];
  });
  // An invalid archive fails for every node with the same error.
  const invalidArchive = failed.find(({ reason }) => reason instanceof InvalidArchiveError);
  if (invalidArchive !== undefined) throw invalidArchive.reason;
  throwFailures(
    failed,
    names.filter((name) => !failed.some((node) => node.name === name)),
  );
  const plans = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const counted = new Set<string>();
  return images.map((image) => outcomeOf(image, plans, names, counted));
}

/** Starts the hard-link helper container, if the daemon sees the files. */
async function startHardlinks(
  images: readonly SourceImage[],
  blobs: readonly FileBlob[],
  { container }: NodeSession,
  { root, volumes }: { root: string; volumes: ReadonlyMap<string, string> },
  { engine, labels, log }: Pick<LoadOptions, "engine" | "labels" | "log">,
): Promise<Hardlinks | undefined> {
  const archives = [...new Set(images.flatMap(({ content }) => content?.file ?? []))];
  try {
    const importer = await HardlinkImporter.open(engine, {
      volumes: root,
      archives,
      image: container.image,
      labels,
    });
    // Copied while manifests are written and the other blobs are verified.
    for (const blob of blobs.slice(0, 2)) importer.stage(blob);
    return { importer, volumes };
  } catch (error) {
    log.line(`Could not hard-link blobs; uploading them to each node: ${errorMessage(error)}`);
    return undefined;
  }
}

/** A node that the images could not be loaded into. */
interface FailedNode {
  readonly name: string;
  readonly reason: unknown;
}

/** Images could not be loaded into some nodes. */
export class NodeLoadError extends Error {
  override readonly name = "NodeLoadError";
}

/** @throws NodeLoadError naming the nodes that failed, each with its reason, and the others */
function throwFailures(failed: readonly FailedNode[], others: readonly string[]): void {
  if (failed.length === 0) return;
  throw new NodeLoadError(
    [
      `Could not load images into ${failed.map(({ name }) => name).join(", ")}.`,
      ...failed.map(({ name, reason }) => `- ${name}: ${errorMessage(reason)}`),
      ...(others.length === 0 ? [] : [`Loaded into ${others.join(", ")}.`]),
    ].join("\n"),
  );
}

function outcomeOf(
  image: SourceImage,
  plans: readonly NodeLoadPlan[],
  nodes: readonly string[],
  counted: Set<string>,
): ImportedImage {
  const imports = plans.filter((plan) => plan.import.some(({ id }) => id === image.id));
  const blobs = imports.flatMap(({ hardlink, upload }) => [...hardlink, ...upload]);
  const layers = new Set(image.content?.layers.map(({ digest }) => digest));
  let bytes = 0;
  for (const { digest, size } of blobs) {
    if (!layers.has(digest) || counted.has(digest)) continue;
    counted.add(digest);
    bytes += size;
  }
  const retagged = plans.some(({ retag }) => retag.some((each) => each.image === image));
  const outcome = imports.length > 0 ? "loaded" : retagged ? "re-tagged" : "already there";
  return { names: image.names, id: image.id, outcome, nodes, bytes };
}
