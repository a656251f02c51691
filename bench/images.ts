import { execFile } from "node:child_process";
import { createHash, randomBytes, randomInt } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { Header } from "tar/header";
import { docker } from "../__tests__/e2e/machine.ts";

/** One of the layers of an image. Nobody has seen it before: a second load of the same bytes measures nothing. */
export interface Layer {
  /** Uncompressed. */
  readonly tar: Buffer;
  readonly digest: string;
}

/** An image that was never built. It sleeps. */
export interface Image {
  /** With its registry and tag, as containerd has it. */
  readonly name: string;
  /** The digest of its config. */
  readonly id: string;
  readonly config: Buffer;
  readonly layers: readonly Layer[];
}

/** Where images get their content from. */
export interface Material {
  /** The root file system of a small image with a shell, as a tar. */
  readonly system: Buffer;
  /** Files of this machine: programs and libraries. */
  readonly files: readonly string[];
}

/** @param image what has a shell and is on this machine */
export async function gatherMaterial(image: string): Promise<Material> {
  const [container = ""] = await docker("create", image);
  try {
    const [system, files] = await Promise.all([
      promisify(execFile)("docker", ["export", container], { encoding: "buffer", maxBuffer: 100_000_000 }),
      promisify(execFile)(
        "find",
        ["/usr/bin", "/usr/lib", "-type", "f", "-readable", "-size", "+100k", "-size", "-20M"],
        { maxBuffer: 100_000_000 },
      ),
    ]);
    return { system: system.stdout, files: files.stdout.split("\n").filter(Boolean) };
  } finally {
    await docker("rm", "--force", container);
  }
}

/** The part of a layer that is random: no node has seen it, and nothing compresses it. */
const random = 0.55;

/**
 * A layer of about `bytes` bytes: a file of random bytes, and real files.
 *
 * @param system whether it has the shell
 */
export async function makeLayer(
  bytes: number,
  { files, system }: Material,
  { system: withSystem = false } = {},
): Promise<Layer> {
  const end = withSystem ? system : Buffer.alloc(2 * block);
  const parts = member("random", randomBytes(Math.floor(bytes * random)));
  const left = () => bytes - end.length - parts.reduce((sum, { length }) => sum + length, 0);
  const first = randomInt(files.length);
  for (let index = 0; left() > block; index++) {
    const content = await readFile(files[(first + index) % files.length] ?? "");
    parts.push(...member(`real/${index}`, content.subarray(0, left() - block)));
  }
  const tar = Buffer.concat([...parts, end]);
  return { tar, digest: digestOf(tar) };
}

/** `count` layers of `bytes` bytes each, the lowest with the shell. */
export async function makeLayers(count: number, bytes: number, material: Material): Promise<Layer[]> {
  const layers: Layer[] = [];
  for (let index = 0; index < count; index++) {
    layers.push(await makeLayer(bytes, material, { system: index === 0 }));
  }
  return layers;
}

/** @param name if not given, one that no other image has */
export function makeImage(layers: readonly Layer[], name = freshName()): Image {
  const config = json({
    os: "linux",
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    config: { Env: ["PATH=/bin:/usr/bin"], Cmd: ["sleep", "3600"] },
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  });
  return { name, id: digestOf(config), config, layers };
}

const freshName = () => `docker.io/kind-action-bench/${randomBytes(6).toString("hex")}:1`;

/** Writes an image as `docker save` did for most of its life: a folder for each layer, and a manifest.json. */
export async function writeArchive(path: string, { name, id, config, layers }: Image): Promise<void> {
  const fileOf = ({ digest }: Layer) => `${hex(digest)}/layer.tar`;
  const manifest = json([{ Config: `${hex(id)}.json`, RepoTags: [name], Layers: layers.map(fileOf) }]);
  const archive = await open(path, "w");
  try {
    const write = async (entry: string, content: Buffer) => {
      for (const part of member(entry, content)) await archive.writeFile(part);
    };
    for (const layer of layers) await write(fileOf(layer), layer.tar);
    await write(`${hex(id)}.json`, config);
    await write("manifest.json", manifest);
    await archive.writeFile(Buffer.alloc(2 * block));
  } finally {
    await archive.close();
  }
}

const block = 512;

/** A file in a tar. */
function member(path: string, content: Buffer): Buffer[] {
  const header = new Header({
    path,
    size: content.length,
    type: "File",
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: new Date(0),
  });
  const head = Buffer.alloc(block);
  if (header.encode(head, 0)) throw new Error(`${path} does not fit into a tar's header.`);
  return [head, content, Buffer.alloc((block - (content.length % block)) % block)];
}

const digestOf = (content: Buffer) => `sha256:${createHash("sha256").update(content).digest("hex")}`;
const hex = (digest: string) => digest.slice("sha256:".length);
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
