import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { utimes, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ContainerDetails } from "../../../src/docker/containers.ts";
import { identityOf } from "../../../src/node/content/file-identity.ts";
import { findLinkableVolumes, HardlinkImporter } from "../../../src/node/content/hardlink.ts";
import { digestOf } from "../../archive/archives.ts";
import { noise } from "../../archive/tar-files.ts";
import { machine, type SimulatedNode } from "../../fixtures/machine.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const labels = { "kind-action.run": "12-1-abc" };

/** A machine with an archive, and a function that starts the hard-link helper container. */
async function open(content: Buffer, names = ["shop-control-plane", "shop-worker", "shop-worker2"]) {
  const { daemon, nodes, elsewhere } = await machine(names);
  const file = join(temporaryFolder(), "my image.tar");
  await writeFile(file, content);
  const details = await Promise.all(nodes.map(({ id }) => daemon.engine.containers.inspect(id)));
  const linkable = findLinkableVolumes(details.flatMap((each) => each ?? []));
  if (linkable === undefined) throw new Error("volumes of simulated nodes can be linked into");
  const { root, volumes } = linkable;
  const openImporter = (archives = [file]) =>
    HardlinkImporter.open(daemon.engine, { volumes: root, archives, image: "sha256:node", labels });
  const blobAt = (offset: number, size: number) => ({
    digest: digestOf(content.subarray(offset, offset + size)),
    size,
    file,
    offset,
  });
  const volumeOf = ({ id }: SimulatedNode) => volumes.get(id) ?? "";
  return { daemon, nodes, elsewhere, file, root, openImporter, blobAt, volumeOf };
}

const pathIn = ({ containerd }: SimulatedNode, { digest }: { digest: string }) =>
  join(containerd.folder, digest.replace("sha256:", ""));

describe("HardlinkImporter.link", () => {
  it("writes a blob once, and links it into every node's content store", async () => {
    const { nodes, file, openImporter, blobAt, volumeOf } = await open(noise("archive", 40_000));
    const importer = await openImporter();
    const blob = blobAt(1_000, 30_000);
    const identity = await identityOf(file);
    for (const node of nodes) {
      await importer.link(blob, identity, volumeOf(node));
    }
    await importer.close();
    for (const node of nodes) {
      expect(digestOf(readFileSync(pathIn(node, blob)))).toBe(blob.digest);
      // All nodes have the same file, and the staged name of it is gone.
      expect(node.containerd.linksTo(blob.digest)).toBe(nodes.length);
    }
  });

  it("copies exactly the bytes of the blob, anywhere in the archive", async () => {
    const content = noise("archive", 3_000_000);
    const { nodes, file, openImporter, blobAt, volumeOf } = await open(content, ["shop-control-plane"]);
    const importer = await openImporter();
    const [node] = nodes;
    if (node === undefined) throw new Error("there is a node");
    const identity = await identityOf(file);
    const range = fc
      .tuple(fc.nat(content.length), fc.nat(content.length))
      .map(([a, b]): [number, number] => [Math.min(a, b), Math.abs(a - b)]);
    const edges: [number, number][] = [
      [0, 1],
      [0, content.length],
      [content.length - 1, 1],
      [1_048_576, 1_048_576],
      [1_048_575, 1_048_577],
    ];
    await fc.assert(
      fc.asyncProperty(range, async ([offset, size]) => {
        const blob = blobAt(offset, size);
        await importer.link(blob, identity, volumeOf(node));
        expect(digestOf(readFileSync(pathIn(node, blob)))).toBe(blob.digest);
      }),
      { numRuns: 12, examples: edges.map((edge) => [edge]) },
    );
    await importer.close();
  });

  it("makes the file read-only, so that no node can change it for the others", async () => {
    const { nodes, file, openImporter, blobAt, volumeOf } = await open(noise("archive", 1_000), [
      "shop-worker",
    ]);
    const importer = await openImporter();
    const blob = blobAt(0, 1_000);
    const identity = await identityOf(file);
    for (const node of nodes) {
      await importer.link(blob, identity, volumeOf(node));
      expect(statSync(pathIn(node, blob)).mode & 0o222).toBe(0);
    }
    await importer.close();
  });

  it("does not replace a blob that a node has", async () => {
    const { nodes, file, openImporter, blobAt, volumeOf } = await open(noise("archive", 1_000), [
      "shop-worker",
    ]);
    const importer = await openImporter();
    const blob = blobAt(0, 1_000);
    for (const node of nodes) {
      await writeFile(pathIn(node, blob), noise("archive", 1_000));
      await importer.link(blob, await identityOf(file), volumeOf(node));
      expect(node.containerd.linksTo(blob.digest)).toBe(1);
    }
    await importer.close();
  });

  it("rejects when the archive has changed since it was verified", async () => {
    const { file, openImporter, blobAt } = await open(noise("archive", 1_000), ["shop-worker"]);
    const importer = await openImporter();
    const verified = await identityOf(file);
    await writeFile(file, noise("other", 1_000));
    await utimes(file, 1, 1);
    await expect(importer.link(blobAt(0, 1_000), verified, "var-of-shop-worker")).rejects.toThrow(
      `${file} changed while it was being loaded.`,
    );
    await importer.close();
  });

  it("rejects with the reason for a missing volume", async () => {
    const { file, openImporter, blobAt } = await open(noise("archive", 1_000), ["shop-worker"]);
    const importer = await openImporter();
    const blob = blobAt(0, 1_000);
    const identity = await identityOf(file);
    await expect(importer.link(blob, identity, "gone")).rejects.toThrow(
      /^hard-link helper container: link failed: ln: .*No such file or directory$/s,
    );
    await importer.close();
  });
});

describe("HardlinkImporter", () => {
  it("mounts the volumes, and the archives read-only, into a container with the run's labels", async () => {
    const { daemon, root, file, openImporter } = await open(noise("archive", 1_000));
    const importer = await openImporter();
    const container = [...daemon.containers.values()].find(({ made }) => made !== undefined);
    expect(container).toMatchObject({ labels, image: "sha256:node" });
    expect(container?.made?.HostConfig.Mounts).toEqual([
      { Type: "bind", Source: root, Target: "/volumes", ReadOnly: false },
      { Type: "bind", Source: file, Target: "/archives/0", ReadOnly: true },
    ]);
    await importer.close();
  });

  it("removes the container and the staged blobs on close", async () => {
    const { daemon, nodes, root, openImporter, blobAt } = await open(noise("archive", 1_000));
    const before = readdirSync(root);
    const importer = await openImporter();
    importer.stage(blobAt(0, 1_000));
    expect(readdirSync(root).length).toBe(before.length + 1);
    await importer.close();
    expect(daemon.containers.size).toBe(nodes.length);
    expect(readdirSync(root)).toEqual(before);
  });

  it("loses its container when this process ends: the program ends with its input", async () => {
    const { daemon, nodes, openImporter } = await open(noise("archive", 1_000));
    await openImporter();
    const container = [...daemon.containers.values()].find(({ made }) => made !== undefined);
    daemon.cut(container?.id ?? "");
    await expect.poll(() => daemon.containers.size, { timeout: 4_000 }).toBe(nodes.length);
  });

  it("does not open when the daemon sees another file at the archive's path", async () => {
    const { daemon, nodes, elsewhere, file, openImporter } = await open(noise("archive", 1_000));
    const other = join(temporaryFolder(), basename(file));
    await writeFile(other, noise("archive", 1_000));
    elsewhere.set(file, other);
    await expect(openImporter()).rejects.toThrow(`the Docker daemon sees another file at ${file}`);
    expect(daemon.containers.size).toBe(nodes.length);
  });

  it("does not open when the daemon does not see the archive", async () => {
    const { daemon, nodes, file, openImporter } = await open(noise("archive", 1_000));
    daemon.refuse = (call) =>
      call === "POST /containers/create"
        ? {
            status: 400,
            message: `invalid mount config for type "bind": bind source path does not exist: ${file}`,
          }
        : undefined;
    await expect(openImporter()).rejects.toThrow("bind source path does not exist");
    expect(daemon.containers.size).toBe(nodes.length);
  });

  it("links blobs of several archives", async () => {
    const { nodes, file, openImporter, volumeOf } = await open(noise("first", 1_000), ["shop-worker"]);
    const second = join(temporaryFolder(), "second.tar");
    await writeFile(second, noise("second", 2_000));
    const importer = await openImporter([file, second]);
    for (const [seed, path, size] of [
      ["first", file, 1_000],
      ["second", second, 2_000],
    ] as const) {
      const blob = { digest: digestOf(noise(seed, size)), size, file: path, offset: 0 };
      const identity = await identityOf(path);
      for (const node of nodes) {
        await importer.link(blob, identity, volumeOf(node));
        expect(existsSync(pathIn(node, blob))).toBe(true);
        expect(node.containerd.wrongBlobs()).toEqual([]);
      }
    }
    await importer.close();
  });
});

describe("findLinkableVolumes", () => {
  const node = (name: string, more: Partial<ContainerDetails["mounts"][number]> = {}): ContainerDetails => ({
    id: name,
    image: "sha256:node",
    running: true,
    created: 0,
    ports: new Map(),
    mounts: [
      {
        type: "bind",
        destination: "/lib/modules",
        source: "/lib/modules",
        name: undefined,
        driver: undefined,
      },
      {
        type: "volume",
        destination: "/var",
        source: `/var/lib/docker/volumes/${name}/_data`,
        name,
        driver: "local",
        ...more,
      },
    ],
  });
  const bind = (destination: string) => ({
    type: "bind",
    destination,
    source: "/somewhere",
    name: undefined,
    driver: undefined,
  });

  it("returns the volumes if all nodes have their /var in plain volumes in one folder", () => {
    expect(findLinkableVolumes([node("a"), node("b")])).toEqual({
      root: "/var/lib/docker/volumes",
      volumes: new Map([
        ["a", "a"],
        ["b", "b"],
      ]),
    });
  });

  it("accepts other mounts of the nodes", () => {
    const { mounts, ...rest } = node("a");
    const more = ["/var/lib/kubelet", "/var/lib/containerd-extra", "/variable", "/"].map(bind);
    expect(findLinkableVolumes([{ ...rest, mounts: [...mounts, ...more] }])).toBeDefined();
  });

  it.each([
    { what: "a bind mount", more: { type: "bind" } },
    { what: "a volume of another driver", more: { driver: "nfs" } },
    { what: "a volume that is elsewhere than its name says", more: { source: "/mnt/disk/a" } },
    { what: "mounted elsewhere", more: { destination: "/data" } },
  ])("returns nothing if the /var of a node is $what", ({ more }) => {
    expect(findLinkableVolumes([node("a"), node("b", more)])).toBeUndefined();
  });

  it("returns nothing if the volumes are in several folders: links do not cross file systems", () => {
    expect(findLinkableVolumes([node("a"), node("b", { source: "/mnt/volumes/b/_data" })])).toBeUndefined();
  });

  it.each(["/var/lib", "/var/lib/containerd", "/var/lib/containerd/io.containerd.content.v1.content"])(
    "returns nothing if another mount is at %s",
    (destination) => {
      const { mounts, ...rest } = node("a");
      expect(findLinkableVolumes([{ ...rest, mounts: [...mounts, bind(destination)] }])).toBeUndefined();
    },
  );

  it("returns nothing for no nodes", () => {
    expect(findLinkableVolumes([])).toBeUndefined();
  });
});
