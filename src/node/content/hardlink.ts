import type { ContainerDetails } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { ShellSession } from "../../docker/shell-session.ts";
import { contentStorePath } from "../containerd/client.ts";
import { identityFormat, identityOf } from "./file-identity.ts";

/** A blob, and where its bytes are. */
export interface FileBlob {
  readonly digest: string;
  readonly size: number;
  /** A plain file on this machine, in which the blob begins at `offset`. */
  readonly file: string;
  readonly offset: number;
}

/**
 * Answers the commands of {@link HardlinkImporter}. Runs under bash in a container of the node image, with Docker's folder of
 * volumes as /volumes (hard links do not cross mounts), every archive as /archives/N, and a volume of its own.
 */
const answers = `
staging=
declare -A copies
while read -r command a b c d; do
  case $command in
    staging) staging=/volumes/$a/_data ;;
    identity) stat --format '${identityFormat}' "/archives/$a" ;;
    stage)
      dd if="/archives/$a" of="$staging/$d" bs=1M iflag=skip_bytes,count_bytes skip="$b" count="$c" status=none &
      copies[$d]=$!
      ;;
    staged) wait "\${copies[$b]}" && chmod 0444 "$staging/$b" && stat --format '${identityFormat}' "/archives/$a" ;;
    link) [[ -e "/volumes/$a/_data/${contentStorePath}/$b" ]] || ln "$staging/$b" "/volumes/$a/_data/${contentStorePath}/$b" ;;
    *) echo "unknown command: $command" >&2; false ;;
  esac
  printf '\\004%d\\n' $?
done
`;

const deadline = 300_000;

/** A blob that is copied, and, once somebody waits for it, what it was copied from. */
interface Staged {
  readonly begun: Promise<unknown>;
  identity: Promise<string> | undefined;
}

/**
 * Puts blobs into the content stores of many nodes for the price of one: each is written once, and hard-linked into
 * every node's. containerd has to be told of it afterwards (ContentStore.adopt).
 */
export class HardlinkImporter {
  readonly #engine: Engine;
  readonly #container: string;
  readonly #conversation: ShellSession;
  readonly #archives: readonly string[];
  readonly #staged = new Map<string, Staged>();

  private constructor(
    engine: Engine,
    container: string,
    conversation: ShellSession,
    archives: readonly string[],
  ) {
    this.#engine = engine;
    this.#container = container;
    this.#conversation = conversation;
    this.#archives = archives;
  }

  /**
   * @param on.archives the files that blobs come from
   * @param on.image an image with bash and coreutils that the daemon has
   * @throws when the daemon does not see these very files: it is on another machine, or in another container's world
   */
  static async open(
    engine: Engine,
    on: { volumes: string; archives: readonly string[]; image: string; labels: Record<string, string> },
  ): Promise<HardlinkImporter> {
    const { id, program, volume } = await engine.containers.runHelper({
      image: on.image,
      argv: ["bash", "-c", answers],
      labels: on.labels,
      binds: [
        { source: on.volumes, target: "/volumes", readOnly: false },
        ...on.archives.map((source, index) => ({ source, target: `/archives/${index}`, readOnly: true })),
      ],
      volume: "/staging",
    });
    const links = new HardlinkImporter(
      engine,
      id,
      new ShellSession(program, "the container that links"),
      on.archives,
    );
    try {
      await links.#conversation.run(["staging", volume], deadline);
      await Promise.all(on.archives.map((file, index) => links.#mustBeSame(file, index)));
      return links;
    } catch (error) {
      await links.close();
      throw error;
    }
  }

  /** Begins to write a blob where it can be linked from, once however often it is asked to. */
  stage(blob: FileBlob): void {
    if (this.#staged.has(blob.digest)) return;
    const { offset, size, digest } = blob;
    const command = ["stage", this.#archive(blob), String(offset), String(size), hexOf(digest)];
    const begun = this.#conversation.run(command, deadline);
    this.#staged.set(digest, { begun, identity: undefined });
    // Who links it hears of it.
    begun.catch(() => {});
  }

  /**
   * Links a blob into the content store in a node's volume, staged before or not; one that is there is left alone.
   *
   * @param verified the identity of the file in which the blob was found to be what its digest says
   * @throws when the file that was staged is another one
   */
  async link(blob: FileBlob, verified: string, volume: string): Promise<void> {
    if ((await this.#identity(blob)) !== verified)
      throw new Error(`${blob.file} was changed while it was loaded.`);
    await this.#conversation.run(["link", volume, hexOf(blob.digest)], deadline);
  }

  /** What the file was when the blob had been staged from it. */
  #identity(blob: FileBlob): Promise<string> {
    this.stage(blob);
    const staged = this.#staged.get(blob.digest);
    if (staged === undefined) throw new Error(`${blob.digest} was not staged.`);
    staged.identity ??= staged.begun
      .then(() => this.#conversation.run(["staged", this.#archive(blob), hexOf(blob.digest)], deadline))
      .then((identity) => identity.trim());
    return staged.identity;
  }

  #archive({ file }: FileBlob): string {
    return String(this.#archives.indexOf(file));
  }

  /** Ends when nothing of it is left: container, staged blobs. */
  async close(): Promise<void> {
    const removed = this.#engine.containers.waitUntilRemoved(this.#container);
    this.#conversation.close();
    await removed;
  }

  /** A path may mean one thing here and another to the daemon, for instance in a job that runs in a container. */
  async #mustBeSame(file: string, index: number): Promise<void> {
    const [here, there] = await Promise.all([
      identityOf(file),
      this.#conversation.run(["identity", String(index)], deadline),
    ]);
    if (there.trim() !== here) throw new Error(`${file} is another file for the Docker daemon`);
  }
}

/**
 * Where Docker keeps the volumes of these nodes, if blobs can be linked into them: all of them have their /var in a
 * plain local volume of one folder, and nothing of their own below it.
 */
export function findLinkableVolumes(
  nodes: readonly ContainerDetails[],
): { root: string; volumes: ReadonlyMap<string, string> } | undefined {
  const volumes = new Map<string, string>();
  const roots = new Set<string>();
  for (const { id, mounts } of nodes) {
    const own = mounts.find(({ destination }) => destination === "/var");
    const hidden = mounts.some(
      ({ destination }) =>
        `/var/${contentStorePath}/`.startsWith(`${destination}/`) && destination !== "/var",
    );
    const suffix = `/${own?.name}/_data`;
    if (own?.type !== "volume" || own.driver !== "local" || hidden || !own.source.endsWith(suffix))
      return undefined;
    volumes.set(id, own.name ?? "");
    roots.add(own.source.slice(0, -suffix.length));
  }
  const [root, ...others] = roots;
  return root === undefined || others.length > 0 ? undefined : { root, volumes };
}

const hexOf = (digest: string) => digest.slice("sha256:".length);
