import type { ContainerDetails } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { ShellSession } from "../../docker/shell-session.ts";
import { hexOf } from "../../oci/digest.ts";
import { contentStorePath } from "../containerd/client.ts";
import { scripts } from "../scripts.ts";
import { identityOf } from "./file-identity.ts";

/** A blob in a file of this machine. */
export interface FileBlob {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** An uncompressed file that contains the blob. */
  readonly file: string;
  /** Bytes from the start of the file to the blob. */
  readonly offset: number;
}

/** The timeout of every command of the helper container, in milliseconds. */
const timeoutMs = 300_000;

/** A blob that is being staged. */
interface StagedBlob {
  /** Settles when the copy has started, or failed to. */
  readonly started: Promise<unknown>;
  /** The identity of the file after the copy, once it was waited for. */
  identity: Promise<string> | undefined;
}

/**
 * Puts blobs into the content stores of many nodes at the cost of one: each blob is written once, and hard-linked into every
 * node's store by a helper container. containerd does not know the blob until it is committed (ContentStore.commitExisting).
 */
export class HardlinkImporter {
  readonly #engine: Engine;
  readonly #container: string;
  readonly #session: ShellSession;
  readonly #archives: readonly string[];
  readonly #staged = new Map<string, StagedBlob>();

  private constructor(engine: Engine, container: string, session: ShellSession, archives: readonly string[]) {
    this.#engine = engine;
    this.#container = container;
    this.#session = session;
    this.#archives = archives;
  }

  /**
   * Starts the helper container.
   *
   * @param options.volumes Docker's folder of volumes on the daemon's machine
   * @param options.archives the files that contain the blobs
   * @param options.image an image of the Docker daemon with bash and coreutils
   * @throws Error when the daemon does not see the same files: it runs on another machine, or this process in a container
   */
  static async open(
    engine: Engine,
    options: { volumes: string; archives: readonly string[]; image: string; labels: Record<string, string> },
  ): Promise<HardlinkImporter> {
    const { volumes, archives, image, labels } = options;
    const { id, program, volume } = await engine.containers.runHelper({
      image,
      argv: ["bash", "-c", scripts.hardlink],
      labels,
      binds: [
        { source: volumes, target: "/volumes", readOnly: false },
        ...archives.map((source, index) => ({ source, target: `/archives/${index}`, readOnly: true })),
      ],
      volume: "/staging",
    });
    const session = new ShellSession(program, "hard-link helper container");
    const importer = new HardlinkImporter(engine, id, session, archives);
    try {
      await session.run(["staging", volume], timeoutMs);
      await Promise.all(archives.map((file, index) => importer.#assertSameFile(file, index)));
      return importer;
    } catch (error) {
      // If this fails, the container is removed with the cluster, by its labels.
      await importer.close().catch(() => {});
      throw error;
    }
  }

  /** Starts to copy a blob to where it can be linked from, unless that was started before. */
  stage(blob: FileBlob): void {
    this.#stage(blob);
  }

  /**
   * Links a blob into the content store in a node's volume, unless the store has it. Stages the blob first if necessary.
   *
   * @param verifiedIdentity the identity of the file when the blob was verified
   * @throws Error when the file has changed since
   */
  async link(blob: FileBlob, verifiedIdentity: string, volume: string): Promise<void> {
    if ((await this.#stagedIdentity(blob)) !== verifiedIdentity)
      throw new Error(`${blob.file} changed while it was being loaded.`);
    await this.#session.run(["link", volume, hexOf(blob.digest)], timeoutMs);
  }

  #stage(blob: FileBlob): StagedBlob {
    const { offset, size, digest } = blob;
    const existing = this.#staged.get(digest);
    if (existing !== undefined) return existing;
    const command = ["stage", this.#archive(blob), String(offset), String(size), hexOf(digest)];
    const started = this.#session.run(command, timeoutMs);
    // link awaits it; this avoids an unhandled rejection if it is not called.
    started.catch(() => {});
    const staged: StagedBlob = { started, identity: undefined };
    this.#staged.set(digest, staged);
    return staged;
  }

  /** Returns the identity of a blob's file after the blob was staged. */
  #stagedIdentity(blob: FileBlob): Promise<string> {
    const staged = this.#stage(blob);
    staged.identity ??= staged.started
      .then(() => this.#session.run(["staged", this.#archive(blob), hexOf(blob.digest)], timeoutMs))
      .then((identity) => identity.trim());
    return staged.identity;
  }

  #archive({ file }: FileBlob): string {
    return String(this.#archives.indexOf(file));
  }

  /**
   * Ends the helper container, and waits until it and the staged blobs are removed.
   *
   * @throws Error when Docker does not remove them in time
   */
  async close(): Promise<void> {
    this.#session.close();
    await this.#engine.containers.waitUntilRemoved(this.#container, 30_000);
  }

  /** Compares identities, because the daemon may see another file at the same path, as for a job in a container. */
  async #assertSameFile(file: string, index: number): Promise<void> {
    const [identity, daemonIdentity] = await Promise.all([
      identityOf(file),
      this.#session.run(["identity", String(index)], timeoutMs),
    ]);
    if (daemonIdentity.trim() !== identity) throw new Error(`the Docker daemon sees another file at ${file}`);
  }
}

/**
 * Finds the volumes that blobs can be linked into: every node must have its /var in a plain local volume, all volumes must be
 * in one folder, and nothing may be mounted over the content store.
 *
 * @returns Docker's folder of volumes, and the name of each container's volume; undefined where links are impossible
 */
export function findLinkableVolumes(
  nodes: readonly ContainerDetails[],
): { root: string; volumes: ReadonlyMap<string, string> } | undefined {
  const volumes = new Map<string, string>();
  const roots = new Set<string>();
  for (const { id, mounts } of nodes) {
    const varMount = mounts.find(({ destination }) => destination === "/var");
    const isHidden = mounts.some(
      ({ destination }) =>
        `/var/${contentStorePath}/`.startsWith(`${destination}/`) && destination !== "/var",
    );
    const suffix = `/${varMount?.name}/_data`;
    if (
      varMount?.type !== "volume" ||
      varMount.driver !== "local" ||
      isHidden ||
      !varMount.source.endsWith(suffix)
    )
      return undefined;
    volumes.set(id, varMount.name ?? "");
    roots.add(varMount.source.slice(0, -suffix.length));
  }
  const [root, ...others] = roots;
  return root === undefined || others.length > 0 ? undefined : { root, volumes };
}
