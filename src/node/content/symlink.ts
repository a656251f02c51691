import { join } from "node:path";
import type { FolderMount } from "../../cluster/config.ts";
import type { Engine } from "../../docker/engine.ts";
import { type ProxiesPlan, safeName } from "../../registries/proxies.ts";
import { type RegistryContents, storageBlobPath } from "../../registries/storage.ts";
import { contentStorePath } from "../containerd/client.ts";
import type { ClusterNode } from "../nodes.ts";
import { connectNode } from "../session.ts";

/** Where nodes see what proxies keep. */
const mount = "/kind-action/proxies";

/** The folder that nodes need of this machine: of what not everybody may see, they get nothing. */
export const proxyMounts = (proxies: Pick<ProxiesPlan, "folders"> | undefined): FolderMount[] =>
  proxies?.folders === undefined ? [] : [{ hostPath: proxies.folders.shared, containerPath: mount }];

/** A blob that a proxy holds. */
export interface ProxiedBlob {
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
export function proxiedBlobs(held: ReadonlyMap<string, RegistryContents>): ProxiedBlob[] {
  const found = new Map<string, ProxiedBlob>();
  for (const [name, { repositories, blobs }] of held) {
    const manifests = new Set(repositories.flatMap((repository) => repository.manifests));
    for (const [blob, size] of blobs) {
      if (manifests.has(blob)) continue;
      const path = join(mount, safeName(name), storageBlobPath(blob));
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
export async function symlinkBlobs(
  engine: Engine,
  node: ClusterNode,
  blobs: readonly ProxiedBlob[],
  deadline: number,
): Promise<void> {
  const { containerd, inventory } = await connectNode(engine, node, deadline);
  try {
    const missing = blobs.filter(({ digest }) => !inventory.blobDigests.has(digest));
    const links = missing.map(({ digest, path }) => [
      `/var/${contentStorePath}/${digest.replace("sha256:", "")}`,
      { target: path },
    ]);
    await engine.containers.writeFiles(node.container.id, Object.fromEntries(links));
    await Promise.all(missing.map((blob) => containerd.pinBlob(blob)));
  } finally {
    containerd.close();
  }
}
