import { lstat, mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import * as z from "zod";
import { sha256File } from "../lib/sha256.ts";
import { hexOf } from "../oci/digest.ts";
import { maxManifestBytes } from "../oci/limits.ts";

/** The SHA-256 of a blob, in hexadecimal. */
export const blobHex = z.string().regex(/^[0-9a-f]{64}$/);

/** The grammar of github.com/distribution/reference. No component can be `..` or empty, so a name is a safe path. */
const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const repositoryName = z
  .string()
  .max(255)
  .regex(new RegExp(`^${component}(?:/${component})*$`));

/** The blobs of a repository: manifests, and all others (layers and configs). */
export const repositoryContents = z.strictObject({
  name: repositoryName,
  manifests: z.array(blobHex),
  layers: z.array(blobHex),
});
export type RepositoryContents = z.infer<typeof repositoryContents>;

/** The storage layout of distribution: registry/storage/paths.go. */
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

/** The contents of a registry's storage. */
export interface RegistryContents {
  readonly repositories: readonly RepositoryContents[];
  /** The sizes of blobs in bytes, by their SHA-256. */
  readonly blobs: ReadonlyMap<string, number>;
  /** The blobs that each manifest refers to, as far as the registry has them. */
  readonly children: ReadonlyMap<string, readonly string[]>;
}

/**
 * Reads the storage of a registry. Incomplete blobs and tags are left out: a proxy resolves tags at its upstream.
 *
 * A repository includes the blobs that its manifests refer to, even if only another repository has a link to them: a node
 * that already has a layer does not request it again, but the nodes of the next run may lack it.
 *
 * @returns repositories and blobs in an order that depends only on their names
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
  const completed = await Promise.all(
    [...repositories.values()].map((repository) => withChildren(folder, repository, blobs)),
  );
  return {
    repositories: completed.map(({ repository }) => repository),
    blobs,
    children: new Map(completed.flatMap(({ children }) => [...children])),
  };
}

const descriptor = z.object({ digest: z.string() });
const manifest = z.object({
  manifests: z.array(descriptor).default([]),
  config: descriptor.optional(),
  layers: z.array(descriptor).default([]),
});

/** Adds to a repository the blobs that its manifests refer to. */
async function withChildren(
  folder: string,
  { name, ...linked }: RepositoryContents,
  blobs: ReadonlyMap<string, number>,
): Promise<{ repository: RepositoryContents; children: Map<string, string[]> }> {
  const [manifests, layers] = [new Set(linked.manifests), new Set(linked.layers)];
  const children = new Map<string, string[]>();
  const existing = (descriptors: readonly { digest: string }[]) =>
    descriptors.map(({ digest }) => hexOf(digest)).filter((blob) => blobs.has(blob));
  // The loop also visits the manifests of an index, which it adds to the set.
  for (const blob of manifests) {
    if ((blobs.get(blob) ?? 0) > maxManifestBytes) continue;
    const parsed = parseManifest(await readFile(join(folder, storageBlobPath(blob)), "utf8"));
    const images = existing(parsed.manifests);
    const parts = existing([...parsed.layers, ...(parsed.config ? [parsed.config] : [])]);
    for (const each of images) manifests.add(each);
    for (const each of parts) layers.add(each);
    children.set(blob, [...images, ...parts]);
  }
  return {
    repository: { name, manifests: [...manifests].toSorted(), layers: [...layers].toSorted() },
    children,
  };
}

/** Parses a manifest or an index. @returns an empty manifest if it has another format */
function parseManifest(text: string): z.infer<typeof manifest> {
  try {
    return manifest.parse(JSON.parse(text));
  } catch {
    return { manifests: [], layers: [] };
  }
}

/** Lists the regular files below a folder, sorted. Symbolic links can lead out of the folder, and are left out. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
    .toSorted();
}

/** Moves a file into the storage of a registry, as a blob. */
export async function addBlob(folder: string, blob: string, file: string): Promise<void> {
  const path = join(folder, storageBlobPath(blob));
  await mkdir(dirname(path), { recursive: true });
  await rename(file, path);
}

/** Links blobs in the storage of a registry to their repositories. Blobs that the storage lacks are skipped. */
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

/** Whether a file is a regular file with a SHA-256. */
export async function matchesDigest(file: string, blob: string): Promise<boolean> {
  try {
    // The target of a symbolic link can change after the check.
    return (await lstat(file)).isFile() && (await sha256File(file)) === blob;
  } catch {
    return false;
  }
}

/** Finds the blobs that were requested from a registry in its access log. */
export function requestedBlobs(log: string): Set<string> {
  const uris = log.matchAll(/http\.request\.uri="?\/v2\/[^ "]+\/(?:blobs|manifests)\/sha256:([0-9a-f]{64})/g);
  return new Set([...uris].map(([, blob = ""]) => blob));
}
