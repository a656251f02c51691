import { InvalidArchiveError } from "../../archive/read-archive.ts";
import type { ContainerDetails } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { errorMessage } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { type FileBlob, findLinkableVolumes, HardlinkImporter } from "../../node/content/hardlink.ts";
import type { NodeSession } from "../../node/session.ts";
import { importImages, type Links } from "./import-images.ts";
import { type NodeLoadPlan, planNodeLoad, type SourceImage } from "./plan-node.ts";
import { createBlobVerifier } from "./verify-blob.ts";

/** What became of an image. */
export interface ImportedImage {
  /** All its names. */
  readonly names: readonly string[];
  readonly id: string;
  readonly outcome: "loaded" | "re-tagged" | "already there";
  /** The nodes that have it now. */
  readonly nodes: readonly string[];
  /** What was brought for it: each blob once, however many nodes lacked it; what images share counts with the first. */
  readonly bytes: number;
}

export interface LoadOptions {
  readonly engine: Engine;
  /** For the container that links blobs. */
  readonly labels: Record<string, string>;
  readonly log: Log;
  /** The name of a node that unpacks at once what it gets, in the background: the one that all pods will run on. */
  readonly unpackOn?: string | undefined;
}

/** A node that is being asked what it has. */
export interface TargetNode {
  readonly name: string;
  readonly container: ContainerDetails;
  readonly session: Promise<NodeSession>;
}

/**
 * Brings images into nodes, to each as soon as it has said what it has, and just what it lacks; then sees that they are
 * there.
 *
 * @returns what became of each image
 * @throws for an archive that is wrong, before any node names an image of it; for nodes that fail, when the others are done
 */
export async function loadIntoNodes(
  images: readonly SourceImage[],
  nodes: readonly TargetNode[],
  { engine, labels, log, unpackOn }: LoadOptions,
): Promise<ImportedImage[]> {
  const place = findLinkableVolumes(nodes.map(({ container }) => container));
  const verified = createBlobVerifier(
    (file) => images.find(({ content }) => content?.file === file)?.from ?? file,
  );
  let links: Promise<Links | undefined> | undefined;
  const placed = nodes.map(() => Promise.withResolvers<void>());
  const bringing = nodes.map(async ({ name, session: asked }, index): Promise<NodeLoadPlan> => {
    const done = () => placed[index]?.resolve();
    try {
      const node = await asked;
      const plan = planNodeLoad(images, node.inventory, place !== undefined);
      if (plan.hardlink.length > 0 && place !== undefined)
        links ??= openLinks(images, plan.hardlink, node, place, { engine, labels, log });
      const own = { images, node, plan, links: links ?? Promise.resolve(undefined), onLinked: done };
      await importImages({ ...own, verified, engine, log, unpack: name === unpackOn });
      return plan;
    } finally {
      done();
    }
  });
  const closed = Promise.all(placed.map(({ promise }) => promise))
    .then(async () => (await links)?.blobs.close())
    .catch((error: unknown) => log.line(`The container that links is not gone: ${errorMessage(error)}`));
  const settled = await Promise.allSettled(bringing);
  await closed;
  const failed = nodes.flatMap(({ name }, index): FailedNode[] => {
    const result = settled[index];
    return result?.status === "rejected" ? [{ name, reason: result.reason }] : [];
  });
  // A wrong archive is wrong for every node; nodes fail each for itself.
  const wrong = failed.find(({ reason }) => reason instanceof InvalidArchiveError);
  if (wrong !== undefined) throw wrong.reason;
  throwFailures(
    failed,
    nodes.filter(({ name }) => !failed.some((node) => node.name === name)),
  );
  const plans = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const counted = new Set<string>();
  return images.map((image) => outcomeOf(image, plans, nodes, counted));
}

/** The container that links, where the daemon sees the files. */
async function openLinks(
  images: readonly SourceImage[],
  blobs: readonly FileBlob[],
  { container }: NodeSession,
  { root, volumes }: { root: string; volumes: ReadonlyMap<string, string> },
  { engine, labels, log }: Pick<LoadOptions, "engine" | "labels" | "log">,
): Promise<Links | undefined> {
  const archives = [...new Set(images.flatMap(({ content }) => content?.file ?? []))];
  try {
    const opened = await HardlinkImporter.open(engine, {
      volumes: root,
      archives,
      image: container.image,
      labels,
    });
    // While nodes are told of what comes, and the rest is verified.
    for (const blob of blobs.slice(0, 2)) opened.stage(blob);
    return { blobs: opened, volumes };
  } catch (error) {
    log.line(`Blobs are sent to each node, because they cannot be linked: ${errorMessage(error)}`);
    return undefined;
  }
}

/** Why a node does not have the images. */
export interface FailedNode {
  readonly name: string;
  readonly reason: unknown;
}

/** Some nodes do not have the images. */
export class NodeLoadError extends Error {
  override readonly name = "NodesFailed";
}

/** @throws {NodeLoadError} naming the nodes that failed, each with its reason, and those that did not */
function throwFailures(failed: readonly FailedNode[], others: readonly { name: string }[]): void {
  if (failed.length === 0) return;
  throw new NodeLoadError(
    [
      `The images did not get into ${failed.map(({ name }) => name).join(", ")}.`,
      ...failed.map(({ name, reason }) => `- ${name}: ${errorMessage(reason)}`),
      ...(others.length === 0 ? [] : [`They are in ${others.map(({ name }) => name).join(", ")}.`]),
    ].join("\n"),
  );
}

function outcomeOf(
  image: SourceImage,
  plans: readonly NodeLoadPlan[],
  nodes: readonly TargetNode[],
  counted: Set<string>,
): ImportedImage {
  const brought = plans.filter(({ import: bring }) => bring.some(({ id }) => id === image.id));
  const blobs = brought.flatMap(({ hardlink: link, upload: send }) => [...link, ...send]);
  const own = new Set(image.content?.layers.map(({ digest }) => digest));
  let bytes = 0;
  for (const { digest, size } of blobs) {
    if (!own.has(digest) || counted.has(digest)) continue;
    counted.add(digest);
    bytes += size;
  }
  const retagged = plans.some(({ retag }) => retag.some((each) => each.image === image));
  const outcome = brought.length > 0 ? "loaded" : retagged ? "re-tagged" : "already there";
  return { names: image.names, id: image.id, outcome, nodes: nodes.map(({ name }) => name), bytes };
}
