import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { docker } from "../../e2e/machine.ts";
import { readLab } from "../lab.ts";
import { Descriptor, type Images, pieceSize } from "./images.ts";

const Manifest = z.object({ mediaType: z.string(), config: Descriptor, layers: z.array(Descriptor) });

/** An image of the Docker daemon as a registry has it when it was pushed there: its layers compressed. */
export interface PushedImage extends AsyncDisposable {
  readonly images: Images;
  readonly repository: string;
  /** Of its manifest. */
  readonly digest: string;
}

/** Pushes an image into a registry that is there for a moment, and keeps what that then holds. */
export async function pushedImage(image: string): Promise<PushedImage> {
  const folder = await mkdtemp(join(tmpdir(), "pushed-"));
  const container = `pushed-image-${folder.split("-").at(-1)}`;
  const repository = "node";
  try {
    await docker(
      ...["run", "--detach", "--name", container, "--publish", "127.0.0.1::5000"],
      ...["--volume", `${folder}:/var/lib/registry`, readLab().registry],
    );
    const [published = ""] = await docker("port", container, "5000/tcp");
    const pushed = `127.0.0.1:${published.split(":").at(-1)}/${repository}:1`;
    await docker("tag", image, pushed);
    await docker("push", "--quiet", pushed);
    const [digests = ""] = await docker("inspect", "--format", "{{json .RepoDigests}}", pushed);
    await docker("rmi", pushed);
    const names = z.array(z.string()).parse(JSON.parse(digests));
    const digest = names.find((name) => name.startsWith(pushed.replace(/:1$/, "@")))?.split("@")[1] ?? "";
    const blob = (hash: string) =>
      join(folder, "docker/registry/v2/blobs", hash.replace(":", `/${hash.slice(7, 9)}/`), "data");
    const text = await readFile(blob(digest), "utf8");
    const { mediaType, config, layers } = Manifest.parse(JSON.parse(text));
    const manifest = { mediaType, digest, size: Buffer.byteLength(text) };
    return {
      digest,
      repository,
      images: {
        list: [{ repository, tag: "1", manifests: [manifest], config, otherConfigs: [], layers }],
        read: (hash, range) => createReadStream(blob(hash), { ...range, highWaterMark: pieceSize }),
      },
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  } finally {
    await docker("rm", "--force", "--volumes", container);
  }
}
