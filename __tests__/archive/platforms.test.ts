import { describe, expect, it } from "vitest";
import {
  type Blob,
  blob,
  dockerSaveOld,
  mediaTypes,
  named,
  ociImage,
  ociIndex,
  ociLayout,
  refNamed,
  sample,
} from "./archives.ts";
import { expected, read, rejection, shown } from "./reading.ts";
import type { Member } from "./tar-files.ts";

const web = sample("web");
const oci = ociImage(web);
const layout = (entry: object, blobs: readonly Blob[] = oci.blobs) => ociLayout([entry], blobs);

describe("readArchive of a multi-platform image", () => {
  const [amd, arm] = [ociImage(web), ociImage(sample("arm", { platform: "linux/arm64/v8" }))];
  const attestation = blob({ schemaVersion: 2, config: {}, layers: [] }, mediaTypes.manifest);
  const index = ociIndex([
    { of: arm.manifest, platform: "linux/arm64/v8" },
    { of: amd.manifest, platform: "linux/amd64" },
    { of: amd.manifest, platform: "linux/amd64" },
    {
      of: attestation,
      platform: "unknown/unknown",
      more: { annotations: { "vnd.docker.reference.type": "attestation-manifest" } },
    },
  ]);

  it("selects the platform of the nodes, keeps the index as the target, and ignores attestations", async () => {
    // As buildx writes it, without the blobs of the attestation and of the other platform.
    const members = ociLayout([{ ...index.descriptor, ...named("web:1") }], [index, ...amd.blobs]);
    const archive = await read(members);
    expect(shown(archive)).toEqual([expected(web, ["docker.io/library/web:1"], "gzip")]);
    expect(archive.images[0]?.target).toEqual(index.descriptor);
    expect(archive.images[0]?.manifests.map(({ digest }) => digest)).toEqual([
      index.descriptor.digest,
      amd.manifest.descriptor.digest,
      amd.config.descriptor.digest,
    ]);
  });

  it.each([{ architecture: "arm64" }, { architecture: "arm64", variant: "v8" }])(
    "matches nodes with and without a default variant: %o",
    async (platform) => {
      const members = ociLayout([{ ...index.descriptor, ...named("web:1") }], [index, ...arm.blobs]);
      const { images } = await read(members, platform);
      expect(images[0]?.platform).toBe("linux/arm64/v8");
    },
  );

  it("reads nested indexes", async () => {
    const outer = ociIndex([{ of: ociIndex([{ of: index }]) }]);
    const middle = ociIndex([{ of: index }]);
    const members = ociLayout(
      [{ ...outer.descriptor, ...named("web:1") }],
      [outer, middle, index, ...amd.blobs],
    );
    const { images } = await read(members);
    expect(images[0]?.manifests.map(({ digest }) => digest)).toEqual(
      [outer, middle, index, amd.manifest, amd.config].map(({ descriptor }) => descriptor.digest),
    );
  });

  it("reads an image that nested indexes list repeatedly", async () => {
    const levels = [index];
    for (let level = 1; level < 8; level++) {
      const [below = index] = levels;
      levels.unshift(ociIndex(Array.from({ length: 20 }, () => ({ of: below }))));
    }
    const { images } = await read(
      ociLayout([{ ...levels[0]?.descriptor, ...named("web:1") }], [...levels, ...amd.blobs]),
    );
    expect(images[0]?.manifests).toHaveLength(10);
  });

  it("ignores attestations and referrers in index.json", async () => {
    const ignored = [
      { ...attestation.descriptor, annotations: { "vnd.docker.reference.type": "attestation-manifest" } },
      {
        ...attestation.descriptor,
        annotations: { "io.containerd.manifest.subject": index.descriptor.digest },
      },
      { ...attestation.descriptor, platform: { os: "unknown", architecture: "unknown" } },
    ];
    const entries = [...ignored, { ...index.descriptor, ...named("web:1") }];
    const { images } = await read(ociLayout(entries, [index, ...amd.blobs]));
    expect(images.map(({ id }) => id)).toEqual([web.id]);
  });

  it("reads a Docker manifest list", async () => {
    const list = blob({ schemaVersion: 2, manifests: [amd.manifest.descriptor] }, mediaTypes.dockerList);
    const { images } = await read(
      ociLayout([{ ...list.descriptor, ...named("web:1") }], [list, ...amd.blobs]),
    );
    expect(images[0]?.target.mediaType).toBe(mediaTypes.dockerList);
  });

  it("uses the platform of the config if the index has none", async () => {
    const withoutPlatform = ociIndex([{ of: arm.manifest }, { of: amd.manifest }]);
    const blobs = [withoutPlatform, ...amd.blobs, ...arm.blobs];
    const { images } = await read(ociLayout([{ ...withoutPlatform.descriptor, ...named("web:1") }], blobs));
    expect(images[0]?.id).toBe(web.id);
  });

  it("uses the first of an index and a manifest with the same name", async () => {
    const entries = [index, amd.manifest].map(({ descriptor }) => ({ ...descriptor, ...named("web:1") }));
    const { images } = await read(ociLayout(entries, [index, ...amd.blobs]));
    expect(images.map(({ target }) => target.digest)).toEqual([index.descriptor.digest]);
  });

  it("selects between manifests with the same name", async () => {
    const entries = [arm, amd].map(({ manifest }) => ({ ...manifest.descriptor, ...refNamed("web:1") }));
    const { images } = await read(ociLayout(entries, [...amd.blobs, ...arm.blobs]));
    expect(images.map(({ target }) => target.digest)).toEqual([amd.manifest.descriptor.digest]);
  });
});

describe("readArchive rejects an image for other platforms", () => {
  const build = "Build the image for this platform with `docker buildx build --platform linux/amd64`.";
  const noImage = "docker.io/library/web:1 has no image for linux/amd64, the platform of the nodes";
  const arm = sample("arm", { platform: "linux/arm64/v8" });
  const ociArm = ociImage(arm);
  const index = ociIndex([
    { of: ociArm.manifest, platform: "linux/arm64" },
    { of: oci.manifest, platform: "windows/amd64" },
    { of: oci.manifest, platform: "linux/amd64/v3" },
    { of: oci.manifest, platform: "unknown/unknown" },
  ]);
  const manyPlatforms = Array.from({ length: 12 }, (_, which) => `linux/${which}`);
  const many = ociIndex(manyPlatforms.map((platform) => ({ of: oci.manifest, platform })));
  it.each<[string, Member[], string]>([
    ["of docker save", dockerSaveOld([{ image: arm, tags: ["web:1"] }]), "linux/arm64/v8"],
    [
      "of an OCI layout",
      layout(
        {
          ...ociArm.manifest.descriptor,
          ...named("web:1"),
          platform: { os: "linux", architecture: "amd64" },
        },
        ociArm.blobs,
      ),
      "linux/arm64/v8",
    ],
    [
      "for several",
      layout({ ...index.descriptor, ...named("web:1") }, [index]),
      "linux/arm64, windows/amd64, linux/amd64/v3",
    ],
    ["for none", layout({ ...ociIndex([]).descriptor, ...named("web:1") }, [ociIndex([])]), "none"],
    [
      "for more than can be listed",
      layout({ ...many.descriptor, ...named("web:1") }, [many]),
      `${manyPlatforms.slice(0, 10).join(", ")}, …`,
    ],
  ])("%s", async (_, archive, available) => {
    expect(await rejection(archive)).toBe(`${noImage} (available: ${available}). ${build}`);
  });
});
