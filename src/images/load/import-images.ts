import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../../docker/engine.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { Containerd, ContentStore, Target } from "../../node/containerd/client.ts";
import { codes, GrpcError } from "../../node/containerd/grpc.ts";
import type { BlobLinks, FileBlob } from "../../node/content/hardlink.ts";
import { bytesOf } from "../../node/content/read-blob.ts";
import { type AskedNode, askNode } from "../../node/session.ts";
import { unpack } from "../../node/unpack.ts";
import { referencesOf } from "./gc-references.ts";
import { allNames } from "./image-names.ts";
import { type NodePlan, planNode, type SourceImage } from "./plan-node.ts";
import type { Verify } from "./verify-blob.ts";

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
}

/**
 * A node may fail for reasons that pass: kind restarts containerd when it applies the user's patches to its
 * configuration. The last attempt links nothing.
 */
const attempts = 3;

/** Brings images into a node, and sees that they are there. @throws when they are not; an image has its names when it is whole */
export async function bring(to: Bringing, attempt = 1): Promise<void> {
  const { images, node, plan } = to;
  let isPlaced = false;
  try {
    await place(to);
    isPlaced = true;
    to.placed();
    await Promise.all([
      beginToUnpack(to),
      plan.present.length < images.length && confirm(images, plan, node),
    ]);
  } catch (error) {
    const passes = error instanceof GrpcError || error instanceof Unconfirmed;
    if (!passes || attempt === attempts) throw error;
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

/** Gives a node what it lacks, and everything its names, each image when it is whole. */
async function place({ node, plan, links, verified }: Bringing): Promise<void> {
  const { containerd } = node;
  await Promise.all([...plan.link, ...plan.send].map(verified));
  if (plan.bring.length > 0) {
    await containerd.leased(async (store) => {
      for (const { content } of plan.bring)
        for (const document of content.documents)
          await store.write(document, once(document.bytes), referencesOf(document, content));
      await send(plan.send, store);
      const opened = plan.link.length > 0 ? await links : undefined;
      if (opened === undefined) await send(plan.link, store);
      else await link(plan.link, node, store, opened, verified);
      for (const image of plan.bring) await name(containerd, allNames(image), image.content.target);
    });
  }
  for (const { image, names } of plan.retag) await name(containerd, names, await containerd.target(image.id));
}

async function name(containerd: Containerd, names: readonly string[], target: Target) {
  for (const each of names) await containerd.name(each, target);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function send(blobs: readonly FileBlob[], store: ContentStore): Promise<void> {
  for (const blob of blobs) await store.write(blob, bytesOf(blob));
}

/** How often a blob is linked: what garbage containerd collects meanwhile may take a file that it does not know of yet. */
const tries = 3;

/** Links blobs into a node's content store, and makes its containerd adopt them. The next two are staged meanwhile. */
async function link(
  blobs: readonly FileBlob[],
  { container }: AskedNode,
  store: ContentStore,
  { blobs: links, volumes }: Links,
  verified: Verify,
): Promise<void> {
  const volume = volumes.get(container.id) ?? "";
  for (const [index, blob] of blobs.entries()) {
    for (let tried = 1; ; tried++) {
      await links.link(blob, await verified(blob), volume);
      for (const next of blobs.slice(index + 1, index + 3)) links.stage(next);
      try {
        await store.adopt(blob);
        break;
      } catch (error) {
        const taken = error instanceof GrpcError && error.code === codes.outOfRange;
        if (!taken || tried === tries) throw error;
      }
    }
  }
}

async function beginToUnpack({ node, plan, unpack: wanted, engine, log }: Bringing): Promise<void> {
  if (!wanted || plan.bring.length === 0) return;
  const targets = plan.bring.map(({ content }) => content.target.digest);
  try {
    await unpack(engine, node.container.id, targets);
  } catch (error) {
    log.line(`${node.name} unpacks when the first pod wants it: ${messageOf(error)}`);
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
  const blobs = bring.flatMap(({ content }) => [...content.documents, ...content.layers]);
  await Promise.all(
    blobs.map(async (blob) => {
      if (!(await containerd.has(blob)))
        throw new Unconfirmed(`it was told of everything, and has no blob ${blob.digest}`);
    }),
  );
  const until = performance.now() + patience;
  for (;;) {
    const { names: has } = await containerd.images();
    const unnamed = images.find(({ names, id }) => names.some((name) => has.get(name) !== id));
    if (unnamed === undefined) return;
    if (performance.now() > until)
      throw new Unconfirmed(
        `it was told of everything, and has no ${unnamed.names.join(", ")} with the ID ${unnamed.id}`,
      );
    await sleep(50);
  }
}
