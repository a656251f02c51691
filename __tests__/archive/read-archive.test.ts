import { statSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import {
  compressed,
  digestOf,
  dockerSaveNew,
  dockerSaveOld,
  goContainerRegistry,
  imageOf,
  json,
  mediaTypes,
  named,
  ociImage,
  ociLayout,
  refNamed,
  sample,
} from "./archives.ts";
import { expected, layerBytes, read, shown } from "./reading.ts";
import { tar } from "./tar-files.ts";

const [web, db] = [sample("web"), sample("db", { layers: 3 })];

describe("readArchive of docker save", () => {
  it("returns the full names, the ID and the layers of the image", async () => {
    const archive = await read(dockerSaveOld([{ image: web, tags: ["web:1"] }]));
    expect(shown(archive)).toEqual([expected(web, ["docker.io/library/web:1"])]);
    expect(archive.file).toBe(archive.path);
    expect(archive.images[0]).toMatchObject({
      platform: "linux/amd64",
      layers: web.layers.map((layer) => ({
        digest: digestOf(layer),
        size: layer.length,
        mediaType: mediaTypes.dockerLayer,
      })),
    });
  });

  it("returns several images with several names", async () => {
    const archive = await read(
      dockerSaveOld([
        { image: web, tags: ["web:1", "ghcr.io/shop/web:1"] },
        { image: db, tags: ["localhost/db"] },
      ]),
    );
    expect(shown(archive)).toEqual([
      expected(web, ["docker.io/library/web:1", "ghcr.io/shop/web:1"]),
      expected(db, ["localhost/db:latest"]),
    ]);
  });

  it.each(["symlink", "hardlink"] as const)("follows a %s to the layer of another image", async (kind) => {
    const next = imageOf([...web.layers, ...db.layers]);
    const archive = await read(
      dockerSaveOld(
        [
          { image: web, tags: ["web:1"] },
          { image: next, tags: ["web:2"] },
        ],
        kind,
      ),
    );
    expect(shown(archive)).toEqual([
      expected(web, ["docker.io/library/web:1"]),
      expected(next, ["docker.io/library/web:2"]),
    ]);
    expect(archive.images[1]?.layers[0]?.offset).toBe(archive.images[0]?.layers[0]?.offset);
  });

  it("generates the same manifest as containerd, byte for byte", async () => {
    // The manifest that the importer of containerd 2.3.7 generates for this archive.
    const image = imageOf([Buffer.from("lower"), Buffer.from("upper")]);
    const archive = await read(dockerSaveOld([{ image, tags: ["web:1"] }]));
    const [manifest, config] = archive.images[0]?.manifests ?? [];
    expect(manifest?.bytes.toString()).toBe(
      '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",' +
        '"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:aabd30884024cef257fdbf321554f0ee3436f6fa8d2954b4e2b67e342c583971","size":256},' +
        '"layers":[' +
        '{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":"sha256:8c6fb1e9e37a1aea1d308c785192e1a17d71cef08c7f50a68d2e0ab292b2e7f4","size":5},' +
        '{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":"sha256:aee610558292023758a4229ddcf75f167c9904313a83cf795232ed7f7e2131c9","size":5}]}',
    );
    expect(archive.images[0]?.target).toEqual({
      digest: "sha256:cea4e754d106bcbe902f3e52600f375a8f49cd6d7afe08a2699521e75d721286",
      size: 569,
      mediaType: mediaTypes.dockerManifest,
    });
    expect(config?.bytes).toEqual(image.config);
  });

  it("reads the OCI layout of Docker 25 and later", async () => {
    const archive = await read(dockerSaveNew([{ image: web, tags: ["web:1", "web:latest"] }]));
    expect(shown(archive)).toEqual([
      expected(web, ["docker.io/library/web:1", "docker.io/library/web:latest"]),
    ]);
    expect(archive.images[0]?.target.mediaType).toBe(mediaTypes.manifest);
  });

  it("reads the files of an OCI layout without the file oci-layout", async () => {
    const members = dockerSaveNew([{ image: web, tags: ["web:1"] }]);
    const archive = await read(members.filter(({ name }) => name !== "oci-layout"));
    expect(shown(archive)).toEqual([expected(web, ["docker.io/library/web:1"])]);
    expect(archive.images[0]?.target.mediaType).toBe(mediaTypes.dockerManifest);
  });

  it("accepts a missing layer, which Docker never fetched", async () => {
    const members = dockerSaveNew([{ image: web, tags: ["web:1"] }]);
    const missing = digestOf(web.layers[0] ?? Buffer.alloc(0)).replace(":", "/");
    const { images } = await read(members.filter(({ name }) => name !== `blobs/${missing}`));
    expect(images[0]?.layers.map(({ offset }) => offset)).toEqual([undefined, expect.any(Number)]);
  });

  it("returns an image without layers", async () => {
    const archive = await read(dockerSaveOld([{ image: imageOf([]), tags: ["scratch:1"] }]));
    expect(archive.images[0]?.layers).toEqual([]);
  });

  it("uses the platform of the nodes if the config has none", async () => {
    const archive = await read(dockerSaveOld([{ image: imageOf([], ""), tags: ["web:1"] }]));
    expect(archive.images[0]?.platform).toBe("linux/amd64");
  });
});

describe("readArchive of crane, ko or kaniko", () => {
  it.each(["gzip", "zstd"] as const)("hashes layers that are compressed with %s", async (compression) => {
    const archive = await read(goContainerRegistry([{ image: web, tags: ["web:1"] }], compression));
    expect(shown(archive)).toEqual([expected(web, ["docker.io/library/web:1"], compression)]);
    for (const layer of archive.images[0]?.layers ?? []) {
      // The media type that containerd's importer sets for both.
      expect(layer.mediaType).toBe(`${mediaTypes.dockerLayer}.gzip`);
      expect(layer.digest).toBe(digestOf(layerBytes(archive, layer)));
    }
  });
});

describe("readArchive of an OCI layout", () => {
  it.each(["none", "gzip", "zstd"] as const)(
    "returns its manifest, and layers with compression %s",
    async (compression) => {
      const { manifest, blobs } = ociImage(web, compression);
      const archive = await read(
        ociLayout([{ ...manifest.descriptor, ...named("docker.io/library/web:1") }], blobs),
      );
      expect(shown(archive)).toEqual([expected(web, ["docker.io/library/web:1"], compression)]);
      expect(archive.images[0]).toMatchObject({
        target: manifest.descriptor,
        layers: [{ mediaType: mediaTypes[compression] }, { mediaType: mediaTypes[compression] }],
      });
    },
  );

  it.each([
    ["web:1", "docker.io/library/web:1"],
    ["localhost/web:1", "localhost/web:1"],
    ["ghcr.io/shop/web", "ghcr.io/shop/web:latest"],
  ])("reads the names of skopeo and podman: %s", async (reference, name) => {
    const { manifest, blobs } = ociImage(web);
    const { images } = await read(ociLayout([{ ...manifest.descriptor, ...refNamed(reference) }], blobs));
    expect(images[0]?.names).toEqual([name]);
  });

  it("reads the name in manifest.json if index.json has only a tag", async () => {
    const members = dockerSaveNew([{ image: web, tags: ["web:1"] }]).map((member) =>
      member.name === "index.json"
        ? {
            ...member,
            content: json({
              manifests: [{ ...ociImage(web, "none").manifest.descriptor, ...refNamed("1") }],
            }),
          }
        : member,
    );
    const { images } = await read(members);
    expect(images[0]?.names).toEqual(["docker.io/library/web:1"]);
  });

  it("returns an image with several names once", async () => {
    const { manifest, blobs } = ociImage(web);
    const entries = ["web:1", "web:latest", "web:1"].map((name) => ({
      ...manifest.descriptor,
      ...named(name),
    }));
    const { images } = await read(ociLayout(entries, blobs));
    expect(images.map(({ names }) => names)).toEqual([
      ["docker.io/library/web:1", "docker.io/library/web:latest"],
    ]);
  });
});

describe("readArchive", () => {
  it.each(["gzip", "zstd"] as const)("decompresses %s into the scratch folder", async (compression) => {
    const archive = await read(
      compressed(tar(dockerSaveOld([{ image: web, tags: ["web:1"] }])), compression),
    );
    expect(shown(archive)).toEqual([expected(web, ["docker.io/library/web:1"])]);
    expect(dirname(archive.file)).not.toBe(dirname(archive.path));
    expect(statSync(archive.file).mode & 0o777).toBe(0o600);
  });

  it("accepts names that begin with ./", async () => {
    const members = dockerSaveNew([{ image: web, tags: ["web:1"] }]);
    const archive = await read(members.map((member) => ({ ...member, name: `./${member.name}` })));
    expect(shown(archive)).toEqual([expected(web, ["docker.io/library/web:1"])]);
  });

  it("uses the last of several members with the same name, as tar does", async () => {
    const old = {
      name: "manifest.json",
      content: json([{ Config: "gone.json", RepoTags: ["web:0"], Layers: [] }]),
    };
    const archive = await read([old, ...dockerSaveOld([{ image: web, tags: ["web:1"] }])]);
    expect(archive.images[0]?.names).toEqual(["docker.io/library/web:1"]);
  });
});
