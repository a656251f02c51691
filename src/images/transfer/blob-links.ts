import { Conversation } from "../../docker/conversation.ts";
import type { ContainerDetails, Engine } from "../../docker/engine.ts";
import { blobsFolder, hexOf } from "./containerd.ts";
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
 * Answers the commands of {@link BlobLinks}. Runs under bash in a container of the node image, with Docker's folder of
 * volumes as /volumes (hard links do not cross mounts), every archive as /archives/N, and a volume of its own.
 */
const answers = `
staging=
while read -r command a b c d; do
  case $command in
    staging) staging=/volumes/$a/_data ;;
    identity) stat --format '${identityFormat}' "/archives/$a" ;;
    stage) dd if="/archives/$a" of="$staging/$d" bs=1M iflag=skip_bytes,count_bytes skip="$b" count="$c" status=none &&
      chmod 0444 "$staging/$d" && stat --format '${identityFormat}' "/archives/$a" ;;
    link) [[ -e "/volumes/$a/_data/${blobsFolder}/$b" ]] || ln "$staging/$b" "/volumes/$a/_data/${blobsFolder}/$b" ;;
    *) echo "unknown command: $command" >&2; false ;;
  esac
  printf '\\004%d\\n' $?
done
`;

const deadline = 300_000;

/**
 * Puts blobs into the content stores of many nodes for the price of one: each is written once, and hard-linked into
 * every node's. containerd has to be told of it afterwards (Containerd.ingest).
 */
export class BlobLinks {
  readonly #engine: Engine;
  readonly #container: string;
  readonly #conversation: Conversation;
  readonly #archives: readonly string[];
  readonly #staged = new Map<string, Promise<void>>();

  private constructor(
    engine: Engine,
    container: string,
    conversation: Conversation,
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
  ): Promise<BlobLinks> {
    const { id, program, volume } = await engine.runAlone({
      image: on.image,
      argv: ["bash", "-c", answers],
      labels: on.labels,
      binds: [
        { source: on.volumes, target: "/volumes", readOnly: false },
        ...on.archives.map((source, index) => ({ source, target: `/archives/${index}`, readOnly: true })),
      ],
      volume: "/staging",
    });
    const links = new BlobLinks(
      engine,
      id,
      new Conversation(program, "the container that links"),
      on.archives,
    );
    try {
      await links.#conversation.ask(["staging", volume], deadline);
      await Promise.all(on.archives.map((file, index) => links.#mustBeSame(file, index)));
      return links;
    } catch (error) {
      await links.close();
      throw error;
    }
  }

  /**
   * Writes a blob where it can be linked from, once however often it is asked to.
   *
   * @param verified the identity of the file in which the blob was found to be what its digest says
   * @throws when the file is another one now
   */
  stage(blob: FileBlob, verified: string): Promise<void> {
    const known = this.#staged.get(blob.digest);
    if (known !== undefined) return known;
    const staged = this.#copy(blob, verified);
    this.#staged.set(blob.digest, staged);
    return staged;
  }

  async #copy({ file, offset, size, digest }: FileBlob, verified: string): Promise<void> {
    const archive = String(this.#archives.indexOf(file));
    const command = ["stage", archive, String(offset), String(size), hexOf(digest)];
    const identity = await this.#conversation.ask(command, deadline);
    if (identity.trim() !== verified) throw new Error(`${file} was changed while it was loaded.`);
  }

  /** Links a staged blob into the content store in a node's volume; one that is there is left alone. */
  async link(blob: { digest: string }, volume: string): Promise<void> {
    await this.#conversation.ask(["link", volume, hexOf(blob.digest)], deadline);
  }

  /** Ends when nothing of it is left: container, staged blobs. */
  async close(): Promise<void> {
    const removed = this.#engine.removed(this.#container);
    this.#conversation.close();
    await removed;
  }

  /** A path may mean one thing here and another to the daemon, for instance in a job that runs in a container. */
  async #mustBeSame(file: string, index: number): Promise<void> {
    const [here, there] = await Promise.all([
      identityOf(file),
      this.#conversation.ask(["identity", String(index)], deadline),
    ]);
    if (there.trim() !== here) throw new Error(`${file} is another file for the Docker daemon`);
  }
}

/**
 * Where Docker keeps the volumes of these nodes, if blobs can be linked into them: all of them have their /var in a
 * plain local volume of one folder, and nothing of their own below it.
 */
export function linkable(
  nodes: readonly ContainerDetails[],
): { root: string; volumes: ReadonlyMap<string, string> } | undefined {
  const volumes = new Map<string, string>();
  const roots = new Set<string>();
  for (const { id, mounts } of nodes) {
    const own = mounts.find(({ destination }) => destination === "/var");
    const hidden = mounts.some(
      ({ destination }) => `/var/${blobsFolder}/`.startsWith(`${destination}/`) && destination !== "/var",
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
