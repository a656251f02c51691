import { z } from "zod";
import { docker } from "./machine.ts";

/** Where a node's containerd keeps its blobs, each named by the hash of its bytes. */
const blobs = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256";

const CrictlImages = z.object({
  images: z.array(z.object({ id: z.string(), repoTags: z.array(z.string()).nullish() })),
});

/** What a node has, as those see it who use it: crictl for images, the node's own shell for files. */
export class Node {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** The images that Kubernetes sees in the node: IDs by name. */
  async images(): Promise<Map<string, string>> {
    const { images } = CrictlImages.parse(JSON.parse(await this.#sh("crictl images -o json")));
    return new Map(
      images.flatMap(({ id, repoTags }) => (repoTags ?? []).map((tag): [string, string] => [tag, id])),
    );
  }

  /** What containerd knows under names with this beginning, whole or not, and whether it has all of it. */
  async known(beginning: string): Promise<{ name: string; complete: boolean }[]> {
    const checked = lines(await this.#sh(`ctr --namespace k8s.io images check 'name~="${beginning}"'`));
    return checked
      .filter((line) => line.includes(beginning))
      .map((line) => ({ name: line.replace(/ .*/, ""), complete: line.includes(" complete ") }));
  }

  /** The node's clock, in seconds since the epoch. */
  async now(): Promise<number> {
    return Number(await this.#sh("date +%s.%N"));
  }

  /** The blobs that came since then and whose bytes are not what their names say, and what was begun and not ended. */
  async brokenBlobs(since: number): Promise<string[]> {
    const newer = `-newerct @${since}`;
    // What nothing refers to is collected at any time: files may be gone before they are hashed.
    const hashed = `find . -type f ${newer} -printf '%f\\n' | xargs --no-run-if-empty sha256sum || true`;
    const begun = `find ../../ingest -mindepth 1 -maxdepth 1 ${newer}`;
    const right = /^(?<hash>[0-9a-f]{64}) {2}\k<hash>$/;
    return lines(await this.#sh(`cd ${blobs}; ${hashed}; ${begun}`)).filter((line) => !right.test(line));
  }

  /** The large blobs that this node shares with others, as `INODE LINKS DIGEST`: the bytes are on the disk once. */
  async sharedBlobs(): Promise<string[]> {
    const found = await this.#sh(
      `find ${blobs} -type f -size +4000k -links +1 -printf '%i %n %f\\n' | sort --key=3`,
    );
    return lines(found);
  }

  /** Removes what came since then of an image's layers, as a crash can do it: the image keeps its name. */
  async loseLayers(since: number): Promise<void> {
    const lost = `find ${blobs} -type f -newerct @${since} -size +100k -printf 'sha256:%f\\n'`;
    await this.#sh(`${lost} | xargs ctr --namespace k8s.io content rm`);
  }

  async restartContainerd(): Promise<void> {
    await this.#sh("systemctl restart containerd");
  }

  /** Runs a command in the node. @returns what it prints */
  async #sh(command: string): Promise<string> {
    return (await docker("exec", this.name, "bash", "-o", "pipefail", "-euc", command)).join("\n");
  }
}

const lines = (text: string) => text.split("\n").filter(Boolean);
