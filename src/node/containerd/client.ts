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

/** The path of the content store's blobs below the node's /var, in containerd's layout. */
export const contentStorePath = "lib/containerd/io.containerd.content.v1.content/blobs/sha256";

/** The images and blobs of a node. */
export interface NodeInventory {
  /** The IDs of images by their names. */
  readonly idByName: ReadonlyMap<string, string>;
  /** The IDs of all images, with or without a name. */
  readonly imageIds: ReadonlySet<string>;
  /** The IDs of the images that are part of the node image: the cluster itself runs them. */
  readonly preloadedIds: ReadonlySet<string>;
  /** The digests of all blobs. */
  readonly blobDigests: ReadonlySet<string>;
}

/** The digest and size of a blob. */
export interface BlobDescriptor {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** The descriptor that an image's name refers to: a manifest, or the index that lists it. */
export type ImageTarget = Pick<Descriptor, "mediaType" | "digest" | "size">;

/** A content store, while a lease protects what is written to it. */
export interface ContentStore {
  /**
   * Commits a blob whose file is in the content store already.
   *
   * @throws GrpcError with `outOfRange` when the file does not exist or has another size
   */
  commitExisting(blob: BlobDescriptor): Promise<void>;
  /**
   * Writes a blob, unless the store has it.
   *
   * @param references the digests of blobs that the garbage collector keeps as long as this one
   * @throws GrpcError when the bytes do not have the digest
   */
  write(
    blob: BlobDescriptor,
    bytes: AsyncIterable<Uint8Array>,
    references?: readonly string[],
  ): Promise<void>;
}

/** A node whose container runs, and whose containerd may still be starting. */
export type RunningNode = Pick<ContainerDetails, "id" | "created">;

/** The timeout of most calls, in milliseconds. */
const defaultTimeoutMs = 60_000;
/** The timeout of writing a blob, in milliseconds. */
const writeTimeoutMs = 600_000;
/** The time after which a lease expires, if it was not deleted, in milliseconds. */
const leaseMs = 3_600_000;

/** A client of the containerd of one node: of containerd's API, and of the CRI that it serves to the kubelet. */
export class Containerd {
  readonly #node: RunningNode;
  readonly #connection: ContainerdStream;
  readonly #grpc: GrpcConnection;

  private constructor(node: RunningNode, connection: ContainerdStream) {
    this.#node = node;
    this.#connection = connection;
    this.#grpc = new GrpcConnection(connection.stream);
  }

  /**
   * Connects to the containerd of a node.
   *
   * @param timeoutMs milliseconds within which a containerd that is starting must listen: calls fail otherwise
   * @throws Error when the container does not run
   */
  static async connect(engine: Engine, node: RunningNode, timeoutMs: number): Promise<Containerd> {
    return new Containerd(node, await dialContainerd(engine, node.id, timeoutMs));
  }

  /** Lists images and blobs. @param timeoutMs milliseconds, within which a containerd that is starting must answer */
  async inventory(timeoutMs: number): Promise<NodeInventory> {
    const [{ idByName, imageIds }, contents] = await Promise.all([
      this.images(timeoutMs),
      this.#call(Content.List, [{}], { timeoutMs }),
    ]);
    const blobs = contents.flatMap(({ info }) => info);
    // Whole seconds are enough: the blobs of the node image are much older than the container.
    const nodeSeconds = Math.floor(this.#node.created / 1000);
    const preloaded = new Set(
      blobs
        .filter(({ createdAt }) => (createdAt?.seconds ?? nodeSeconds) < nodeSeconds)
        .map(({ digest }) => digest),
    );
    return {
      idByName,
      imageIds,
      preloadedIds: new Set([...imageIds].filter((id) => preloaded.has(id))),
      blobDigests: new Set(blobs.map(({ digest }) => digest)),
    };
  }

  /** Lists the images that the CRI shows, a moment after they changed in containerd. */
  async images(timeoutMs: number = defaultTimeoutMs): Promise<Pick<NodeInventory, "idByName" | "imageIds">> {
    const responses = await this.#call(ImageService.ListImages, [{}], { timeoutMs });
    const images = responses.flatMap((response) => response.images);
    return {
      idByName: new Map(
        images.flatMap(({ id, repoTags, repoDigests }) =>
          [...repoTags, ...repoDigests].map((name): [string, string] => [name, id]),
        ),
      ),
      imageIds: new Set(images.map(({ id }) => id)),
    };
  }

  /** Whether the content store has the bytes of a blob. */
  async hasBlob({ digest, size }: BlobDescriptor): Promise<boolean> {
    const read = this.#call(Content.Read, [{ digest, offset: 0, size: Math.min(size, 1) }]);
    return await unless(
      codes.notFound,
      read.then(() => true),
      false,
    );
  }

  /** Commits a blob whose file is in the content store already, and protects it from garbage collection for good. */
  async pinBlob(blob: BlobDescriptor): Promise<void> {
    await this.#commit(blob, { labels: { "containerd.io/gc.root": "kind-action" } });
  }

  /**
   * Calls a function with a content store: the garbage collector keeps what it writes until it has ended, by when images
   * must refer to the blobs.
   */
  async withLease<T>(use: (store: ContentStore) => Promise<T>): Promise<T> {
    const id = `kind-action-${randomBytes(8).toString("hex")}`;
    // In case this process ends before it deletes the lease.
    const expiry = new Date(Date.now() + leaseMs).toISOString();
    await this.#call(Leases.Create, [{ id, labels: { "containerd.io/gc.expire": expiry } }]);
    try {
      return await use({
        commitExisting: (blob) => this.#commit(blob, { lease: id }),
        write: (blob, bytes, references = []) => this.#upload(blob, bytes, labelsOf(references), id),
      });
    } finally {
      // If this fails, the lease expires.
      await this.#call(Leases.Delete, [{ id, sync: false }]).catch(() => {});
    }
  }

  /** Commits a blob at the end of its file, without writing to it. */
  async #commit(
    { digest, size }: BlobDescriptor,
    { labels = {}, lease }: { labels?: Record<string, string>; lease?: string },
  ): Promise<void> {
    const commit = writeOf({ digest, size }, { action: WriteAction.COMMIT, offset: size, labels });
    const call = this.#call(Content.Write, [commit], lease === undefined ? {} : { lease });
    await unless(codes.alreadyExists, call, undefined);
  }

  async #upload(
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
        const isLast = offset + data.length === size;
        yield writeOf(blob, {
          ...(isLast ? { action: WriteAction.COMMIT, labels } : { action: WriteAction.WRITE }),
          offset,
          data,
        });
        offset += data.length;
      }
    }
    const written = this.#call(Content.Write, writes(), { lease, timeoutMs: writeTimeoutMs });
    if ((await unless(codes.alreadyExists, written, undefined)) !== undefined) return;
    // The blob existed, maybe without these labels.
    if (Object.keys(labels).length === 0) return;
    const updateMask = { paths: Object.keys(labels).map((label) => `labels.${label}`) };
    await this.#call(Content.Update, [{ info: { digest, labels }, updateMask }]);
  }

  /** Returns the target of an image. @param name a name or the ID @throws GrpcError with `notFound` */
  async getTarget(name: string): Promise<ImageTarget> {
    const [response] = await this.#call(Images.Get, [{ name }]);
    const target = response?.image?.target;
    if (target === undefined) throw new GrpcError(codes.notFound, `image "${name}": not found`);
    return target;
  }

  /** Adds a name to an image, and removes it from another image that has it. */
  async nameImage(name: string, target: ImageTarget): Promise<void> {
    const image = { name, target };
    const created = this.#call(Images.Create, [{ image }]);
    if ((await unless(codes.alreadyExists, created, undefined)) === undefined)
      await this.#call(Images.Update, [{ image, updateMask: { paths: ["target"] } }]);
  }

  /** Whether the connection is open, and no call on it went without a response. */
  get isUsable(): boolean {
    return this.#grpc.isUsable;
  }

  close(): void {
    this.#grpc.close();
    this.#connection.close();
  }

  async #call<I extends object, O extends object>(
    method: Method<I, O>,
    requests: Iterable<PartialMessage<I>> | AsyncIterable<PartialMessage<I>>,
    { lease, timeoutMs = defaultTimeoutMs }: { lease?: string } & Partial<CallSettings> = {},
  ): Promise<O[]> {
    const headers = { "containerd-namespace": "k8s.io", ...(lease && { "containerd-lease": lease }) };
    try {
      return await this.#grpc.call(method, requests, { headers, timeoutMs });
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      // Standard error comes through another pipe and may arrive a moment later.
      await setImmediate();
      const reason = [error.message, this.#connection.stderr()].filter(Boolean).join(": ");
      const call = method.path.split(".").at(-1);
      throw new GrpcError(error.code, `containerd: ${call} failed: ${reason}`, { cause: error });
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
 * Returns the labels by which the garbage collector finds the blobs that a blob refers to:
 * https://github.com/containerd/containerd/blob/main/docs/garbage-collection.md
 */
const labelsOf = (references: readonly string[]): Record<string, string> =>
  Object.fromEntries(references.map((digest, index) => [`containerd.io/gc.ref.content.${index}`, digest]));

/** Returns the result of a call, or another value when it fails with a status code. */
async function unless<T, U>(code: number, call: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof GrpcError && error.code === code) return otherwise;
    throw error;
  }
}
