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

/** A machine with an archive, and a container that links blobs of it. */
async function open(content: Buffer, names = ["shop-control-plane", "shop-worker", "shop-worker2"]) {
  const { daemon, nodes, elsewhere } = await machine(names);
  const file = join(temporaryFolder(), "my image.tar");
  await writeFile(file, content);
  const details = await Promise.all(nodes.map(({ id }) => daemon.engine.containers.inspect(id)));
  const place = findLinkableVolumes(details.flatMap((each) => each ?? []));
  if (place === undefined) throw new Error("volumes of simulated nodes can be linked into");
  const { root, volumes } = place;
  const openLinks = (archives = [file]) =>
    HardlinkImporter.open(daemon.engine, { volumes: root, archives, image: "sha256:node", labels });
  const blobAt = (offset: number, size: number) => ({
    digest: digestOf(content.subarray(offset, offset + size)),
    size,
    file,
    offset,
  });
  const volumeOf = ({ id }: SimulatedNode) => volumes.get(id) ?? "";
  return { daemon, nodes, elsewhere, file, root, openLinks, blobAt, volumeOf };
}

const pathIn = ({ containerd }: SimulatedNode, { digest }: { digest: string }) =>
  join(containerd.folder, digest.replace("sha256:", ""));

describe("a blob of an archive", () => {
  it("is written once, and is a file of every node's content store", async () => {
    const { nodes, file, openLinks, blobAt, volumeOf } = await open(noise("archive", 40_000));
    const links = await openLinks();
    const blob = blobAt(1_000, 30_000);
    const identity = await identityOf(file);
    for (const node of nodes) {
      await links.link(blob, identity, volumeOf(node));
    }
    await links.close();
    for (const node of nodes) {
      expect(digestOf(readFileSync(pathIn(node, blob)))).toBe(blob.digest);
      // All nodes' are the same file, and that the staged one is gone.
      expect(node.containerd.linksTo(blob.digest)).toBe(nodes.length);
    }
  });

  it("is copied to the byte, wherever it is in the archive", async () => {
    const content = noise("archive", 3_000_000);
    const { nodes, file, openLinks, blobAt, volumeOf } = await open(content, ["shop-control-plane"]);
    const links = await openLinks();
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
        await links.link(blob, identity, volumeOf(node));
        expect(digestOf(readFileSync(pathIn(node, blob)))).toBe(blob.digest);
      }),
      { numRuns: 12, examples: edges.map((edge) => [edge]) },
    );
    await links.close();
  });

  it("cannot be changed by one node for the others", async () => {
    const { nodes, file, openLinks, blobAt, volumeOf } = await open(noise("archive", 1_000), ["shop-worker"]);
    const links = await openLinks();
    const blob = blobAt(0, 1_000);
    const identity = await identityOf(file);
    for (const node of nodes) {
      await links.link(blob, identity, volumeOf(node));
      expect(statSync(pathIn(node, blob)).mode & 0o222).toBe(0);
    }
    await links.close();
  });

  it("that a node has is left as it is", async () => {
    const { nodes, file, openLinks, blobAt, volumeOf } = await open(noise("archive", 1_000), ["shop-worker"]);
    const links = await openLinks();
    const blob = blobAt(0, 1_000);
    for (const node of nodes) {
      await writeFile(pathIn(node, blob), noise("archive", 1_000));
      await links.link(blob, await identityOf(file), volumeOf(node));
      expect(node.containerd.linksTo(blob.digest)).toBe(1);
    }
    await links.close();
  });

  it("is refused when its archive was changed since it was verified", async () => {
    const { file, openLinks, blobAt } = await open(noise("archive", 1_000), ["shop-worker"]);
    const links = await openLinks();
    const verified = await identityOf(file);
    await writeFile(file, noise("other", 1_000));
    await utimes(file, 1, 1);
    await expect(links.link(blobAt(0, 1_000), verified, "var-of-shop-worker")).rejects.toThrow(
      `${file} was changed while it was loaded.`,
    );
    await links.close();
  });

  it("cannot be linked into a volume that is not there, and the reason is told", async () => {
    const { file, openLinks, blobAt } = await open(noise("archive", 1_000), ["shop-worker"]);
    const links = await openLinks();
    const blob = blobAt(0, 1_000);
    const identity = await identityOf(file);
    await expect(links.link(blob, identity, "gone")).rejects.toThrow(
      /^the container that links: link failed: ln: .*No such file or directory$/s,
    );
    await links.close();
  });
});

describe("the container that links", () => {
  it("sees the volumes and the archives, those only to read, and carries the run's labels", async () => {
    const { daemon, root, file, openLinks } = await open(noise("archive", 1_000));
    const links = await openLinks();
    const container = [...daemon.containers.values()].find(({ made }) => made !== undefined);
    expect(container).toMatchObject({ labels, image: "sha256:node" });
    expect(container?.made?.HostConfig.Mounts).toEqual([
      { Type: "bind", Source: root, Target: "/volumes", ReadOnly: false },
      { Type: "bind", Source: file, Target: "/archives/0", ReadOnly: true },
    ]);
    await links.close();
  });

  it("is gone when it is closed, with what it staged", async () => {
    const { daemon, nodes, root, openLinks, blobAt } = await open(noise("archive", 1_000));
    const before = readdirSync(root);
    const links = await openLinks();
    links.stage(blobAt(0, 1_000));
    expect(readdirSync(root).length).toBe(before.length + 1);
    await links.close();
    expect(daemon.containers.size).toBe(nodes.length);
    expect(readdirSync(root)).toEqual(before);
  });

  it("is gone when this process is: its input ends", async () => {
    const { daemon, nodes, openLinks } = await open(noise("archive", 1_000));
    await openLinks();
    const container = [...daemon.containers.values()].find(({ made }) => made !== undefined);
    daemon.cut(container?.id ?? "");
    await expect.poll(() => daemon.containers.size, { timeout: 4_000 }).toBe(nodes.length);
  });

  it("does not open where the daemon sees another file under the archive's path", async () => {
    const { daemon, nodes, elsewhere, file, openLinks } = await open(noise("archive", 1_000));
    const other = join(temporaryFolder(), basename(file));
    await writeFile(other, noise("archive", 1_000));
    elsewhere.set(file, other);
    await expect(openLinks()).rejects.toThrow(`${file} is another file for the Docker daemon`);
    expect(daemon.containers.size).toBe(nodes.length);
  });

  it("does not open where the daemon does not see the archive at all", async () => {
    const { daemon, nodes, file, openLinks } = await open(noise("archive", 1_000));
    daemon.refuse = (call) =>
      call === "POST /containers/create"
        ? {
            status: 400,
            message: `invalid mount config for type "bind": bind source path does not exist: ${file}`,
          }
        : undefined;
    await expect(openLinks()).rejects.toThrow("bind source path does not exist");
    expect(daemon.containers.size).toBe(nodes.length);
  });

  it("takes blobs from several archives", async () => {
    const { nodes, file, openLinks, volumeOf } = await open(noise("first", 1_000), ["shop-worker"]);
    const second = join(temporaryFolder(), "second.tar");
    await writeFile(second, noise("second", 2_000));
    const links = await openLinks([file, second]);
    for (const [seed, path, size] of [
      ["first", file, 1_000],
      ["second", second, 2_000],
    ] as const) {
      const blob = { digest: digestOf(noise(seed, size)), size, file: path, offset: 0 };
      const identity = await identityOf(path);
      for (const node of nodes) {
        await links.link(blob, identity, volumeOf(node));
        expect(existsSync(pathIn(node, blob))).toBe(true);
        expect(node.containerd.wrongBlobs()).toEqual([]);
      }
    }
    await links.close();
  });
});

describe("blobs can be linked", () => {
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

  it("where all nodes have their /var in plain volumes of one folder", () => {
    expect(findLinkableVolumes([node("a"), node("b")])).toEqual({
      root: "/var/lib/docker/volumes",
      volumes: new Map([
        ["a", "a"],
        ["b", "b"],
      ]),
    });
  });

  it("whatever else is mounted into the nodes", () => {
    const { mounts, ...rest } = node("a");
    const more = ["/var/lib/kubelet", "/var/lib/containerd-extra", "/variable", "/"].map(bind);
    expect(findLinkableVolumes([{ ...rest, mounts: [...mounts, ...more] }])).toBeDefined();
  });

  it.each([
    { what: "a bind mount", more: { type: "bind" } },
    { what: "a volume of another driver", more: { driver: "nfs" } },
    { what: "a volume that is elsewhere than its name says", more: { source: "/mnt/disk/a" } },
    { what: "mounted elsewhere", more: { destination: "/data" } },
  ])("not where a node's /var is $what", ({ more }) => {
    expect(findLinkableVolumes([node("a"), node("b", more)])).toBeUndefined();
  });

  it("not where volumes are in several folders, because links do not cross file systems", () => {
    expect(findLinkableVolumes([node("a"), node("b", { source: "/mnt/volumes/b/_data" })])).toBeUndefined();
  });

  it.each(["/var/lib", "/var/lib/containerd", "/var/lib/containerd/io.containerd.content.v1.content"])(
    "not where something of its own is mounted at %s",
    (destination) => {
      const { mounts, ...rest } = node("a");
      expect(findLinkableVolumes([{ ...rest, mounts: [...mounts, bind(destination)] }])).toBeUndefined();
    },
  );

  it("not into no nodes", () => {
    expect(findLinkableVolumes([])).toBeUndefined();
  });
});
