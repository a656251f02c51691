import type { RequestListener } from "node:http";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Platform } from "../../src/docker/images.ts";
import { RegistryClient } from "../../src/oci/registry-client.ts";
import { fetchManifestChain, verifyManifestChain } from "../../src/oci/resolve-image.ts";
import { digestOf, tokenRegistry } from "../fixtures/registry.ts";
import { files, serve, unusedPort } from "../fixtures/web-server.ts";

const amd64: Platform = { os: "linux", architecture: "amd64" };
const arm64: Platform = { os: "linux", architecture: "arm64", variant: "v8" };

const oci = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
};
const docker = {
  index: "application/vnd.docker.distribution.manifest.list.v2+json",
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
  layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
};
type Types = typeof oci;

/** What refers to a text. */
const to = (text: string, mediaType: string, more: object = {}) => ({
  mediaType,
  digest: digestOf(text),
  size: Buffer.byteLength(text),
  ...more,
});

interface Made {
  readonly manifest: string;
  readonly config: string;
  readonly diffIds: readonly string[];
}

/** An image of two layers for a platform, which its own parts can be given for. */
function image(
  types: Types = oci,
  platform = amd64,
  parts: { manifest?: object; config?: object } = {},
): Made {
  const diffIds = [digestOf(`base for ${platform.architecture}`), digestOf("top")];
  const config = JSON.stringify({
    ...platform,
    config: { Env: ["PATH=/bin"] },
    rootfs: { type: "layers", diff_ids: diffIds },
    history: [{ created_by: "größer" }],
    ...parts.config,
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: to(config, types.config),
    layers: diffIds.map((diffId) => to(`packed ${diffId}`, types.layer)),
    ...parts.manifest,
  });
  return { manifest, config, diffIds };
}

/** An index of images, as buildx writes it. */
const indexOf = (entries: readonly object[], types: Types = oci) =>
  JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: entries });

const entryOf = ({ manifest }: Made, platform: Platform, types: Types = oci) =>
  to(manifest, types.manifest, { platform });

/** An image for two platforms with what proves where it comes from. */
function both(types: Types = oci) {
  const [one, other] = [image(types, amd64), image(types, arm64)];
  const attestation = to("{}", types.manifest, {
    platform: { os: "unknown", architecture: "unknown" },
    annotations: { "vnd.docker.reference.type": "attestation-manifest" },
  });
  const index = indexOf([attestation, entryOf(one, amd64, types), entryOf(other, arm64, types)], types);
  return { index, one, other, digest: digestOf(index) };
}

describe("documents", () => {
  it.each([
    ["OCI's", oci],
    ["Docker's", docker],
  ])("of %s kinds lead from an index to the image for a platform", (_, types) => {
    const { index, one, other, digest } = both(types);
    expect(verifyManifestChain(digest, amd64, [index, one.manifest, one.config])).toEqual({
      configDigest: digestOf(one.config),
      diffIds: one.diffIds,
    });
    expect(verifyManifestChain(digest, arm64, [index, other.manifest, other.config])).toEqual({
      configDigest: digestOf(other.config),
      diffIds: other.diffIds,
    });
  });

  it.each([
    ["OCI's", oci],
    ["Docker's", docker],
  ])("of %s kinds may begin with the manifest", (_, types) => {
    const { manifest, config, diffIds } = image(types);
    const verified = verifyManifestChain(digestOf(manifest), amd64, [manifest, config]);
    expect(verified).toEqual({ configDigest: digestOf(config), diffIds });
  });

  it("need not say of what kind they are", () => {
    const { manifest, config } = image(oci, amd64, { manifest: { mediaType: undefined } });
    const index = JSON.stringify({ manifests: [to(manifest, oci.manifest, { platform: amd64 })] });
    const verified = verifyManifestChain(digestOf(index), amd64, [index, manifest, config]);
    expect(verified.configDigest).toBe(digestOf(config));
  });

  it("lead to what fits best where several do", () => {
    const [v3, plain] = [image(oci, { ...amd64, variant: "v3" }), image(oci, amd64)];
    const index = indexOf([entryOf(v3, { ...amd64, variant: "v3" }), entryOf(plain, amd64)]);
    const verified = verifyManifestChain(digestOf(index), amd64, [index, plain.manifest, plain.config]);
    expect(verified.configDigest).toBe(digestOf(plain.config));
  });

  it("may be of an image without layers", () => {
    const { manifest, config } = image(oci, amd64, { config: { rootfs: null }, manifest: { layers: null } });
    expect(verifyManifestChain(digestOf(manifest), amd64, [manifest, config]).diffIds).toEqual([]);
  });

  it("are followed by the index, whatever the config says that it is for", () => {
    const { manifest, config } = image(oci, arm64);
    const index = indexOf([to(manifest, oci.manifest, { platform: amd64 })]);
    expect(() => verifyManifestChain(digestOf(index), amd64, [index, manifest, config])).not.toThrow();
  });
});

describe("documents are refused", () => {
  const { index, one, other, digest } = both();
  const good = [index, one.manifest, one.config];

  it.each([0, 1, 2])("when the one at place %s is not what led to it", (place) => {
    const changed = good.with(place, `${good[place]} `);
    expect(() => verifyManifestChain(digest, amd64, changed)).toThrow(
      `What should be ${digestOf(good[place] ?? "")} hashes to ${digestOf(changed[place] ?? "")}.`,
    );
  });

  it("when they are of another image", () => {
    const another = image(oci, amd64, { config: { author: "somebody else" } });
    expect(() =>
      verifyManifestChain(digestOf(one.manifest), amd64, [another.manifest, another.config]),
    ).toThrow("hashes to");
    expect(() => verifyManifestChain(digest, amd64, [index, another.manifest, another.config])).toThrow(
      "hashes to",
    );
    expect(() => verifyManifestChain(digest, amd64, [index, one.manifest, another.config])).toThrow(
      "hashes to",
    );
  });

  it("when they are of the right image for another platform", () => {
    expect(() => verifyManifestChain(digest, amd64, [index, other.manifest, other.config])).toThrow(
      "hashes to",
    );
    const alone = image(oci, arm64);
    expect(() =>
      verifyManifestChain(digestOf(alone.manifest), amd64, [alone.manifest, alone.config]),
    ).toThrow(`${digestOf(alone.manifest)} is for linux/arm64/v8, not for linux/amd64.`);
  });

  it("when there are too few, too many, or they are in another order", () => {
    for (const few of [[], [index], [index, one.manifest]])
      expect(() => verifyManifestChain(digest, amd64, few)).toThrow(/ is not among the documents of sha256:/);
    expect(() =>
      verifyManifestChain(digestOf(one.manifest), amd64, [one.manifest, one.config, one.config]),
    ).toThrow("There is one document too many");
    expect(() => verifyManifestChain(digest, amd64, [...good, "{}"])).toThrow("is no list of three texts");
    expect(() => verifyManifestChain(digest, amd64, good.toReversed())).toThrow("hashes to");
  });

  it.each([
    ["nothing", undefined],
    ["null", null],
    ["a text", index],
    ["an object", { 0: index, length: 1 }],
    ["numbers", [1, 2]],
    ["lists", [[index]]],
    ["bytes", good.map((text) => Buffer.from(text))],
  ])("when they are %s", (_, documents) => {
    expect(() => verifyManifestChain(digest, amd64, documents)).toThrow("is no list of three texts");
  });

  it.each(["", "sha256:", digest.toUpperCase(), digest.replace("sha256:", ""), `sha512:${"0".repeat(128)}`])(
    "when the digest is none: %j",
    (none) => {
      expect(() => verifyManifestChain(none, amd64, good)).toThrow("hashes to");
    },
  );

  it("when the index has nothing for the platform, and it is told what it has", () => {
    expect(() => verifyManifestChain(digest, { os: "linux", architecture: "s390x" }, good)).toThrow(
      `${digest} lists no image for linux/s390x, but for unknown/unknown, linux/amd64, linux/arm64/v8.`,
    );
    const many = indexOf(
      Array.from({ length: 20 }, (_, number) => entryOf(one, { os: "linux", architecture: `a${number}` })),
    );
    expect(() => verifyManifestChain(digestOf(many), amd64, [many])).toThrow("linux/a9, ….");
    const none = indexOf([]);
    expect(() => verifyManifestChain(digestOf(none), amd64, [none])).toThrow("but for no platform at all");
  });

  it("when an index is in the index", () => {
    const nested = indexOf([to(index, oci.index, { platform: amd64 })]);
    expect(() => verifyManifestChain(digestOf(nested), amd64, [nested, index, one.manifest])).toThrow(
      "lists no image for linux/amd64",
    );
    const disguised = indexOf([to(index, oci.manifest, { platform: amd64 })]);
    expect(() => verifyManifestChain(digestOf(disguised), amd64, [disguised, index, one.manifest])).toThrow(
      `${digest} is no image manifest: \`mediaType\` is not the type of a manifest`,
    );
  });

  it.each<[string, unknown, RegExp]>([
    ["a list", [], /is no image manifest: it is not an object/],
    ["a text", "index", /is no image manifest/],
    ["null", null, /is no image manifest/],
    ["an empty object", {}, /is no image manifest: `config` is not an object/],
    ["an index and a manifest at once", { manifests: [], config: {}, layers: [] }, /does not belong there/],
    ["an index of what are no entries", { manifests: [1] }, /`manifests.0` is not an object/],
    ["an index of too many", { manifests: Array(1_001).fill({}) }, /`manifests` has more than 1000 elements/],
    ["a manifest of Docker's first kind", { schemaVersion: 1, fsLayers: [] }, /is no image manifest/],
    [
      "an index whose entry has no digest",
      { manifests: [{ mediaType: oci.manifest, digest: "../../x", size: 1 }] },
      /`manifests.0.digest` is not `sha256:` and 64 hexadecimal digits/,
    ],
  ])("when the first is %s", (_, json, says) => {
    const text = JSON.stringify(json);
    expect(() => verifyManifestChain(digestOf(text), amd64, [text])).toThrow(says);
  });

  it.each(["", "{", "\ufeff{}", "undefined"])("when one is not JSON: %j", (text) => {
    expect(() => verifyManifestChain(digestOf(text), amd64, [text])).toThrow(
      `${digestOf(text)} is not JSON.`,
    );
  });

  it.each<[string, object, RegExp]>([
    [
      "of something else",
      { config: { ...to(one.config, "application/vnd.cncf.helm.config.v1+json") } },
      /is not an image: its config is of the type "application\/vnd\.cncf\.helm/,
    ],
    [
      "of another size",
      { config: { ...to(one.config, oci.config), size: 3 } },
      /has \d+ bytes, and should have 3\./,
    ],
    [
      "of too great a size",
      { config: { ...to(one.config, oci.config), size: 5_000_000 } },
      /has more than the 4194304 bytes/,
    ],
    ["with fewer layers", { layers: [] }, /has 0 layers, and 2 according to its config/],
  ])("when the manifest is one %s", (_, parts, says) => {
    const { manifest, config } = image(oci, amd64, { manifest: parts });
    expect(() => verifyManifestChain(digestOf(manifest), amd64, [manifest, config])).toThrow(says);
  });

  it.each<[string, object, RegExp]>([
    [
      "layers that are no digests",
      { rootfs: { diff_ids: ["sha256:x"] } },
      /`rootfs.diff_ids.0` is not `sha256:`/,
    ],
    [
      "too many layers",
      { rootfs: { diff_ids: Array(1_001).fill("") } },
      /`rootfs.diff_ids` has more than 1000/,
    ],
    ["a platform that is none", { architecture: "a\nb" }, /`architecture` is not a word/],
  ])("when the config has %s", (_, parts, says) => {
    const { manifest, config } = image(oci, amd64, { config: parts });
    expect(() => verifyManifestChain(digestOf(manifest), amd64, [manifest, config])).toThrow(says);
  });

  it("when one is huge, before anything is done with it", () => {
    const huge = JSON.stringify({ manifests: [], x: "x".repeat(4 * 1024 ** 2) });
    expect(() => verifyManifestChain(digestOf(huge), amd64, [huge])).toThrow("more than the 4194304 bytes");
  });

  it("unless not a letter of them is another", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 2 }),
        fc.nat(),
        fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
        (place, at, more) => {
          const text = good[place] ?? "";
          const start = at % text.length;
          const changed = text.slice(0, start) + more + text.slice(start + more.length);
          fc.pre(changed !== text);
          expect(() => verifyManifestChain(digest, amd64, good.with(place, changed))).toThrow();
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("the documents of an image", () => {
  const { index, one, digest } = both();
  const paths = {
    [`/v2/kindest/node/manifests/${digest}`]: index,
    [`/v2/kindest/node/manifests/${digestOf(one.manifest)}`]: one.manifest,
    [`/v2/kindest/node/blobs/${digestOf(one.config)}`]: one.config,
  };
  const name = `kindest/node@${digest}`;
  const at = (url: string, reference = name) => `${new URL(url).host}/${reference}`;

  it("come from its registry, as they are", async () => {
    const { url, requests } = await serve(files(paths));
    const found = await fetchManifestChain(at(url), amd64);
    expect(found).toEqual({
      documents: [index, one.manifest, one.config],
      configDigest: digestOf(one.config),
      diffIds: one.diffIds,
    });
    expect(verifyManifestChain(digest, amd64, found.chain)).toMatchObject({
      configDigest: found.configDigest,
    });
    expect(requests).toEqual(Object.keys(paths).map((path) => `GET ${path}`));
  });

  it("are two where the digest is that of a manifest", async () => {
    const { url } = await serve(files(paths));
    const { chain: documents } = await fetchManifestChain(
      at(url, `kindest/node@${digestOf(one.manifest)}`),
      amd64,
    );
    expect(documents).toEqual([one.manifest, one.config]);
  });

  it("are asked for by the digest, whatever the tag", async () => {
    const { url, requests } = await serve(files(paths));
    await fetchManifestChain(at(url, `kindest/node:v1.34.11@${digest}`), amd64);
    expect(requests[0]).toBe(`GET /v2/kindest/node/manifests/${digest}`);
  });

  it("are asked for in every form that is understood, and with a token where one is wanted", async () => {
    const accepted: (string | undefined)[] = [];
    const answer: RequestListener = (request, response) => {
      accepted.push(request.headers.accept);
      files(paths)(request, response);
    };
    const { url } = await serve(tokenRegistry({ answer, scope: "repository:kindest/node:pull" }));
    await fetchManifestChain(at(url), amd64);
    expect(accepted).toEqual([
      [oci.index, docker.index, oci.manifest, docker.manifest].join(", "),
      [oci.index, docker.index, oci.manifest, docker.manifest].join(", "),
      undefined,
    ]);
  });

  it.each([
    [`registry:3.1.1@${digest}`, `/v2/library/registry/manifests/${digest}`],
    [`docker.io/registry@${digest}`, `/v2/library/registry/manifests/${digest}`],
    [name, `/v2/kindest/node/manifests/${digest}`],
    [`ghcr.io/a/b/c@${digest}`, `/v2/a/b/c/manifests/${digest}`],
  ])("can be asked for elsewhere: those of %s at %s", async (reference, path) => {
    const { url, requests } = await serve(files({}));
    await expect(fetchManifestChain(reference, amd64, new RegistryClient(url))).rejects.toThrow(
      `The documents of ${reference} cannot be had: the registry answers with status 404`,
    );
    expect(requests).toEqual([`GET ${path}`]);
  });

  it.each([
    "kindest/node:v1.34.11",
    "kindest/node",
    "",
    `kindest/node@sha512:${"0".repeat(128)}`,
    `Web@${digest}`,
  ])("are not to be had without its SHA-256 digest: %j", async (reference) => {
    await expect(fetchManifestChain(reference, amd64)).rejects.toThrow(
      `${JSON.stringify(reference)} is not the name of an image with its SHA-256 digest.`,
    );
  });

  it.each([0, 1, 2])("are not those of somebody else: at place %s", async (place) => {
    const path = Object.keys(paths)[place] ?? "";
    const { url } = await serve(files({ ...paths, [path]: '{"hello":"world"}' }));
    await expect(fetchManifestChain(at(url), amd64)).rejects.toThrow(
      `What should be ${path.slice(path.indexOf("sha256:"))} hashes to ${digestOf('{"hello":"world"}')}.`,
    );
  });

  it.each([
    [401, "it wants a login"],
    [403, "it wants another login"],
    [404, "it does not have it"],
    [429, "it has been asked too often"],
    [500, "it should have it"],
    [204, "it should have it"],
  ])("are not there when the registry answers with status %s", async (status, why) => {
    const { url } = await serve((_, response) => response.writeHead(status).end());
    await expect(fetchManifestChain(at(url), amd64)).rejects.toThrow(
      `The documents of ${at(url)} cannot be had: the registry answers with status ${status} when asked for ${digest}: ${why}.`,
    );
  });

  it("are not there when the registry is not", async () => {
    const reference = `127.0.0.1:${await unusedPort()}/${name}`;
    await expect(fetchManifestChain(reference, amd64)).rejects.toThrow(
      /^The documents of \S+ cannot be had: http:\S+ cannot be read: .*ECONNREFUSED/,
    );
  });

  it("are not read on and on: neither one that is huge, nor one that says so", async () => {
    const huge = Buffer.alloc(5 * 1024 ** 2, " ");
    const { url } = await serve(files({ [`/v2/kindest/node/manifests/${digest}`]: huge }));
    await expect(fetchManifestChain(at(url), amd64)).rejects.toThrow(
      "the answer has more than 4194304 bytes",
    );
    const announced = indexOf([{ ...entryOf(one, amd64), size: 5_000_000 }]);
    const path = `/v2/kindest/node/manifests/${digestOf(announced)}`;
    const other = await serve(files({ ...paths, [path]: announced }));
    await expect(
      fetchManifestChain(at(other.url, `kindest/node@${digestOf(announced)}`), amd64),
    ).rejects.toThrow("has more than the 4194304 bytes that are read of a document");
    expect(other.requests).toEqual([`GET ${path}`]);
  });

  it("are texts: bytes that are none are not those of the digest", async () => {
    const bytes = Buffer.from([0x7b, 0xff, 0x7d]);
    const broken = digestOf(bytes);
    const { url } = await serve(files({ [`/v2/kindest/node/manifests/${broken}`]: bytes }));
    await expect(fetchManifestChain(at(url, `kindest/node@${broken}`), amd64)).rejects.toThrow("hashes to");
  });
});
