import type { Engine } from "../docker/engine.ts";

/**
 * Unpacks what it is given, one after another. What fails here is done, and told, when a pod wants the image.
 * Runs in the node under bash: what containerd's own client does between the parts of its API is more than a call.
 */
const script = `
snapshotter=$(sed -n 's/^ *snapshotter = "\\([a-z-]*\\)"$/\\1/p;T;q' /etc/containerd/config.toml)
for digest; do
  ctr --namespace k8s.io snapshots unpack --snapshotter "$snapshotter" "$digest"
done </dev/null >/dev/null 2>&1
`;

/**
 * Begins to unpack images in a node, as the first pod that wants one would. Goes on in the node by itself.
 *
 * @param targets the digests that the images' names stand for
 */
export async function unpackImages(engine: Engine, node: string, targets: readonly string[]): Promise<void> {
  const program = await engine.containers.exec(node, ["bash", "-c", script, "unpack", ...targets]);
  for (const output of [program.stdout, program.stderr]) output.on("error", () => {}).resume();
  program.close();
}
