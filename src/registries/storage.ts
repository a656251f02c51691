import { lstat, mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import * as z from "zod";
import { sha256File } from "../lib/sha256.ts";

/** SHA-256 in hexadecimal: what a blob is, and its name. */
export const blobHex = z.string().regex(/^[0-9a-f]{64}$/);

/** The grammar of github.com/distribution/reference, in which no part can lead out of a folder. */
const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const repositoryName = z
  .string()
  .max(255)
  .regex(new RegExp(`^${component}(?:/${component})*$`));

/** What of a repository a registry holds: the blobs that are its manifests, and all others. */
export const repositoryContents = z.strictObject({
  name: repositoryName,
  manifests: z.array(blobHex),
  layers: z.array(blobHex),
});
export type RepositoryContents = z.infer<typeof repositoryContents>;

/** How distribution lays out what it holds: registry/storage/paths.go. */
const root = "docker/registry/v2";
export const storageBlobPath = (blob: string): string =>
  `${root}/blobs/sha256/${blob.slice(0, 2)}/${blob}/data`;
const linkPaths = {
  manifests: (repository: string, blob: string) =>
    `${root}/repositories/${repository}/_manifests/revisions/sha256/${blob}/link`,
  layers: (repository: string, blob: string) =>
    `${root}/repositories/${repository}/_layers/sha256/${blob}/link`,
};
const linkPattern = new RegExp(
  `^${root}/repositories/(.+)/(_manifests/revisions|_layers)/sha256/([0-9a-f]{64})/link$`,
);
const blobPattern = new RegExp(`^${root}/blobs/sha256/[0-9a-f]{2}/([0-9a-f]{64})/data$`);

/** What a registry's folder holds: repositories, and the sizes of blobs. */
export interface RegistryContents {
  readonly repositories: readonly RepositoryContents[];
  readonly blobs: ReadonlyMap<string, number>;
  /** What manifests name, as far as it is there. */
  readonly named: ReadonlyMap<string, readonly string[]>;
}

/**
 * Looks into a registry's folder. What is only half there is left out, and so are tags: they are the upstream's to tell.
 *
 * A repository's are also the blobs that its manifests name, if another repository brought them: a node that has a layer
 * already does not ask for it again, and the next run's nodes have others.
 *
 * @returns in an order that depends on nothing but names
 */
export async function readStorage(folder: string): Promise<RegistryContents> {
  const entries = await filesBelow(folder);
  const blobs = new Map<string, number>();
  for (const entry of entries) {
    const [, blob] = blobPattern.exec(entry) ?? [];
    if (blob !== undefined) blobs.set(blob, (await stat(join(folder, entry))).size);
  }
  const repositories = new Map<string, RepositoryContents>();
  for (const entry of entries) {
    const [, name = "", kind, blob = ""] = linkPattern.exec(entry) ?? [];
    if (!blobs.has(blob) || !repositoryName.safeParse(name).success) continue;
    const repository = repositories.get(name) ?? { name, manifests: [], layers: [] };
    repositories.set(name, repository);
    repository[kind === "_layers" ? "layers" : "manifests"].push(blob);
  }
  const whole = await Promise.all(
    [...repositories.values()].map((repository) => withNamed(folder, repository, blobs)),
  );
  return {
    repositories: whole.map(({ repository }) => repository),
    blobs,
    named: new Map(whole.flatMap(({ named }) => [...named])),
  };
}

const descriptor = z.object({ digest: z.string() });
const manifest = z.object({
  manifests: z.array(descriptor).default([]),
  config: descriptor.optional(),
  layers: z.array(descriptor).default([]),
});
/** No registry takes a larger one: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests */
const mostOfManifest = 4 * 1024 ** 2;

async function withNamed(
  folder: string,
  { name, ...own }: RepositoryContents,
  blobs: ReadonlyMap<string, number>,
): Promise<{ repository: RepositoryContents; named: Map<string, string[]> }> {
  const [manifests, layers] = [new Set(own.manifests), new Set(own.layers)];
  const named = new Map<string, string[]>();
  const there = (descriptors: readonly { digest: string }[]) =>
    descriptors.map(({ digest }) => digest.replace("sha256:", "")).filter((blob) => blobs.has(blob));
  // An index names manifests, which are looked at in their turn.
  for (const blob of manifests) {
    if ((blobs.get(blob) ?? 0) > mostOfManifest) continue;
    const read = readManifest(await readFile(join(folder, storageBlobPath(blob)), "utf8"));
    const images = there(read.manifests);
    const parts = there([...read.layers, ...(read.config ? [read.config] : [])]);
    for (const each of images) manifests.add(each);
    for (const each of parts) layers.add(each);
    named.set(blob, [...images, ...parts]);
  }
  return {
    repository: { name, manifests: [...manifests].toSorted(), layers: [...layers].toSorted() },
    named,
  };
}

/** @returns what it names: nothing where it is of a kind that names otherwise */
function readManifest(text: string): z.infer<typeof manifest> {
  try {
    return manifest.parse(JSON.parse(text));
  } catch {
    return { manifests: [], layers: [] };
  }
}

/** Their paths below a folder, in order. Links lead to what is not the registry's, and are no files. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
    .toSorted();
}

/** Moves a file into a registry's folder as a blob. */
export async function addBlob(folder: string, blob: string, file: string): Promise<void> {
  const path = join(folder, storageBlobPath(blob));
  await mkdir(dirname(path), { recursive: true });
  await rename(file, path);
}

/** Lets a registry find blobs that are in its folder by their repositories: those that it lacks are passed over. */
export async function linkBlobs(
  folder: string,
  repositories: readonly RepositoryContents[],
  has: (blob: string) => boolean,
): Promise<void> {
  for (const repository of repositories) {
    for (const kind of ["manifests", "layers"] as const) {
      for (const blob of repository[kind].filter(has)) {
        const path = join(folder, linkPaths[kind](repository.name, blob));
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, `sha256:${blob}`);
      }
    }
  }
}

/** Whether a file is the blob that it is called. */
export async function matchesDigest(file: string, blob: string): Promise<boolean> {
  try {
    // A link leads to what may be something else the next time.
    return (await lstat(file)).isFile() && (await sha256File(file)) === blob;
  } catch {
    return false;
  }
}

/** The blobs that a registry was asked for, from what it has printed. */
export function requestedBlobs(log: string): Set<string> {
  const uris = log.matchAll(/http\.request\.uri="?\/v2\/[^ "]+\/(?:blobs|manifests)\/sha256:([0-9a-f]{64})/g);
  return new Set([...uris].map(([, blob = ""]) => blob));
}
