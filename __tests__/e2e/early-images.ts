import { join } from "node:path";
import { expect } from "vitest";
import type { ActionRun } from "../harness/run-action.ts";
import { type ClusterJob, loadedImages, timingsOf } from "./cluster-job.ts";
import { buildArchive, buildImage, removeImages } from "./image-archive.ts";
import type { Node } from "./node.ts";

/** Images for main to load: one of the Docker daemon, sent to each node, and one of an archive, linked into all. */
export const early = { sent: "e2e-load/sent:1", linked: "e2e-load/linked:1" };

/** Builds them. @returns main's inputs for them */
export async function buildEarlyImages(workspace: string): Promise<Record<string, string>> {
  await Promise.all([
    buildImage(early.sent, [1_000_000]),
    buildArchive(early.linked, join(workspace, "linked.tar"), [11_000_000, 11_000_000, 11_000_000]),
  ]);
  return { load_archives: "linked.tar", load_images: early.sent };
}

export const removeEarlyImages = (): Promise<void> => removeImages(early.sent, early.linked);

/** Sees that every node has all of them, and that pods run from them. */
export async function expectEarlyPods(job: ClusterJob, nodes: readonly Node[]): Promise<void> {
  for (const image of Object.values(early)) {
    const whole = [{ name: `docker.io/${image}`, complete: true }];
    for (const node of nodes) expect(await node.known(image)).toEqual(whole);
  }
  expect(await job.pages(early)).toEqual(early);
}

/** Sees that main did not wait for the cluster with them. */
export function expectOverlap({ outputs }: ActionRun, nodes: readonly Node[]): void {
  const images = loadedImages({ outputs });
  const names = Object.values(early).map((image) => `docker.io/${image}`);
  expect(images.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  for (const image of images) expect(image.nodes).toEqual(nodes.map(({ name }) => name));
  const timings = timingsOf({ outputs });
  const [create, load] = [timings.get("Create the cluster"), timings.get("Load images")];
  expect(load?.end, "the images are there before kind is done").toBeLessThan(create?.end ?? 0);
}
