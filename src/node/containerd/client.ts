import { randomBytes } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { PartialMessage } from "@protobuf-ts/runtime";
import type { ContainerDetails } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { type ContainerdStream, dialContainerd } from "./dial.ts";
import { Content, ImageService, Images, Leases } from "./generated/methods.ts";
import { WriteAction, type WriteContentRequest } from "./generated/services/content/v1/content.ts";
import type { Descriptor } from "./generated/types/descriptor.ts";
import { type CallSettings, codes, GrpcConnection, GrpcError, type Method } from "./grpc.ts";

/** A node's content store, below the node's /var: containerd's own layout. */
export const contentStorePath = "lib/containerd/io.containerd.content.v1.content/blobs/sha256";

/** What a node has. */
export interface NodeInventory {
  /** The ID of the image that a name stands for. */
  readonly idByName: ReadonlyMap<string, string>;
  /** The IDs of all images, also of those without a name. */
  readonly imageIds: ReadonlySet<string>;
  /** The IDs of the images that the node image brought: what the cluster itself runs. */
  readonly preloadedIds: ReadonlySet<string>;
  /** The digests of all blobs. */
  readonly blobDigests: ReadonlySet<string>;
}

/** A blob by what it is. */
export interface BlobDescriptor {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** What an image's name stands for: its manifest, or the index which lists that. */
export type ImageTarget = Pick<Descriptor, "mediaType" | "digest" | "size">;

/** Takes blobs into a content store. */
export interface ContentStore {
  /** Makes containerd take a blob whose file is in its store already. @throws `outOfRange` when the file is not there, or is shorter */
  commitExisting(blob: BlobDescriptor): Promise<void>;
  /**
   * Writes a blob. One that is there is left as it is.
   *
   * @param references the digests of what must not be collected while this blob is there
   * @throws when the bytes are not what the digest says
   */
  write(
    blob: BlobDescriptor,
    bytes: AsyncIterable<Uint8Array>,
    references?: readonly string[],
  ): Promise<void>;
}

/** A node whose container runs; its containerd may still be starting. */
export type RunningNode = Pick<ContainerDetails, "id" | "created">;

const seconds = 1_000;
/** What containerd does not have to wait for anything for. */
const soon = 60 * seconds;

/** Talks with the containerd of one node: its own API, and that which it serves to Kubernetes. */
export class Containerd {
  readonly #node: RunningNode;
  readonly #relay: ContainerdStream;
  readonly #grpc: GrpcConnection;

  private constructor(node: RunningNode, relay: ContainerdStream) {
    this.#node = node;
    this.#relay = relay;
    this.#grpc = new GrpcConnection(relay.stream);
  }

  /** @param deadline milliseconds, in which a containerd that starts must have come up */
  static async connect(engine: Engine, node: RunningNode, deadline: number): Promise<Containerd> {
    return new Containerd(node, await dialContainerd(engine, node.id, deadline));
  }

  /** Asks for everything at once. @param deadline milliseconds, in which a containerd that starts must have come up */
  async inventory(deadline: number): Promise<NodeInventory> {
    const [{ idByName: names, imageIds: ids }, contents] = await Promise.all([
      this.images(deadline),
      this.#call(Content.List, [{}], { deadline }),
    ]);
    // Kubernetes writes times to the second; the images of a node image are older than the node by more than that.
    const made = Math.floor(this.#node.created / 1000);
    const own = new Set(
      contents
        .flatMap(({ info }) => info)
        .filter(({ createdAt }) => (createdAt?.seconds ?? made) < made)
        .map(({ digest }) => digest),
    );
    return {
      idByName: names,
      imageIds: ids,
      preloadedIds: new Set([...ids].filter((id) => own.has(id))),
      blobDigests: new Set(contents.flatMap(({ info }) => info.map(({ digest }) => digest))),
    };
  }

  /** The images as Kubernetes sees them, which follows what containerd has by a moment. */
  async images(deadline: number = soon): Promise<Pick<NodeInventory, "idByName" | "imageIds">> {
    const listed = await this.#call(ImageService.ListImages, [{}], { deadline });
    const images = listed.flatMap((each) => each.images);
    return {
      idByName: new Map(
        images.flatMap(({ id, repoTags, repoDigests }) =>
          [...repoTags, ...repoDigests].map((nameImage): [string, string] => [nameImage, id]),
        ),
      ),
      imageIds: new Set(images.map(({ id }) => id)),
    };
  }

  /** Whether the bytes of a blob are there. */
  async hasBlob({ digest, size }: BlobDescriptor): Promise<boolean> {
    const read = this.#call(Content.Read, [{ digest, offset: 0, size: Math.min(size, 1) }]);
    return await unless(
      codes.notFound,
      read.then(() => true),
      false,
    );
  }

  /** Makes containerd take a blob whose file is in its store already, for as long as the node is there. */
  async pinBlob(blob: BlobDescriptor): Promise<void> {
    await this.#take(blob, { labels: { "containerd.io/gc.root": "kind-action" } });
  }

  /**
   * Lets blobs into the content store, which containerd's garbage collector does not take before this has ended: until
   * then they may have been given names.
   */
  async withLease<T>(use: (store: ContentStore) => Promise<T>): Promise<T> {
    const id = `kind-action-${randomBytes(8).toString("hex")}`;
    // It ends by itself where nobody is left to end it.
    const expiry = new Date(Date.now() + 3_600 * seconds).toISOString();
    await this.#call(Leases.Create, [{ id, labels: { "containerd.io/gc.expire": expiry } }]);
    try {
      return await use({
        commitExisting: (blob) => this.#take(blob, { lease: id }),
        write: (blob, bytes, references = []) => this.#write(blob, bytes, labelsOf(references), id),
      });
    } finally {
      // What it keeps otherwise is kept for an hour.
      await this.#call(Leases.Delete, [{ id, sync: false }]).catch(() => {});
    }
  }

  /** A blob's file that is in the store: whoever wants to write the blob is told that all of it is written. */
  async #take(
    { digest, size }: BlobDescriptor,
    { labels = {}, lease }: { labels?: Record<string, string>; lease?: string },
  ): Promise<void> {
    const commit = writeOf({ digest, size }, { action: WriteAction.COMMIT, offset: size, labels });
    const call = this.#call(Content.Write, [commit], lease === undefined ? {} : { lease });
    await unless(codes.alreadyExists, call, undefined);
  }

  async #write(
    blob: BlobDescriptor,
    bytes: AsyncIterable<Uint8Array>,
    labels: Record<string, string>,
    lease: string,
  ): Promise<void> {
    const { digest, size } = blob;
    async function* writes(): AsyncGenerator<PartialMessage<WriteContentRequest>> {
      let offset = 0;
      if (size === 0) yield writeOf(blob, { action: WriteAction.COMMIT, offset, labels });
      for await (const data of bytes) {
        const whole = offset + data.length === size;
        yield writeOf(blob, {
          ...(whole ? { action: WriteAction.COMMIT, labels } : { action: WriteAction.WRITE }),
          offset,
          data,
        });
        offset += data.length;
      }
    }
    const written = this.#call(Content.Write, writes(), { lease, deadline: 600 * seconds });
    if ((await unless(codes.alreadyExists, written, undefined)) !== undefined) return;
    if (Object.keys(labels).length === 0) return;
    const updateMask = { paths: Object.keys(labels).map((label) => `labels.${label}`) };
    await this.#call(Content.Update, [{ info: { digest, labels }, updateMask }]);
  }

  /** The target of an image's name; its ID is one. @throws `notFound` */
  async getTarget(name: string): Promise<ImageTarget> {
    const [found] = await this.#call(Images.Get, [{ name }]);
    if (found?.image?.target === undefined) throw new GrpcError(codes.notFound, `image "${name}": not found`);
    return found.image.target;
  }

  /** Gives an image a name, or takes the name from another image for it. */
  async name(name: string, target: ImageTarget): Promise<void> {
    const image = { name, target };
    const created = this.#call(Images.Create, [{ image }]);
    if ((await unless(codes.alreadyExists, created, undefined)) === undefined)
      await this.#call(Images.Update, [{ image, updateMask: { paths: ["target"] } }]);
  }

  close(): void {
    this.#grpc.close();
    this.#relay.close();
  }

  async #call<I extends object, O extends object>(
    method: Method<I, O>,
    requests: Iterable<PartialMessage<I>> | AsyncIterable<PartialMessage<I>>,
    { lease, deadline = soon }: { lease?: string } & Partial<CallSettings> = {},
  ): Promise<O[]> {
    const headers = { "containerd-namespace": "k8s.io", ...(lease && { "containerd-lease": lease }) };
    try {
      return await this.#grpc.call(method, requests, { headers, deadline });
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      // What the node complained about comes through another pipe: it may be a moment late.
      await setImmediate();
      const said = [error.message, this.#relay.stderr()].filter(Boolean).join(": ");
      const call = method.path.split(".").at(-1);
      throw new GrpcError(error.code, `containerd: ${call} failed: ${said}`, { cause: error });
    }
  }
}

const writeOf = (
  { digest, size }: BlobDescriptor,
  write: PartialMessage<WriteContentRequest>,
): PartialMessage<WriteContentRequest> => ({
  ref: `kind-action-${digest}`,
  total: size,
  expected: digest,
  ...write,
});

/**
 * Labels by which the garbage collector finds what a blob refers to:
 * https://github.com/containerd/containerd/blob/main/docs/garbage-collection.md
 */
const labelsOf = (references: readonly string[]): Record<string, string> =>
  Object.fromEntries(references.map((digest, index) => [`containerd.io/gc.ref.content.${index}`, digest]));

async function unless<T, U>(code: number, call: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof GrpcError && error.code === code) return otherwise;
    throw error;
  }
}
