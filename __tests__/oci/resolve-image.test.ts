import type { RequestListener } from "node:http";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Platform } from "../../src/oci/platform.ts";
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

/** A descriptor of a text. */
const descriptorOf = (text: string, mediaType: string, more: object = {}) => ({
  mediaType,
  digest: digestOf(text),
  size: Buffer.byteLength(text),
  ...more,
});

interface Image {
  readonly manifest: string;
  readonly config: string;
  readonly diffIds: readonly string[];
}

/** An image of two layers for a platform. @param parts fields to replace */
function image(
  types: Types = oci,
  platform = amd64,
  parts: { manifest?: object; config?: object } = {},
): Image {
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
    config: descriptorOf(config, types.config),
    layers: diffIds.map((diffId) => descriptorOf(`packed ${diffId}`, types.layer)),
    ...parts.manifest,
  });
  return { manifest, config, diffIds };
}

/** An index of images, as buildx writes it. */
const indexOf = (entries: readonly object[], types: Types = oci) =>
  JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: entries });

const entryOf = ({ manifest }: Image, platform: Platform, types: Types = oci) =>
  descriptorOf(manifest, types.manifest, { platform });

/** An image for two platforms with an attestation. */
function multiPlatform(types: Types = oci) {
  const [one, other] = [image(types, amd64), image(types, arm64)];
  const attestation = descriptorOf("{}", types.manifest, {
    platform: { os: "unknown", architecture: "unknown" },
    annotations: { "vnd.docker.reference.type": "attestation-manifest" },
  });
  const index = indexOf([attestation, entryOf(one, amd64, types), entryOf(other, arm64, types)], types);
  return { index, one, other, digest: digestOf(index) };
}

describe("verifyManifestChain", () => {
  it.each([
    ["OCI's", oci],
    ["Docker's", docker],
  ])("returns the image of a platform from an index with %s media types", (_, types) => {
    const { index, one, other, digest } = multiPlatform(types);
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
  ])("accepts a chain without an index, with %s media types", (_, types) => {
    const { manifest, config, diffIds } = image(types);
    const verified = verifyManifestChain(digestOf(manifest), amd64, [manifest, config]);
    expect(verified).toEqual({ configDigest: digestOf(config), diffIds });
  });

  it("accepts an index and a manifest without media types", () => {
    const { manifest, config } = image(oci, amd64, { manifest: { mediaType: undefined } });
    const index = JSON.stringify({ manifests: [descriptorOf(manifest, oci.manifest, { platform: amd64 })] });
    const verified = verifyManifestChain(digestOf(index), amd64, [index, manifest, config]);
    expect(verified.configDigest).toBe(digestOf(config));
  });

  it("selects the best match of several platforms", () => {
    const [v3, plain] = [image(oci, { ...amd64, variant: "v3" }), image(oci, amd64)];
    const index = indexOf([entryOf(v3, { ...amd64, variant: "v3" }), entryOf(plain, amd64)]);
    const verified = verifyManifestChain(digestOf(index), amd64, [index, plain.manifest, plain.config]);
    expect(verified.configDigest).toBe(digestOf(plain.config));
  });

  it("accepts an image without layers", () => {
    const { manifest, config } = image(oci, amd64, { config: { rootfs: null }, manifest: { layers: null } });
    expect(verifyManifestChain(digestOf(manifest), amd64, [manifest, config]).diffIds).toEqual([]);
  });

  it("uses the platform of the index rather than that of the config", () => {
    const { manifest, config } = image(oci, arm64);
    const index = indexOf([descriptorOf(manifest, oci.manifest, { platform: amd64 })]);
    expect(() => verifyManifestChain(digestOf(index), amd64, [index, manifest, config])).not.toThrow();
  });
});

describe("verifyManifestChain rejects", () => {
  const { index, one, other, digest } = multiPlatform();
  const good = [index, one.manifest, one.config];

  it.each([0, 1, 2])("a chain whose entry %s has another digest", (place) => {
    const changed = good.with(place, `${good[place]} `);
    expect(() => verifyManifestChain(digest, amd64, changed)).toThrow(
      `The content of ${digestOf(good[place] ?? "")} has the digest ${digestOf(changed[place] ?? "")}.`,
    );
  });

  it("the chain of another image", () => {
    const another = image(oci, amd64, { config: { author: "another" } });
    expect(() =>
      verifyManifestChain(digestOf(one.manifest), amd64, [another.manifest, another.config]),
    ).toThrow("has the digest");
    expect(() => verifyManifestChain(digest, amd64, [index, another.manifest, another.config])).toThrow(
      "has the digest",
    );
    expect(() => verifyManifestChain(digest, amd64, [index, one.manifest, another.config])).toThrow(
      "has the digest",
    );
  });

  it("the chain of the image for another platform", () => {
    expect(() => verifyManifestChain(digest, amd64, [index, other.manifest, other.config])).toThrow(
      "has the digest",
    );
    const alone = image(oci, arm64);
    expect(() =>
      verifyManifestChain(digestOf(alone.manifest), amd64, [alone.manifest, alone.config]),
    ).toThrow(`${digestOf(alone.manifest)} is for linux/arm64/v8, not for linux/amd64.`);
  });

  it("a chain with missing, extra or reordered entries", () => {
    for (const few of [[], [index], [index, one.manifest]])
      expect(() => verifyManifestChain(digest, amd64, few)).toThrow(
        /^The manifest chain of sha256:[0-9a-f]+ lacks sha256:[0-9a-f]+\.$/,
      );
    expect(() =>
      verifyManifestChain(digestOf(one.manifest), amd64, [one.manifest, one.config, one.config]),
    ).toThrow("has an unexpected extra entry");
    expect(() => verifyManifestChain(digest, amd64, [...good, "{}"])).toThrow(
      "is not an array of at most three strings",
    );
    expect(() => verifyManifestChain(digest, amd64, good.toReversed())).toThrow("has the digest");
  });

  it.each([
    ["nothing", undefined],
    ["null", null],
    ["a string", index],
    ["an object", { 0: index, length: 1 }],
    ["numbers", [1, 2]],
    ["arrays", [[index]]],
    ["bytes", good.map((text) => Buffer.from(text))],
  ])("a chain that is %s", (_, chain) => {
    expect(() => verifyManifestChain(digest, amd64, chain)).toThrow(
      "is not an array of at most three strings",
    );
  });

  it.each(["", "sha256:", digest.toUpperCase(), digest.replace("sha256:", ""), `sha512:${"0".repeat(128)}`])(
    "the invalid digest %j",
    (invalid) => {
      expect(() => verifyManifestChain(invalid, amd64, good)).toThrow("has the digest");
    },
  );

  it("an index without the platform, and lists those it has", () => {
    expect(() => verifyManifestChain(digest, { os: "linux", architecture: "s390x" }, good)).toThrow(
      `${digest} has no image for linux/s390x. Available platforms: unknown/unknown, linux/amd64, linux/arm64/v8.`,
    );
    const many = indexOf(
      Array.from({ length: 20 }, (_, number) => entryOf(one, { os: "linux", architecture: `a${number}` })),
    );
    expect(() => verifyManifestChain(digestOf(many), amd64, [many])).toThrow("linux/a9, ….");
    const none = indexOf([]);
    expect(() => verifyManifestChain(digestOf(none), amd64, [none])).toThrow("Available platforms: none.");
  });

  it("an index in an index", () => {
    const nested = indexOf([descriptorOf(index, oci.index, { platform: amd64 })]);
    expect(() => verifyManifestChain(digestOf(nested), amd64, [nested, index, one.manifest])).toThrow(
      "has no image for linux/amd64",
    );
    const disguised = indexOf([descriptorOf(index, oci.manifest, { platform: amd64 })]);
    expect(() => verifyManifestChain(digestOf(disguised), amd64, [disguised, index, one.manifest])).toThrow(
      `${digest} is not a valid image manifest: \`mediaType\` is not the media type of a manifest`,
    );
  });

  it.each<[string, unknown, RegExp]>([
    ["an array", [], /is not a valid image manifest: it is not an object/],
    ["a string", "index", /is not a valid image manifest/],
    ["null", null, /is not a valid image manifest/],
    ["an empty object", {}, /is not a valid image manifest: `config` is not an object/],
    ["an index and a manifest at once", { manifests: [], config: {}, layers: [] }, /is not allowed here/],
    ["an index with invalid entries", { manifests: [1] }, /`manifests.0` is not an object/],
    [
      "an index with too many entries",
      { manifests: Array(1_001).fill({}) },
      /`manifests` has more than 1000 elements/,
    ],
    [
      "a Docker manifest of schema version 1",
      { schemaVersion: 1, fsLayers: [] },
      /is not a valid image manifest/,
    ],
    [
      "an index whose entry has no digest",
      { manifests: [{ mediaType: oci.manifest, digest: "../../x", size: 1 }] },
      /`manifests.0.digest` is not `sha256:` and 64 hexadecimal digits/,
    ],
  ])("%s as the first entry", (_, json, message) => {
    const text = JSON.stringify(json);
    expect(() => verifyManifestChain(digestOf(text), amd64, [text])).toThrow(message);
  });

  it.each(["", "{", "\ufeff{}", "undefined"])("an entry that is not JSON: %j", (text) => {
    expect(() => verifyManifestChain(digestOf(text), amd64, [text])).toThrow(
      `${digestOf(text)} is not JSON.`,
    );
  });

  it.each<[string, object, RegExp]>([
    [
      "of another artifact",
      { config: { ...descriptorOf(one.config, "application/vnd.cncf.helm.config.v1+json") } },
      /is not an image: its config has the media type "application\/vnd\.cncf\.helm/,
    ],
    [
      "with a config of another size",
      { config: { ...descriptorOf(one.config, oci.config), size: 3 } },
      /has \d+ bytes; its descriptor says 3\./,
    ],
    [
      "with a config that is too large",
      { config: { ...descriptorOf(one.config, oci.config), size: 5_000_000 } },
      / is larger than 4194304 bytes\./,
    ],
    ["with fewer layers", { layers: [] }, /has 0 layers in its manifest and 2 in its config\./],
  ])("a manifest %s", (_, parts, message) => {
    const { manifest, config } = image(oci, amd64, { manifest: parts });
    expect(() => verifyManifestChain(digestOf(manifest), amd64, [manifest, config])).toThrow(message);
  });

  it.each<[string, object, RegExp]>([
    [
      "layers that are not digests",
      { rootfs: { diff_ids: ["sha256:x"] } },
      /`rootfs.diff_ids.0` is not `sha256:`/,
    ],
    [
      "too many layers",
      { rootfs: { diff_ids: Array(1_001).fill("") } },
      /`rootfs.diff_ids` has more than 1000/,
    ],
    ["an invalid platform", { architecture: "a\nb" }, /`architecture` is not a valid platform component/],
  ])("a config with %s", (_, parts, message) => {
    const { manifest, config } = image(oci, amd64, { config: parts });
    expect(() => verifyManifestChain(digestOf(manifest), amd64, [manifest, config])).toThrow(message);
  });

  it("a blob that is too large, before it is hashed", () => {
    const huge = JSON.stringify({ manifests: [], x: "x".repeat(4 * 1024 ** 2) });
    expect(() => verifyManifestChain(digestOf(huge), amd64, [huge])).toThrow("is larger than 4194304 bytes");
  });

  it("every change of a chain", { timeout: 30_000 }, () => {
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

describe("fetchManifestChain", () => {
  const { index, one, digest } = multiPlatform();
  const paths = {
    [`/v2/kindest/node/manifests/${digest}`]: index,
    [`/v2/kindest/node/manifests/${digestOf(one.manifest)}`]: one.manifest,
    [`/v2/kindest/node/blobs/${digestOf(one.config)}`]: one.config,
  };
  const name = `kindest/node@${digest}`;
  const at = (url: string, reference = name) => `${new URL(url).host}/${reference}`;

  it("returns the blobs of the registry unchanged", async () => {
    const { url, requests } = await serve(files(paths));
    const fetched = await fetchManifestChain(at(url), amd64);
    expect(fetched).toEqual({
      chain: [index, one.manifest, one.config],
      configDigest: digestOf(one.config),
      diffIds: one.diffIds,
    });
    expect(verifyManifestChain(digest, amd64, fetched.chain)).toMatchObject({
      configDigest: fetched.configDigest,
    });
    expect(requests).toEqual(Object.keys(paths).map((path) => `GET ${path}`));
  });

  it("returns two blobs for the digest of a manifest", async () => {
    const { url } = await serve(files(paths));
    const { chain } = await fetchManifestChain(at(url, `kindest/node@${digestOf(one.manifest)}`), amd64);
    expect(chain).toEqual([one.manifest, one.config]);
  });

  it("ignores the tag", async () => {
    const { url, requests } = await serve(files(paths));
    await fetchManifestChain(at(url, `kindest/node:v1.34.11@${digest}`), amd64);
    expect(requests[0]).toBe(`GET /v2/kindest/node/manifests/${digest}`);
  });

  it("accepts all supported media types, and uses a token if required", async () => {
    const accepted: (string | undefined)[] = [];
    const respond: RequestListener = (request, response) => {
      accepted.push(request.headers.accept);
      files(paths)(request, response);
    };
    const { url } = await serve(tokenRegistry({ answer: respond, scope: "repository:kindest/node:pull" }));
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
  ])("can use another registry: %s at %s", async (reference, path) => {
    const { url, requests } = await serve(files({}));
    await expect(fetchManifestChain(reference, amd64, new RegistryClient(url))).rejects.toThrow(
      `Could not fetch the manifests of ${reference}: the registry responded to the request for ${digest} with status 404 (not found).`,
    );
    expect(requests).toEqual([`GET ${path}`]);
  });

  it.each([
    "kindest/node:v1.34.11",
    "kindest/node",
    "",
    `kindest/node@sha512:${"0".repeat(128)}`,
    `Web@${digest}`,
  ])("rejects a reference without a SHA-256 digest: %j", async (reference) => {
    await expect(fetchManifestChain(reference, amd64)).rejects.toThrow(
      `${JSON.stringify(reference)} is not an image reference with a SHA-256 digest.`,
    );
  });

  it.each([0, 1, 2])("rejects a registry whose blob %s has another digest", async (place) => {
    const path = Object.keys(paths)[place] ?? "";
    const { url } = await serve(files({ ...paths, [path]: '{"hello":"world"}' }));
    await expect(fetchManifestChain(at(url), amd64)).rejects.toThrow(
      `The content of ${path.slice(path.indexOf("sha256:"))} has the digest ${digestOf('{"hello":"world"}')}.`,
    );
  });

  it.each([
    [401, " (login required)"],
    [403, " (access denied)"],
    [404, " (not found)"],
    [429, " (too many requests)"],
    [500, ""],
    [204, ""],
  ])("fails when the registry responds with status %s", async (status, reason) => {
    const { url } = await serve((_, response) => response.writeHead(status).end());
    await expect(fetchManifestChain(at(url), amd64)).rejects.toThrow(
      `Could not fetch the manifests of ${at(url)}: the registry responded to the request for ${digest} with status ${status}${reason}.`,
    );
  });

  it("fails when the registry cannot be reached", async () => {
    const reference = `127.0.0.1:${await unusedPort()}/${name}`;
    await expect(fetchManifestChain(reference, amd64)).rejects.toThrow(
      /^Could not fetch the manifests of \S+: Could not read http:\S+: .*ECONNREFUSED/,
    );
  });

  it("rejects a blob that is too large, or declared so", async () => {
    const huge = Buffer.alloc(5 * 1024 ** 2, " ");
    const { url } = await serve(files({ [`/v2/kindest/node/manifests/${digest}`]: huge }));
    await expect(fetchManifestChain(at(url), amd64)).rejects.toThrow(
      "the response is larger than 4194304 bytes",
    );
    const declared = indexOf([{ ...entryOf(one, amd64), size: 5_000_000 }]);
    const path = `/v2/kindest/node/manifests/${digestOf(declared)}`;
    const other = await serve(files({ ...paths, [path]: declared }));
    await expect(
      fetchManifestChain(at(other.url, `kindest/node@${digestOf(declared)}`), amd64),
    ).rejects.toThrow("is larger than 4194304 bytes");
    expect(other.requests).toEqual([`GET ${path}`]);
  });

  it("rejects a blob that is not UTF-8", async () => {
    const bytes = Buffer.from([0x7b, 0xff, 0x7d]);
    const broken = digestOf(bytes);
    const { url } = await serve(files({ [`/v2/kindest/node/manifests/${broken}`]: bytes }));
    await expect(fetchManifestChain(at(url, `kindest/node@${broken}`), amd64)).rejects.toThrow(
      "has the digest",
    );
  });
});
