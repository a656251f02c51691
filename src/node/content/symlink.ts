import type { Engine } from "../../docker/engine.ts";
import { hexOf } from "../../oci/digest.ts";
import { contentStorePath } from "../containerd/client.ts";
import type { NodeSession } from "../session.ts";

/** A blob in a file that is mounted into a node. */
export interface VisibleBlob {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** The path of the file in the node. */
  readonly path: string;
}

/**
 * Puts blobs into a node's content store as symbolic links to mounted files. A pull then neither downloads the blobs nor
 * writes them to the disk again.
 *
 * @param timeoutMs milliseconds within which the node's containerd must answer
 * @throws Error when containerd does not answer in time
 * @throws GrpcError when containerd does not find the file of a blob
 */
export async function symlinkBlobs(
  engine: Engine,
  node: NodeSession,
  blobs: readonly VisibleBlob[],
  timeoutMs: number,
): Promise<void> {
  const { blobDigests } = await node.inventory(timeoutMs);
  const missing = blobs.filter(({ digest }) => !blobDigests.has(digest));
  const links = missing.map(({ digest, path }) => [
    `/var/${contentStorePath}/${hexOf(digest)}`,
    { target: path },
  ]);
  await engine.containers.writeFiles(node.container.id, Object.fromEntries(links));
  const containerd = await node.containerd(timeoutMs);
  await Promise.all(missing.map((blob) => containerd.pinBlob(blob)));
}
