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
import { expected, read, refusal, shown } from "./reading.ts";
import type { Member } from "./tar-files.ts";

const web = sample("web");
const oci = ociImage(web);
const layout = (entry: object, blobs: readonly Blob[] = oci.blobs) => ociLayout([entry], blobs);

describe("an image for several platforms", () => {
  const [amd, arm] = [ociImage(web), ociImage(sample("arm", { platform: "linux/arm64/v8" }))];
  const statement = blob({ schemaVersion: 2, config: {}, layers: [] }, mediaTypes.manifest);
  const index = ociIndex([
    { of: arm.manifest, platform: "linux/arm64/v8" },
    { of: amd.manifest, platform: "linux/amd64" },
    { of: amd.manifest, platform: "linux/amd64" },
    {
      of: statement,
      platform: "unknown/unknown",
      more: { annotations: { "vnd.docker.reference.type": "attestation-manifest" } },
    },
  ]);

  it("is read for the nodes', keeps its index as what the name points to, and leaves attestations alone", async () => {
    // As buildx writes it: the statement's own blobs and the other platform's layers are not needed.
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
    "fits nodes whose first variant is, or is not, written down: %o",
    async (platform) => {
      const members = ociLayout([{ ...index.descriptor, ...named("web:1") }], [index, ...arm.blobs]);
      const { images } = await read(members, platform);
      expect(images[0]?.platform).toBe("linux/arm64/v8");
    },
  );

  it("may be an index of indexes", async () => {
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

  it("may be listed by its index over and over", async () => {
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

  it("may have statements about it beside it, which are no images without a name", async () => {
    const about = [
      { ...statement.descriptor, annotations: { "vnd.docker.reference.type": "attestation-manifest" } },
      { ...statement.descriptor, annotations: { "io.containerd.manifest.subject": index.descriptor.digest } },
      { ...statement.descriptor, platform: { os: "unknown", architecture: "unknown" } },
    ];
    const entries = [...about, { ...index.descriptor, ...named("web:1") }];
    const { images } = await read(ociLayout(entries, [index, ...amd.blobs]));
    expect(images.map(({ id }) => id)).toEqual([web.id]);
  });

  it("may be Docker's manifest list", async () => {
    const list = blob({ schemaVersion: 2, manifests: [amd.manifest.descriptor] }, mediaTypes.dockerList);
    const { images } = await read(
      ociLayout([{ ...list.descriptor, ...named("web:1") }], [list, ...amd.blobs]),
    );
    expect(images[0]?.target.mediaType).toBe(mediaTypes.dockerList);
  });

  it("is asked for its config where the index does not tell its platform", async () => {
    const silent = ociIndex([{ of: arm.manifest }, { of: amd.manifest }]);
    const blobs = [silent, ...amd.blobs, ...arm.blobs];
    const { images } = await read(ociLayout([{ ...silent.descriptor, ...named("web:1") }], blobs));
    expect(images[0]?.id).toBe(web.id);
  });

  it("may be there in two wrappings under one name: the first counts", async () => {
    const entries = [index, amd.manifest].map(({ descriptor }) => ({ ...descriptor, ...named("web:1") }));
    const { images } = await read(ociLayout(entries, [index, ...amd.blobs]));
    expect(images.map(({ target }) => target.digest)).toEqual([index.descriptor.digest]);
  });

  it("may be listed platform by platform under one name", async () => {
    const entries = [arm, amd].map(({ manifest }) => ({ ...manifest.descriptor, ...refNamed("web:1") }));
    const { images } = await read(ociLayout(entries, [...amd.blobs, ...arm.blobs]));
    expect(images.map(({ target }) => target.digest)).toEqual([amd.manifest.descriptor.digest]);
  });
});

describe("an image for other platforms than the nodes' is refused:", () => {
  const build =
    "and the nodes run linux/amd64. Build the image for it, with `docker buildx build --platform linux/amd64`.";
  const arm = sample("arm", { platform: "linux/arm64/v8" });
  const ociArm = ociImage(arm);
  const index = ociIndex([
    { of: ociArm.manifest, platform: "linux/arm64" },
    { of: oci.manifest, platform: "windows/amd64" },
    { of: oci.manifest, platform: "linux/amd64/v3" },
    { of: oci.manifest, platform: "unknown/unknown" },
  ]);
  const crowdNames = Array.from({ length: 12 }, (_, which) => `linux/${which}`);
  const crowd = ociIndex(crowdNames.map((platform) => ({ of: oci.manifest, platform })));
  it.each<[string, Member[], string]>([
    [
      "of docker save",
      dockerSaveOld([{ image: arm, tags: ["web:1"] }]),
      "docker.io/library/web:1 in it is for linux/arm64/v8",
    ],
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
      "docker.io/library/web:1 in it is for linux/arm64/v8",
    ],
    [
      "for several",
      layout({ ...index.descriptor, ...named("web:1") }, [index]),
      "docker.io/library/web:1 in it is for linux/arm64, windows/amd64, linux/amd64/v3",
    ],
    [
      "for none",
      layout({ ...ociIndex([]).descriptor, ...named("web:1") }, [ociIndex([])]),
      "docker.io/library/web:1 in it is for no platform",
    ],
    [
      "for more than can be listed",
      layout({ ...crowd.descriptor, ...named("web:1") }, [crowd]),
      `docker.io/library/web:1 in it is for ${crowdNames.slice(0, 10).join(", ")}, …`,
    ],
  ])("%s", async (_, archive, said) => {
    expect(await refusal(archive)).toBe(`${said}, ${build}`);
  });
});
