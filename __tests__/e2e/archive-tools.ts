import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { readLab } from "../lab/lab.ts";
import { buildArchive, buildContext } from "./image-archive.ts";
import { docker } from "./machine.ts";

const run = promisify(execFile);

/** A way to make an archive of an image that nobody has seen before. */
export interface ArchiveTool {
  /** What a user would say the archive was made with. */
  readonly tool: string;
  /** The image's name: podman puts its own host before names without one. */
  readonly image: string;
  readonly file: string;
  write(image: string, file: string): Promise<void>;
}

/** Tools that write image archives, each in every format it knows. */
export const archiveTools: readonly ArchiveTool[] = [
  { tool: "docker save", image: "e2e-load/docker:1", file: "docker.tar", write: buildArchive },
  {
    tool: "docker save and gzip",
    image: "e2e-load/gzip:1",
    file: "docker.tar.gz",
    write: (image, file) => throughDocker(image, (plain) => ["sh", "-euc", 'gzip <"$0" >"$1"', plain, file]),
  },
  {
    tool: "docker save and zstd",
    image: "e2e-load/zstd:1",
    file: "docker.tar.zst",
    write: (image, file) => throughDocker(image, (plain) => ["zstd", "--quiet", plain, "-o", file]),
  },
  {
    tool: "skopeo copy to a docker-archive",
    image: "e2e-load/skopeo:1",
    file: "skopeo.tar",
    write: (image, file) =>
      throughDocker(image, (plain) =>
        skopeoCopy(`docker-archive:${plain}`, `docker-archive:${file}:${image}`),
      ),
  },
  {
    tool: "skopeo copy to an oci-archive",
    image: "e2e-load/skopeo-oci:1",
    file: "skopeo-oci.tar",
    write: (image, file) =>
      throughDocker(image, (plain) => skopeoCopy(`docker-archive:${plain}`, `oci-archive:${file}:${image}`)),
  },
  {
    tool: "buildah push to an oci-archive",
    image: "e2e-load/buildah:1",
    file: "buildah.tar",
    write: (image, file) => built("buildah", image, ["push", image, `oci-archive:${file}:${image}`]),
  },
  {
    tool: "podman save",
    image: "localhost/e2e-load/podman:1",
    file: "podman.tar",
    write: (image, file) => built("podman", image, ["save", "--output", file, image]),
  },
  {
    tool: "podman save --format oci-archive",
    image: "localhost/e2e-load/podman-oci:1",
    file: "podman-oci.tar",
    write: (image, file) =>
      built("podman", image, ["save", "--format", "oci-archive", "--output", file, image]),
  },
];

const skopeoCopy = (from: string, to: string) => ["skopeo", "--insecure-policy", "copy", "--quiet", from, to];

/** Makes an archive out of one of `docker save`. */
async function throughDocker(image: string, command: (plain: string) => readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "archive-"));
  try {
    const plain = join(folder, "plain.tar");
    await buildArchive(image, plain);
    const [program = "", ...args] = command(plain);
    await run(program, args);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Saves an image that buildah has built, with nothing of the machine's own: no storage, no mounts, no network. */
async function built(program: "buildah" | "podman", image: string, save: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "storage-"));
  const context = await buildContext(image);
  const storage = [
    "--root",
    join(folder, "root"),
    "--runroot",
    join(folder, "run"),
    "--storage-driver",
    "vfs",
  ];
  const base = join(folder, "base.tar");
  try {
    await docker("save", "--output", base, readLab().testImage);
    await run("buildah", [...storage, "pull", "--quiet", `docker-archive:${base}`]);
    await run("buildah", [...storage, "build", "--isolation", "chroot", "--tag", image, context]);
    await run(program, [...storage, ...save]);
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(context, { recursive: true, force: true });
  }
}
