import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createGzip } from "node:zlib";
import * as z from "zod";
import { docker } from "../../e2e/machine.ts";
import { readLab } from "../lab.ts";
import { type Descriptor, pieceSize } from "./images.ts";
import { digestOf, member } from "./layers.ts";
import { startUpstream } from "./registry.ts";

/** A node image of its own, in a registry on loopback, where it is named by its digest. */
export interface PinnedNodeImage extends AsyncDisposable {
  /** `127.0.0.1:PORT/node:TAG@sha256:…` */
  readonly reference: string;
  /** Takes it out of the Docker daemon, as on a runner that is new. */
  forget(): Promise<void>;
  /** Ends the registry: from now on it can be had from nowhere. */
  unreachable(): Promise<void>;
}

const Saved = z.tuple([z.object({ Config: z.string(), Layers: z.array(z.string()) })]);
const Config = z.looseObject({ rootfs: z.looseObject({ diff_ids: z.array(z.string()) }) });

const types = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
};

/**
 * Makes one that shares no layer with another: each lies on the lowest, and that has a file of its own.
 *
 * @param label tells it from others: the same one makes the same image. Without one, nobody has seen it before.
 */
export async function pinnedNodeImage(label: string = randomUUID()): Promise<PinnedNodeImage> {
  const { image, kubernetes } = readLab().nodeImages.current;
  const folder = await mkdtemp(join(tmpdir(), "node-image-"));
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    const unpacked = 'set -o pipefail; docker save "$0" | tar --extract --directory "$1"';
    await promisify(execFile)("bash", ["-c", unpacked, image, folder]);
    const read = async (file: string) => JSON.parse(await readFile(join(folder, file), "utf8"));
    const [saved] = Saved.parse(await read("manifest.json"));
    const like = Config.parse(await read(saved.Config));

    const texts = new Map<string, Buffer>();
    const add = (mediaType: string, content: object): Descriptor => {
      const text = Buffer.from(JSON.stringify(content));
      const digest = digestOf(text);
      texts.set(digest, text);
      return { mediaType, digest, size: text.length };
    };
    const files = new Map<string, string>();
    const layers: Descriptor[] = [];
    const diffIds: string[] = [];
    for (const [index, layer] of saved.Layers.entries()) {
      const before = index === 0 ? member("lab", Buffer.from(label)) : [];
      const { file, diffId, ...descriptor } = await packed(Buffer.concat(before), join(folder, layer));
      files.set(descriptor.digest, file);
      layers.push(descriptor);
      diffIds.push(diffId);
    }
    const config = add(types.config, { ...like, rootfs: { ...like.rootfs, diff_ids: diffIds } });
    const manifest = add(types.manifest, { schemaVersion: 2, mediaType: types.manifest, config, layers });

    const registry = await startUpstream({
      images: {
        list: [
          { repository: "node", tag: kubernetes, manifests: [manifest], config, otherConfigs: [], layers },
        ],
        read(digest, { start, end }) {
          const text = texts.get(digest);
          if (text !== undefined) return Readable.from([text.subarray(start, end + 1)]);
          return createReadStream(files.get(digest) ?? "", { start, end, highWaterMark: pieceSize });
        },
      },
      addresses: ["127.0.0.1"],
      bandwidth: 1e10,
      latency: 0,
    });
    const forget = async () => {
      await docker("rmi", "--force", config.digest).catch(() => []);
    };
    const unreachable = async () => {
      await registry.close();
      await removeFolder();
    };
    return {
      reference: `127.0.0.1:${registry.port}/node:${kubernetes}@${manifest.digest}`,
      forget,
      unreachable,
      async [Symbol.asyncDispose]() {
        await unreachable();
        await forget();
      },
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

/**
 * Packs a layer as registries have them, so that its digest is not its diff ID. Nothing is made smaller: that takes half a
 * minute, as `docker push` does.
 */
async function packed(before: Buffer, layer: string): Promise<Descriptor & { file: string; diffId: string }> {
  const file = `${layer}.gz`;
  const chunkSize = 1024 ** 2;
  const [plain, packed] = [createHash("sha256"), createHash("sha256")];
  const unpacked = async function* () {
    yield before;
    yield* createReadStream(layer, { highWaterMark: chunkSize });
  };
  let size = 0;
  await pipeline(
    unpacked,
    seen((chunk) => plain.update(chunk)),
    createGzip({ level: 0, chunkSize }),
    seen((chunk) => {
      packed.update(chunk);
      size += chunk.length;
    }),
    createWriteStream(file),
  );
  return {
    mediaType: types.layer,
    digest: `sha256:${packed.digest("hex")}`,
    diffId: `sha256:${plain.digest("hex")}`,
    size,
    file,
  };
}

/** Shows what goes through it. */
const seen = (show: (chunk: Buffer) => void) =>
  async function* passed(chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      show(chunk);
      yield chunk;
    }
  };
