import { setTimeout as sleep } from "node:timers/promises";
import { ConversationError } from "../../docker/conversation.ts";
import type { Engine } from "../../docker/engine.ts";
import type { Log } from "../../log.ts";
import { type AskedNode, askNode } from "./ask-node.ts";
import type { BlobLinks, FileBlob } from "./blob-links.ts";
import { hexOf } from "./containerd.ts";
import { type BroughtImage, type NodePlan, planNode, type SourceImage } from "./node-plan.ts";
import { allNames, ociLayout } from "./oci-layout.ts";
import type { Verify } from "./verify.ts";

/** Where blobs can be linked, and into which volume for a node's container. */
export interface Links {
  readonly blobs: BlobLinks;
  readonly volumes: ReadonlyMap<string, string>;
}

/** One node's part of a transfer. */
export interface Bringing {
  readonly images: readonly SourceImage[];
  readonly node: AskedNode;
  readonly plan: NodePlan;
  /** Undefined, soon or at once, where blobs cannot be linked. */
  readonly links: Promise<Links | undefined>;
  readonly verified: Verify;
  readonly engine: Engine;
  readonly log: Log;
  /** Whether the node begins to unpack what it got. */
  readonly unpack: boolean;
  /** Told when no more will be linked. */
  readonly placed: () => void;
  /** The IDs of the images that the node had before the first attempt. */
  readonly had: ReadonlySet<string>;
}

/**
 * A node may fail for reasons that pass: kind restarts containerd when it applies the user's patches to its
 * configuration, and containerd's garbage collector may take a blob between its link and its ingest. The last attempt
 * links nothing.
 */
const attempts = 3;

/** Brings images into a node, and sees that they are there. @throws when they are not, leaving no image that is not whole */
export async function bring(to: Bringing, attempt = 1): Promise<void> {
  const { images, node, plan } = to;
  let isPlaced = false;
  try {
    await place(to);
    isPlaced = true;
    to.placed();
    if (plan.present.length < images.length) await confirm(images, plan, node);
  } catch (error) {
    const passes = error instanceof ConversationError || error instanceof Unconfirmed;
    if (!passes) throw error;
    if (attempt === attempts) {
      await forget(to);
      throw error;
    }
    to.log.line(`${node.name}, attempt ${attempt} of ${attempts}: ${error.message}`);
    const again = await askNode(to.engine, node, patience);
    const canLink = !isPlaced && attempt + 1 < attempts && (await to.links) !== undefined;
    const rest = planNode(images, again.inventory, canLink);
    await bring({ ...to, node: again, plan: rest }, attempt + 1);
  } finally {
    node.containerd.close();
  }
}

/** How long a containerd may take to come back, and to notice what it was told, in milliseconds. */
const patience = 10_000;

/**
 * Gives a node what it lacks, and everything its names.
 *
 * containerd's garbage collector takes blobs that no image refers to. So the documents of an image come before the blobs
 * that are linked, under the image's ID, a name that Kubernetes' part of containerd gives every image anyway, and that no
 * pod asks for. Each import leaves garbage, its index, and the collection takes linked files along that are not adopted
 * yet: so the garbage is collected first, which containerd does when a name is removed.
 */
async function place(to: Bringing): Promise<void> {
  const { node, plan, links, verified } = to;
  const { containerd } = node;
  await Promise.all([...plan.link, ...plan.send].map(verified));
  if (plan.link.length > 0) {
    await containerd.import(ociLayout(plan.bring, plan.send, (image) => [image.id, passing(image)]));
    await containerd.remove(plan.bring.map(passing));
    const opened = await links;
    if (opened === undefined) {
      // What is small is there already.
      await containerd.import(ociLayout(plan.bring, plan.link));
    } else {
      await link(plan.link, node, opened, verified);
      for (const image of plan.bring) await containerd.tag(image.id, allNames(image));
    }
  } else if (plan.bring.length > 0) {
    await containerd.import(ociLayout(plan.bring, plan.send));
  }
  await unpack(to);
  for (const { image, names } of plan.retag) await containerd.tag(image.id, names);
}

/** A name that is given to be removed. */
const passing = ({ id }: SourceImage) => `kind-action.invalid/loading:${hexOf(id)}`;

async function unpack({ node: { containerd }, plan, unpack }: Bringing): Promise<void> {
  if (unpack && plan.bring.length > 0)
    await containerd.unpack(plan.bring.map(({ content }) => content.target.digest));
}

/** Links blobs into a node's content store, and makes its containerd adopt them. The next two are staged meanwhile. */
async function link(
  blobs: readonly FileBlob[],
  { containerd, container }: AskedNode,
  { blobs: links, volumes }: Links,
  verified: Verify,
): Promise<void> {
  const volume = volumes.get(container.id) ?? "";
  for (const [index, blob] of blobs.entries()) {
    for (let tries = 1; ; tries++) {
      await links.link(blob, await verified(blob), volume);
      for (const next of blobs.slice(index + 1, index + 3)) links.stage(next);
      try {
        await containerd.ingest(blob);
        break;
      } catch (error) {
        // The garbage collector took the file before containerd knew of it.
        if (tries === attempts) throw error;
      }
    }
  }
}

/** Takes back what a node was told of images that it did not get whole; as far as it still listens. */
async function forget({ images, engine, node, had }: Bringing): Promise<void> {
  try {
    const { containerd, inventory } = await askNode(engine, node, patience);
    const named = new Set(inventory.names.values());
    const ids = images.map(({ id }) => id).filter((id) => !had.has(id) && !named.has(id));
    await containerd.remove([...images.map(passing), ...ids]).catch(() => {});
    containerd.close();
  } catch {
    // What it said first is told.
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
    // containerd has taken each blob, or has said that it has it.
    const has = await containerd.inventory(patience, false);
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
