import { join } from "node:path";
import type { VisibleBlob } from "../node/content/symlink.ts";
import { type ProxiesPlan, safeName } from "./proxies.ts";
import { type RegistryContents, storageBlobPath } from "./storage.ts";

/** The mount point of the proxies' folder in the nodes. */
const mountPath = "/kind-action/proxies";

/** Returns the mount of the shared folder for the nodes. The folders of proxies with credentials are not mounted. */
export const proxyMounts = (
  proxies: Pick<ProxiesPlan, "folders"> | undefined,
): { hostPath: string; containerPath: string }[] =>
  proxies?.folders === undefined ? [] : [{ hostPath: proxies.folders.shared, containerPath: mountPath }];

/**
 * Lists the blobs that can be linked into a node. Manifests are left out: they are small, and the requests for them show
 * which of the other blobs a run uses.
 *
 * @param contents the contents of each proxy, by the upstream's name
 */
export function proxiedBlobs(contents: ReadonlyMap<string, RegistryContents>): VisibleBlob[] {
  const visible = new Map<string, VisibleBlob>();
  for (const [name, { repositories, blobs }] of contents) {
    const manifests = new Set(repositories.flatMap((repository) => repository.manifests));
    for (const [blob, size] of blobs) {
      if (manifests.has(blob)) continue;
      const path = join(mountPath, safeName(name), storageBlobPath(blob));
      visible.set(blob, { digest: `sha256:${blob}`, size, path });
    }
  }
  return [...visible.values()];
}
