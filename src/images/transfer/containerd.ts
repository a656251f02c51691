import { z } from "zod";
import { Conversation } from "../../docker/conversation.ts";
import type { ContainerDetails, Engine } from "../../docker/engine.ts";
import type { ArchiveStream } from "./oci-layout.ts";

/** A node's content store, below the node's /var: containerd's own layout. */
export const blobsFolder = "lib/containerd/io.containerd.content.v1.content/blobs/sha256";

/** What a node has. */
export interface Inventory {
  /** The ID of the image that a name stands for. */
  readonly names: ReadonlyMap<string, string>;
  /** The IDs of all images, also of those without a name. */
  readonly ids: ReadonlySet<string>;
  /** The IDs of the images that the node image brought: what the cluster itself runs. */
  readonly own: ReadonlySet<string>;
  /**
   * The digests of all blobs whose bytes are there and, if it was asked, that containerd knows of. The one may be without
   * the other: its garbage collector takes a linked file in the moment in which it is adopted, a crash leaves one behind.
   */
  readonly content: ReadonlySet<string>;
}

/**
 * Answers the commands of {@link Containerd}. Runs in the node, under bash, with what every kind node image has: ctr,
 * crictl, find.
 *
 * `ctr images ls` takes 130 ms of a processor where crictl takes 17: it adds up every image's size.
 */
const answers = `
set -o pipefail -o noglob
export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1
ctr() { command ctr --namespace k8s.io "$@"; }
blobs=/var/${blobsFolder}
while read -r command a b; do
  case $command in
    inventory)
      until [[ -S /run/containerd/containerd.sock ]]; do
        # Nobody says more before this is answered: a pause without a program, which ends when nobody is there any more.
        read -rt 0.1; (( $? > 128 )) || exit 1
      done
      crictl images -o json && echo && echo --- && { [[ -z $b ]] || ctr content ls --quiet; } && echo --- &&
        find "$blobs" -type f \\( -newermt "@$a" -printf 'sha256:%f\\n' -o -printf 'sha256:%f own\\n' \\)
      ;;
    flags) ctr images import --help ;;
    ingest)
      ctr content ingest --expected-digest "sha256:$a" --expected-size "$b" "kind-action-$a" <"$blobs/$a" &&
        { [[ -e "$blobs/$a" ]] || { echo "its garbage collector took sha256:$a" >&2; false; }; }
      ;;
    import)
      head -c "$a" | ctr images import $b - >&2
      status=$?
      # What an import that failed has not read are an image's bytes, not commands.
      (( status == 0 )) || { printf '\\004%d\\n' $status; exit; }
      ;;
    tag) ctr images tag --force "$a" $b >&2 ;;
    remove) ctr images rm --sync $a $b >&2 ;;
    unpack)
      snapshotter=$(sed -n 's/^ *snapshotter = "\\([a-z-]*\\)"$/\\1/p;T;q' /etc/containerd/config.toml)
      # Goes on when this script has ended. What fails here is done, and told, when a pod wants the image.
      for digest in $a $b; do
        ctr snapshots unpack --snapshotter "$snapshotter" "$digest"
      done </dev/null >/dev/null 2>&1 &
      ;;
    *) echo "unknown command: $command" >&2; false ;;
  esac
  printf '\\004%d\\n' $?
done
`;

const seconds = 1_000;

/** What is known of the `ctr` of node images, by the image's ID: nodes of one image share it. */
export type KnownFlags = Map<string, Promise<readonly string[]>>;

/** A node whose container runs; its containerd may still be starting. */
export type RunningNode = Pick<ContainerDetails, "id" | "image" | "created">;

/** Talks with the containerd of one node. */
export class Containerd {
  readonly #conversation: Conversation;
  readonly #node: RunningNode;
  readonly #known: KnownFlags;

  private constructor(conversation: Conversation, node: RunningNode, known: KnownFlags) {
    this.#conversation = conversation;
    this.#node = node;
    this.#known = known;
  }

  static async in(engine: Engine, node: RunningNode, known: KnownFlags): Promise<Containerd> {
    const program = await engine.exec(node.id, ["bash", "-c", answers]);
    return new Containerd(new Conversation(program, "containerd"), node, known);
  }

  /**
   * Asks for everything at once.
   *
   * @param deadline milliseconds, in which a containerd that starts must have come up
   * @param thorough whether containerd is asked which blobs it knows: it takes as long as the rest
   */
  async inventory(deadline: number, thorough: boolean): Promise<Inventory> {
    const made = String(Math.floor(this.#node.created / 1000));
    const command = ["inventory", made, ...(thorough ? ["thorough"] : [])];
    const text = await this.#conversation.ask(command, deadline);
    // While others answer. Who imports hears of it.
    this.#flags().catch(() => {});
    return parseInventory(text, thorough);
  }

  /** Makes containerd adopt a blob whose file is in the store already. @throws when the file is not there, or of another size */
  async ingest(blob: { digest: string; size: number }): Promise<void> {
    await this.#conversation.ask(["ingest", hexOf(blob.digest), String(blob.size)], 60 * seconds);
  }

  /**
   * Imports an archive in OCI layout. What it refers to and does not bring has to be there already.
   * Nothing is unpacked: containerd does that when the first pod wants it, on the node that runs it.
   */
  async import(archive: ArchiveStream): Promise<void> {
    const command = ["import", String(archive.bytes), ...(await this.#flags())];
    await this.#conversation.ask(command, 600 * seconds, archive.read());
  }

  #flags(): Promise<readonly string[]> {
    const { image } = this.#node;
    const known = this.#known.get(image);
    if (known !== undefined) return known;
    const asked = this.#conversation.ask(["flags"], 60 * seconds).then(importFlags);
    this.#known.set(image, asked);
    asked.catch(() => this.#known.delete(image));
    return asked;
  }

  /** Gives an image that is there other names, or takes the names from other images for it. */
  async tag(source: string, names: readonly string[]): Promise<void> {
    await this.#conversation.ask(["tag", source, ...names], 60 * seconds);
  }

  /** Takes names away, and waits until containerd has collected what no other name stands for. One that is not there is none to take. */
  async remove(names: readonly string[]): Promise<void> {
    await this.#conversation.ask(["remove", ...names], 60 * seconds);
  }

  /**
   * Begins to unpack images, one after another, as the first pod that wants one would. Goes on in the node by itself.
   *
   * @param targets the digests that the images' names stand for
   */
  async unpack(targets: readonly string[]): Promise<void> {
    await this.#conversation.ask(["unpack", ...targets], 60 * seconds);
  }

  close(): void {
    this.#conversation.close();
  }
}

export const hexOf = (digest: string) => digest.slice("sha256:".length);

const crictlImages = z.looseObject({
  images: z.array(
    z.looseObject({
      id: z.string(),
      repoTags: z.array(z.string()).nullish(),
      repoDigests: z.array(z.string()).nullish(),
    }),
  ),
});

/** Reads what `inventory` prints: crictl's list of images, the digests of all content, and its files. */
export function parseInventory(text: string, thorough: boolean): Inventory {
  const [listed = "", content = "", found = ""] = text.split(/^---$/m);
  const { images } = parseJson(listed);
  const files = new Map(lines(found).map((line) => [line.replace(/ own$/, ""), line.endsWith(" own")]));
  return {
    names: new Map(
      images.flatMap(({ id, repoTags, repoDigests }) =>
        [...(repoTags ?? []), ...(repoDigests ?? [])].map((name): [string, string] => [name, id]),
      ),
    ),
    ids: new Set(images.map(({ id }) => id)),
    own: new Set(images.map(({ id }) => id).filter((id) => files.get(id) === true)),
    content: new Set(thorough ? lines(content).filter((digest) => files.has(digest)) : files.keys()),
  };
}

function parseJson(text: string): z.infer<typeof crictlImages> {
  try {
    return crictlImages.parse(JSON.parse(text));
  } catch (error) {
    throw new Error(
      `\`crictl images -o json\` in the node says what this action does not understand: ${text.slice(0, 200)}`,
      {
        cause: error,
      },
    );
  }
}

const lines = (text: string) => text.split("\n").filter(Boolean);

/**
 * The flags that an import wants, as far as this ctr has them: containerd 2 imports through a service of its own unless
 * told `--local`, and that service wants every blob in the archive.
 */
export const importFlags = (help: string): string[] =>
  ["--local", "--no-unpack"].filter((flag) => new RegExp(`${flag}\\b`).test(help));
