import { join } from "node:path";
import { expect } from "vitest";
import type { ClusterJob } from "./cluster-job.ts";
import type { Node } from "./node.ts";
import { writeUnbuilt } from "./unbuilt-image.ts";

/** Sees that two nodes have a large image in the very same files. */
export async function expectSharedLayers(
  job: ClusterJob,
  nodes: readonly Node[],
  workspace: string,
): Promise<void> {
  const sizes = [14_000_000, 14_000_000, 14_000_000];
  await writeUnbuilt("e2e-load/shared:1", join(workspace, "shared.tar"), sizes);
  const before = await Promise.all(nodes.map((node) => node.sharedBlobs()));
  const run = await job.load({ load_archives: "shared.tar" });
  expect(run.exitCode, run.main.log).toBe(0);
  const after = await Promise.all(nodes.map((node) => node.sharedBlobs()));
  const [first, ...others] = after.map((blobs, index) =>
    blobs.filter((blob) => !before[index]?.includes(blob)),
  );
  expect(first, run.main.log).toEqual(sizes.map(() => expect.stringMatching(/^\d+ 2 [0-9a-f]{64}$/)));
  for (const other of others) expect(other).toEqual(first);
}
