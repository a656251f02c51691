import type { Engine } from "../../docker/engine.ts";
import type { Log } from "../../log.ts";
import { messageOf } from "../../problems.ts";
import { BadArchive } from "../archive.ts";
import type { AskedNode } from "./ask-node.ts";
import { BlobLinks, linkable } from "./blob-links.ts";
import { bring, type Links } from "./bring.ts";
import { type NodePlan, planNode, type SourceImage } from "./node-plan.ts";
import { verifier } from "./verify.ts";

/** What became of an image. */
export interface TransferredImage {
  /** All its names. */
  readonly names: readonly string[];
  readonly id: string;
  readonly outcome: "loaded" | "re-tagged" | "already there";
  /** The nodes that have it now. */
  readonly nodes: readonly string[];
  /** What was brought for it: each blob once, however many nodes lacked it; what images share counts with the first. */
  readonly bytes: number;
}

export interface TransferSettings {
  readonly engine: Engine;
  /** For the container that links blobs. */
  readonly labels: Record<string, string>;
  readonly log: Log;
  /** Nodes that could not be asked: they fail the transfer when the others are done. */
  readonly unreachable?: readonly FailedNode[];
  /** The name of a node that unpacks at once what it gets, in the background: the one that all pods will run on. */
  readonly unpackOn?: string | undefined;
}

/**
 * Brings images into nodes, to all at once, and just what each lacks; then sees that they are there.
 *
 * @returns what became of each image
 * @throws for an archive that is wrong, before any node names an image of it; for nodes that fail, when the others are done
 */
export async function transfer(
  images: readonly SourceImage[],
  nodes: readonly AskedNode[],
  { engine, labels, log, unreachable = [], unpackOn }: TransferSettings,
): Promise<TransferredImage[]> {
  const place = linkable(nodes.map(({ container }) => container));
  const plans = nodes.map(({ inventory }) => planNode(images, inventory, place !== undefined));
  const verified = verifier((file) => images.find(({ content }) => content?.file === file)?.from ?? file);
  // Hashing begins while the container that links starts. Who needs a blob hears of it.
  for (const blob of plans.flatMap(({ link, send }) => [...link, ...send])) verified(blob).catch(() => {});
  const links = place ? openLinks(plans, nodes, place, { engine, labels, log }) : Promise.resolve(undefined);
  const placed = nodes.map(() => Promise.withResolvers<void>());
  const bringing = nodes.map((node, index) => {
    const plan = plans[index] ?? planNode(images, node.inventory, false);
    const done = () => placed[index]?.resolve();
    const settings = { links, verified, engine, log, unpack: node.name === unpackOn, placed: done };
    return bring({ ...settings, images, node, plan, had: node.inventory.ids }).finally(done);
  });
  const closed = Promise.all([links, ...placed.map(({ promise }) => promise)])
    .then(([opened]) => opened?.blobs.close())
    .catch((error: unknown) => log.line(`The container that links is not gone: ${messageOf(error)}`));
  const settled = await Promise.allSettled(bringing);
  await closed;
  const failed = nodes.flatMap(({ name }, index): FailedNode[] => {
    const result = settled[index];
    return result?.status === "rejected" ? [{ name, reason: result.reason }] : [];
  });
  // A wrong archive is wrong for every node; nodes fail each for itself.
  const wrong = failed.find(({ reason }) => reason instanceof BadArchive);
  if (wrong !== undefined) throw wrong.reason;
  throwFailures(
    [...unreachable, ...failed],
    nodes.filter(({ name }) => !failed.some((node) => node.name === name)),
  );
  const counted = new Set<string>();
  return images.map((image) => outcomeOf(image, plans, nodes, counted));
}

/** The container that links, where a node has something to be linked and the daemon sees the files. */
async function openLinks(
  plans: readonly NodePlan[],
  nodes: readonly AskedNode[],
  { root, volumes }: { root: string; volumes: ReadonlyMap<string, string> },
  { engine, labels, log }: Pick<TransferSettings, "engine" | "labels" | "log">,
): Promise<Links | undefined> {
  const archives = [...new Set(plans.flatMap(({ link }) => link.map(({ file }) => file)))];
  const image = nodes[0]?.container.image;
  if (archives.length === 0 || image === undefined) return undefined;
  try {
    const blobs = await BlobLinks.open(engine, { volumes: root, archives, image, labels });
    // While nodes are told of what comes, and the rest is verified.
    for (const blob of plans.flatMap(({ link }) => link).slice(0, 2)) blobs.stage(blob);
    return { blobs, volumes };
  } catch (error) {
    log.line(`Blobs are sent to each node, because they cannot be linked: ${messageOf(error)}`);
    return undefined;
  }
}

/** Why a node does not have the images. */
export interface FailedNode {
  readonly name: string;
  readonly reason: unknown;
}

/** Some nodes do not have the images. */
export class NodesFailed extends Error {
  override readonly name = "NodesFailed";
}

/** @throws {NodesFailed} naming the nodes that failed, each with its reason, and those that did not */
export function throwFailures(failed: readonly FailedNode[], others: readonly { name: string }[]): void {
  if (failed.length === 0) return;
  throw new NodesFailed(
    [
      `The images did not get into ${failed.map(({ name }) => name).join(", ")}.`,
      ...failed.map(({ name, reason }) => `- ${name}: ${messageOf(reason)}`),
      ...(others.length === 0 ? [] : [`They are in ${others.map(({ name }) => name).join(", ")}.`]),
    ].join("\n"),
  );
}

function outcomeOf(
  image: SourceImage,
  plans: readonly NodePlan[],
  nodes: readonly AskedNode[],
  counted: Set<string>,
): TransferredImage {
  const brought = plans.filter(({ bring }) => bring.some(({ id }) => id === image.id));
  const blobs = brought.flatMap(({ link, send }) => [...link, ...send]);
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
