import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../../docker/engine.ts";
import { errorMessage } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { Containerd, ContentStore, ImageTarget } from "../../node/containerd/client.ts";
import { codes, GrpcError } from "../../node/containerd/grpc.ts";
import type { FileBlob, HardlinkImporter } from "../../node/content/hardlink.ts";
import { readBlob } from "../../node/content/read-blob.ts";
import { connectNode, type NodeSession } from "../../node/session.ts";
import { unpackImages } from "../../node/unpack.ts";
import { childDigests } from "./gc-references.ts";
import { imageNames } from "./image-names.ts";
import { type NodeLoadPlan, planNodeLoad, type SourceImage } from "./plan-node.ts";
import type { VerifyBlob } from "./verify-blob.ts";

/** Where blobs can be linked, and into which volume for a node's container. */
export interface Links {
  readonly blobs: HardlinkImporter;
  readonly volumes: ReadonlyMap<string, string>;
}

/** One node's part of a transfer. */
export interface ImportJob {
  readonly images: readonly SourceImage[];
  readonly node: NodeSession;
  readonly plan: NodeLoadPlan;
  /** Undefined, soon or at once, where blobs cannot be linked. */
  readonly links: Promise<Links | undefined>;
  readonly verified: VerifyBlob;
  readonly engine: Engine;
  readonly log: Log;
  /** Whether the node begins to unpack what it got. */
  readonly unpack: boolean;
  /** Told when no more will be linked. */
  readonly onLinked: () => void;
}

/**
 * A node may fail for reasons that pass: kind restarts containerd when it applies the user's patches to its
 * configuration. The last attempt links nothing.
 */
const attempts = 3;

/** Brings images into a node, and sees that they are there. @throws when they are not; an image has its names when it is whole */
export async function importImages(to: ImportJob, attempt = 1): Promise<void> {
  const { images, node, plan } = to;
  let isPlaced = false;
  try {
    await importContent(to);
    isPlaced = true;
    to.onLinked();
    await Promise.all([
      startUnpacking(to),
      plan.present.length < images.length && verifyImport(images, plan, node),
    ]);
  } catch (error) {
    const passes = error instanceof GrpcError || error instanceof ImportVerificationError;
    if (!passes || attempt === attempts) throw error;
    to.log.line(`${node.name}, attempt ${attempt} of ${attempts}: ${error.message}`);
    const again = await connectNode(to.engine, node, patience);
    const canLink = !isPlaced && attempt + 1 < attempts && (await to.links) !== undefined;
    const rest = planNodeLoad(images, again.inventory, canLink);
    await importImages({ ...to, node: again, plan: rest }, attempt + 1);
  } finally {
    node.containerd.close();
  }
}

/** How long a containerd may take to come back, and to notice what it was told, in milliseconds. */
const patience = 10_000;

/** Gives a node what it lacks, and everything its names, each image when it is whole. */
async function importContent({ node, plan, links, verified }: ImportJob): Promise<void> {
  const { containerd } = node;
  await Promise.all([...plan.hardlink, ...plan.upload].map(verified));
  if (plan.import.length > 0) {
    await containerd.withLease(async (store) => {
      for (const { content } of plan.import)
        for (const document of content.manifests)
          await store.write(document, once(document.bytes), childDigests(document, content));
      await send(plan.upload, store);
      const opened = plan.hardlink.length > 0 ? await links : undefined;
      if (opened === undefined) await send(plan.hardlink, store);
      else await link(plan.hardlink, node, store, opened, verified);
      for (const image of plan.import) await name(containerd, imageNames(image), image.content.target);
    });
  }
  for (const { image, names } of plan.retag)
    await name(containerd, names, await containerd.getTarget(image.id));
}

async function name(containerd: Containerd, names: readonly string[], target: ImageTarget) {
  for (const each of names) await containerd.name(each, target);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function send(blobs: readonly FileBlob[], store: ContentStore): Promise<void> {
  for (const blob of blobs) await store.write(blob, readBlob(blob));
}

/** How often a blob is linked: what garbage containerd collects meanwhile may take a file that it does not know of yet. */
const tries = 3;

/** Links blobs into a node's content store, and makes its containerd adopt them. The next two are staged meanwhile. */
async function link(
  blobs: readonly FileBlob[],
  { container }: NodeSession,
  store: ContentStore,
  { blobs: links, volumes }: Links,
  verified: VerifyBlob,
): Promise<void> {
  const volume = volumes.get(container.id) ?? "";
  for (const [index, blob] of blobs.entries()) {
    for (let tried = 1; ; tried++) {
      await links.link(blob, await verified(blob), volume);
      for (const next of blobs.slice(index + 1, index + 3)) links.stage(next);
      try {
        await store.commitExisting(blob);
        break;
      } catch (error) {
        const taken = error instanceof GrpcError && error.code === codes.outOfRange;
        if (!taken || tried === tries) throw error;
      }
    }
  }
}

async function startUnpacking({ node, plan, unpack: wanted, engine, log }: ImportJob): Promise<void> {
  if (!wanted || plan.import.length === 0) return;
  const targets = plan.import.map(({ content }) => content.target.digest);
  try {
    await unpackImages(engine, node.container.id, targets);
  } catch (error) {
    log.line(`${node.name} unpacks when the first pod wants it: ${errorMessage(error)}`);
  }
}

/** A node that was told, and does not have it. */
class ImportVerificationError extends Error {
  override readonly name = "Unconfirmed";
}

/**
 * Sees that a node has every blob, and names every image by its right ID. Kubernetes' view of images follows containerd's
 * by a moment.
 */
async function verifyImport(
  images: readonly SourceImage[],
  { import: bring }: NodeLoadPlan,
  { containerd }: NodeSession,
): Promise<void> {
  const blobs = bring.flatMap(({ content }) => [...content.manifests, ...content.layers]);
  await Promise.all(
    blobs.map(async (blob) => {
      if (!(await containerd.hasBlob(blob)))
        throw new ImportVerificationError(`it was told of everything, and has no blob ${blob.digest}`);
    }),
  );
  const until = performance.now() + patience;
  for (;;) {
    const { idByName: has } = await containerd.images();
    const unnamed = images.find(({ names, id }) => names.some((name) => has.get(name) !== id));
    if (unnamed === undefined) return;
    if (performance.now() > until)
      throw new ImportVerificationError(
        `it was told of everything, and has no ${unnamed.names.join(", ")} with the ID ${unnamed.id}`,
      );
    await sleep(50);
  }
}
