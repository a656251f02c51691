import { setTimeout as sleep } from "node:timers/promises";
import { ConversationError } from "../../docker/conversation.ts";
import type { ContainerDetails, Engine } from "../../docker/engine.ts";
import type { Log } from "../../log.ts";
import { messageOf } from "../../problems.ts";
import { BadArchive } from "../archive.ts";
import { BlobLinks, type FileBlob, linkable } from "./blob-links.ts";
import { Containerd, type Inventory } from "./containerd.ts";
import { type BroughtImage, type NodePlan, planNode, type SourceImage } from "./node-plan.ts";
import { ociLayout } from "./oci-layout.ts";
import { type Verify, verifier } from "./verify.ts";

/** A node that has said what it has. */
export interface AskedNode {
  readonly name: string;
  readonly container: ContainerDetails;
  readonly containerd: Containerd;
  readonly inventory: Inventory;
}

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

/** What the nodes of a cluster lack, they have afterwards. */
export interface TransferSettings {
  readonly engine: Engine;
  /** For the container that links blobs. */
  readonly labels: Record<string, string>;
  readonly log: Log;
  /** Nodes that could not be asked: they fail the transfer when the others are done. */
  readonly unreachable?: readonly FailedNode[];
}

/** Opens a conversation with a node and asks what it has. @param deadline milliseconds in which its containerd has to be up */
export async function askNode(
  engine: Engine,
  { name, container }: { name: string; container: ContainerDetails },
  deadline: number,
): Promise<AskedNode> {
  const until = performance.now() + deadline;
  for (;;) {
    let containerd: Containerd | undefined;
    try {
      containerd = await Containerd.in(engine, { ...container, name });
      const inventory = await containerd.inventory(Math.max(until - performance.now(), 1_000));
      return { name, container, containerd, inventory };
    } catch (error) {
      containerd?.close();
      // A containerd that is just starting refuses the first question.
      if (!(error instanceof ConversationError) || performance.now() + pause > until)
        throw new Error(`it cannot be asked what it has: ${messageOf(error)}`, { cause: error });
      await sleep(pause);
    }
  }
}

const pause = 200;

/**
 * Brings images into nodes, to all at once, and just what each lacks; then sees that they are there.
 *
 * @returns what became of each image
 * @throws for an archive that is wrong, before any node names an image of it; for nodes that fail, when the others are done
 */
export async function transfer(
  images: readonly SourceImage[],
  nodes: readonly AskedNode[],
  { engine, labels, log, unreachable = [] }: TransferSettings,
): Promise<TransferredImage[]> {
  const place = linkable(nodes.map(({ container }) => container));
  const planFor = (canLink: boolean) => nodes.map(({ inventory }) => planNode(images, inventory, canLink));
  let plans = planFor(place !== undefined);
  const verified = verifier((file) => images.find(({ content }) => content?.file === file)?.from ?? file);
  // Hashing begins while the container that links starts. Who needs a blob hears of it.
  for (const blob of plans.flatMap(({ link, send }) => [...link, ...send])) verified(blob).catch(() => {});
  const links = await openLinks(plans, nodes, place?.root, { engine, labels, log });
  if (links === undefined) plans = planFor(false);
  const placing: Promise<void>[] = [];
  const bringing = nodes.map((node, index) => {
    const plan = plans[index] ?? planNode(images, node.inventory, false);
    const placed = link(plan.link, node, place?.volumes.get(node.container.id), links, verified);
    placing.push(placed);
    return bring(images, node, plan, placed, { engine, verified, log });
  });
  const closed = Promise.allSettled(placing)
    .then(() => links?.close())
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
  volumes: string | undefined,
  { engine, labels, log }: TransferSettings,
): Promise<BlobLinks | undefined> {
  const archives = [...new Set(plans.flatMap(({ link }) => link.map(({ file }) => file)))];
  const image = nodes[0]?.container.image;
  if (archives.length === 0 || volumes === undefined || image === undefined) return undefined;
  try {
    return await BlobLinks.open(engine, { volumes, archives, image, labels });
  } catch (error) {
    log.line(`Blobs are sent to each node, because they cannot be linked: ${messageOf(error)}`);
    return undefined;
  }
}

async function link(
  blobs: readonly FileBlob[],
  { containerd }: AskedNode,
  volume: string | undefined,
  links: BlobLinks | undefined,
  verified: Verify,
): Promise<void> {
  if (links === undefined || volume === undefined) return;
  for (const blob of blobs) {
    await links.stage(blob, await verified(blob));
    await links.link(blob, volume);
    await containerd.ingest(blob);
  }
}

/**
 * A node may fail for reasons that pass: kind restarts containerd when it applies the user's patches to its
 * configuration, and containerd's garbage collector may take a blob that no image refers to yet.
 */
const attempts = 3;

async function bring(
  images: readonly SourceImage[],
  node: AskedNode,
  plan: NodePlan,
  placed: Promise<void>,
  on: { engine: Engine; verified: Verify; log: Log },
  attempt = 1,
): Promise<void> {
  try {
    await placed;
    await complete(plan, node, on.verified);
    if (plan.present.length < images.length) await confirm(images, plan, node);
  } catch (error) {
    const passes = error instanceof ConversationError || error instanceof Unconfirmed;
    if (!passes || attempt === attempts) throw error;
    on.log.line(`${node.name}, attempt ${attempt} of ${attempts}: ${error.message}`);
    const again = await askNode(on.engine, node, patience);
    const rest = planNode(images, again.inventory, false);
    await bring(images, again, rest, Promise.resolve(), on, attempt + 1);
  } finally {
    node.containerd.close();
  }
}

/** How long a containerd may take to come back, and to notice what it was told, in milliseconds. */
const patience = 10_000;

/** Sends what is not linked, and gives everything its names. */
async function complete(plan: NodePlan, { containerd }: AskedNode, verified: Verify): Promise<void> {
  await Promise.all(plan.send.map(verified));
  if (plan.bring.length > 0) await containerd.import(ociLayout(plan.bring, plan.send));
  for (const { image, names } of plan.retag) {
    for (const name of names) await containerd.tag(image.id, name);
  }
}

/** A node that was told, and does not have it. */
class Unconfirmed extends Error {
  override readonly name = "Unconfirmed";
}

/**
 * Sees that a node has every blob, and names every image by its right ID. Kubernetes' view of images follows containerd's
 * by a moment.
 */
async function confirm(
  images: readonly SourceImage[],
  { bring }: NodePlan,
  { containerd }: AskedNode,
): Promise<void> {
  const until = performance.now() + patience;
  for (;;) {
    const has = await containerd.inventory(patience);
    const blob = contentOf(bring).find((digest) => !has.content.has(digest));
    if (blob !== undefined) throw new Unconfirmed(`it was told of everything, and has no blob ${blob}`);
    const unnamed = images.find(({ names, id }) => names.some((name) => has.names.get(name) !== id));
    if (unnamed === undefined) return;
    if (performance.now() > until)
      throw new Unconfirmed(
        `it was told of everything, and has no ${unnamed.names.join(", ")} with the ID ${unnamed.id}`,
      );
    await sleep(50);
  }
}

/** The digests of everything that images consist of. */
const contentOf = (images: readonly BroughtImage[]) =>
  images.flatMap(({ content }) => [...content.documents, ...content.layers]).map(({ digest }) => digest);

/** Why a node does not have the images. */
export interface FailedNode {
  readonly name: string;
  readonly reason: unknown;
}

/** @throws naming the nodes that failed, each with its reason, and those that did not */
export function throwFailures(failed: readonly FailedNode[], others: readonly { name: string }[]): void {
  if (failed.length === 0) return;
  throw new Error(
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
