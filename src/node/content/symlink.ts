import { join } from "node:path";
import type { FolderMount } from "../../cluster/config.ts";
import type { Engine } from "../../docker/engine.ts";
import { fileName, type ProxiesPlan } from "../../registries/proxies.ts";
import { blobPath, type Kept } from "../../registries/storage.ts";
import { blobsFolder } from "../containerd/client.ts";
import type { ClusterNode } from "../nodes.ts";
import { askNode } from "../session.ts";

/** Where nodes see what proxies keep. */
const mount = "/kind-action/proxies";

/** The folder that nodes need of this machine: of what not everybody may see, they get nothing. */
export const proxiesMounts = (proxies: Pick<ProxiesPlan, "folders"> | undefined): FolderMount[] =>
  proxies?.folders === undefined ? [] : [{ hostPath: proxies.folders.shared, containerPath: mount }];

/** A blob that a proxy holds. */
export interface HeldBlob {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** Where nodes see its file. */
  readonly path: string;
}

/**
 * The blobs that a node can have without asking for them. Manifests it asks for: they are small, and what was asked for
 * says what of the rest was used.
 *
 * @param held what each proxy holds, by the upstream's name
 */
export function heldBlobs(held: ReadonlyMap<string, Kept>): HeldBlob[] {
  const found = new Map<string, HeldBlob>();
  for (const [name, { repositories, blobs }] of held) {
    const manifests = new Set(repositories.flatMap((repository) => repository.manifests));
    for (const [blob, size] of blobs) {
      if (manifests.has(blob)) continue;
      const path = join(mount, fileName(name), blobPath(blob));
      found.set(blob, { digest: `sha256:${blob}`, size, path });
    }
  }
  return [...found.values()];
}

/**
 * Puts blobs into a node's content store for the price of a name: as links to the proxies' files. A pull finds them there,
 * and neither copies their bytes nor writes them to the disk once more.
 *
 * @param deadline milliseconds, in which the node's containerd has to answer
 */
export async function linkIntoNode(
  engine: Engine,
  node: ClusterNode,
  blobs: readonly HeldBlob[],
  deadline: number,
): Promise<void> {
  const { containerd, inventory } = await askNode(engine, node, deadline);
  try {
    const missing = blobs.filter(({ digest }) => !inventory.content.has(digest));
    const links = missing.map(({ digest, path }) => [
      `/var/${blobsFolder}/${digest.replace("sha256:", "")}`,
      { target: path },
    ]);
    await engine.containers.writeFiles(node.container.id, Object.fromEntries(links));
    await Promise.all(missing.map((blob) => containerd.keep(blob)));
  } finally {
    containerd.close();
  }
}
