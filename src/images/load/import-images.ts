import { errorMessage } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { poll } from "../../lib/poll.ts";
import type { Containerd, ContentStore, ImageTarget } from "../../node/containerd/client.ts";
import { codes, GrpcError } from "../../node/containerd/grpc.ts";
import type { FileBlob, HardlinkImporter } from "../../node/content/hardlink.ts";
import { readBlob } from "../../node/content/read-blob.ts";
import type { NodeSession } from "../../node/session.ts";
import { childDigests } from "./gc-references.ts";
import { imageNames } from "./image-names.ts";
import { type NodeLoadPlan, planNodeLoad, type SourceImage } from "./plan-node.ts";
import type { VerifyBlob } from "./verify-blob.ts";

/** The hard-link helper, and the volumes that it links into. */
export interface Hardlinks {
  readonly importer: HardlinkImporter;
  /** The name of a node's volume by the ID of its container. */
  readonly volumes: ReadonlyMap<string, string>;
}

/** The import of images into one node. */
export interface ImportJob {
  readonly images: readonly SourceImage[];
  readonly node: NodeSession;
  readonly plan: NodeLoadPlan;
  /** Undefined when blobs cannot be hard-linked. */
  readonly hardlinks: Promise<Hardlinks | undefined>;
  readonly verifyBlob: VerifyBlob;
  readonly log: Log;
  /** Whether the node starts to unpack the images. */
  readonly unpack: boolean;
  /** Called when the node needs no further hard links. */
  readonly onLinked: () => void;
}

/**
 * An import may fail for a temporary reason: kind restarts containerd when it applies the user's patches to its
 * configuration. The last attempt uses no hard links.
 */
const maxAttempts = 3;

/** The time that containerd may take to restart, and the CRI to list new images, in milliseconds. */
const settleTimeoutMs = 10_000;

/**
 * Imports images into a node, and verifies that the node has them. An image gets its names only when all its blobs are there.
 *
 * @throws GrpcError when containerd still fails in the last attempt
 * @throws ImportVerificationError when the node still lacks an image after the last attempt
 * @throws InvalidArchiveError when a blob does not have its digest
 */
export async function importImages(job: ImportJob, attempt = 1): Promise<void> {
  const { images, node, plan } = job;
  let isImported = false;
  try {
    await importContent(job);
    isImported = true;
    job.onLinked();
    await Promise.all([
      startUnpacking(job),
      plan.present.length < images.length && verifyImport(images, plan, node),
    ]);
  } catch (error) {
    const mayBeTemporary = error instanceof GrpcError || error instanceof ImportVerificationError;
    if (!mayBeTemporary || attempt === maxAttempts) throw error;
    job.log.line(`${node.name}: attempt ${attempt} of ${maxAttempts} failed: ${error.message}`);
    const inventory = await node.inventory(settleTimeoutMs);
    const canLink = !isImported && attempt + 1 < maxAttempts && (await job.hardlinks) !== undefined;
    await importImages({ ...job, plan: planNodeLoad(images, inventory, canLink) }, attempt + 1);
  }
}

/** Imports the blobs that a node lacks, then adds the names of the images. */
async function importContent({ node, plan, hardlinks, verifyBlob }: ImportJob): Promise<void> {
  const containerd = await node.containerd(settleTimeoutMs);
  await Promise.all([...plan.hardlink, ...plan.upload].map(verifyBlob));
  if (plan.import.length > 0) {
    await containerd.withLease(async (store) => {
      for (const { content } of plan.import)
        for (const manifest of content.manifests)
          await store.write(manifest, singleChunk(manifest.bytes), childDigests(manifest, content));
      await upload(plan.upload, store);
      const opened = plan.hardlink.length > 0 ? await hardlinks : undefined;
      if (opened === undefined) await upload(plan.hardlink, store);
      else await hardlink(plan.hardlink, node, store, opened, verifyBlob);
      for (const image of plan.import) await nameImage(containerd, imageNames(image), image.content.target);
    });
  }
  for (const { image, names } of plan.retag)
    await nameImage(containerd, names, await containerd.getTarget(image.id));
}

async function nameImage(containerd: Containerd, names: readonly string[], target: ImageTarget) {
  for (const name of names) await containerd.nameImage(name, target);
}

async function* singleChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function upload(blobs: readonly FileBlob[], store: ContentStore): Promise<void> {
  for (const blob of blobs) await store.write(blob, readBlob(blob));
}

/** containerd's garbage collector may remove a linked file before it is committed. */
const maxLinkAttempts = 3;

/** Hard-links blobs into a node's content store, and commits them there. The next two blobs are staged meanwhile. */
async function hardlink(
  blobs: readonly FileBlob[],
  { container }: NodeSession,
  store: ContentStore,
  { importer, volumes }: Hardlinks,
  verifyBlob: VerifyBlob,
): Promise<void> {
  const volume = volumes.get(container.id) ?? "";
  for (const [index, blob] of blobs.entries()) {
    for (let linkAttempt = 1; ; linkAttempt++) {
      await importer.link(blob, await verifyBlob(blob), volume);
      for (const next of blobs.slice(index + 1, index + 3)) importer.stage(next);
      try {
        await store.commitExisting(blob);
        break;
      } catch (error) {
        const isGone = error instanceof GrpcError && error.code === codes.outOfRange;
        if (!isGone || linkAttempt === maxLinkAttempts) throw error;
      }
    }
  }
}

async function startUnpacking({ node, plan, unpack, log }: ImportJob): Promise<void> {
  if (!unpack) return;
  try {
    await node.unpack(plan.import.map(({ content }) => content.target.digest));
  } catch (error) {
    log.line(
      `${node.name}: could not start to unpack images; they are unpacked when a pod needs them: ${errorMessage(error)}`,
    );
  }
}

/** A node lacks an image or a blob after a successful import. */
class ImportVerificationError extends Error {
  override readonly name = "ImportVerificationError";
}

/**
 * Verifies that a node has every blob, and that every name refers to its image in the CRI, which lists new images a moment
 * later than containerd.
 *
 * @throws ImportVerificationError when it does not
 */
async function verifyImport(
  images: readonly SourceImage[],
  plan: NodeLoadPlan,
  node: NodeSession,
): Promise<void> {
  const containerd = await node.containerd(settleTimeoutMs);
  const blobs = plan.import.flatMap(({ content }) => [...content.manifests, ...content.layers]);
  await Promise.all(
    blobs.map(async (blob) => {
      if (!(await containerd.hasBlob(blob)))
        throw new ImportVerificationError(
          `the import succeeded, but blob ${blob.digest} is missing from its content store`,
        );
    }),
  );
  let missing = "";
  const isComplete = await poll(
    async () => {
      const { idByName } = await containerd.images();
      const image = images.find(({ names, id }) => names.some((name) => idByName.get(name) !== id));
      missing = `${image?.names.join(", ")} with the ID ${image?.id}`;
      return image === undefined ? true : undefined;
    },
    { intervalMs: 50, timeoutMs: settleTimeoutMs },
  );
  if (!isComplete)
    throw new ImportVerificationError(`the import succeeded, but Kubernetes does not list ${missing}`);
}
