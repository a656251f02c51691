import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  addBlob,
  linkBlobs,
  matchesDigest,
  readStorage,
  requestedBlobs,
} from "../../src/registries/storage.ts";
import { blobOf, put, storeImage, textsIn } from "../fixtures/registry-storage.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const web = {
  repository: "small/a-1",
  tag: "v1",
  manifest: '{"schemaVersion":2}',
  layers: ["config of web", "layer of web"],
};
const manifest = blobOf(web.manifest);
const [config = "", layer = ""] = web.layers.map(blobOf);

/** Creates a storage folder with an image. */
async function withImage(): Promise<string> {
  const folder = temporaryFolder();
  await storeImage(folder, web);
  return folder;
}

const root = "docker/registry/v2";
const blobFolder = (blob: string) => `${root}/blobs/sha256/${blob.slice(0, 2)}/${blob}`;

describe("readStorage", () => {
  it("returns repositories with their manifests and other blobs, and the sizes of all blobs", async () => {
    const { repositories, blobs } = await readStorage(await withImage());
    expect(repositories).toEqual([
      { name: "small/a-1", manifests: [manifest], layers: expect.arrayContaining([config, layer]) },
    ]);
    expect(new Map(blobs)).toEqual(
      new Map([
        [manifest, web.manifest.length],
        [config, 13],
        [layer, 12],
      ]),
    );
  });

  it("returns nothing for an empty or missing folder", async () => {
    const empty = { repositories: [], blobs: new Map(), children: new Map() };
    expect(await readStorage(temporaryFolder())).toEqual(empty);
    expect(await readStorage(join(temporaryFolder(), "none"))).toEqual(empty);
  });

  it("adds blobs that manifests refer to, even if only another repository has a link to them", async () => {
    const folder = temporaryFolder();
    const [base, unique, config] = ["shared layer", "unique layer", "a config"];
    const descriptors = (contents: string[]) =>
      contents.map((content) => ({ digest: `sha256:${blobOf(content)}` }));
    const [configDescriptor] = descriptors([config]);
    const image = JSON.stringify({
      config: configDescriptor,
      layers: descriptors([base, unique, "not pulled"]),
    });
    const index = JSON.stringify({ manifests: descriptors([image, "of another architecture"]) });
    await storeImage(folder, { repository: "first", manifest: image, layers: [base, unique, config] });
    await storeImage(folder, { repository: "second", manifest: index, layers: [] });
    const { repositories, children } = await readStorage(folder);
    const names = (contents: string[]) => contents.map((content) => blobOf(content)).toSorted();
    expect(children).toEqual(
      new Map([
        [blobOf(image), [base, unique, config].map(blobOf)],
        [blobOf(index), [blobOf(image)]],
      ]),
    );
    expect(repositories).toEqual([
      { name: "first", manifests: names([image]), layers: names([base, unique, config]) },
      { name: "second", manifests: names([image, index]), layers: names([base, unique, config]) },
    ]);
  });

  it.each([
    "not JSON",
    "[]",
    "null",
    '{"layers":[{}]}',
    '{"layers":"all","config":{"digest":"sha256:../.."}}',
  ])("returns a manifest that cannot be parsed: %s", async (strange) => {
    const folder = temporaryFolder();
    await storeImage(folder, { repository: "strange", manifest: strange, layers: ["a layer"] });
    expect((await readStorage(folder)).repositories).toEqual([
      { name: "strange", manifests: [blobOf(strange)], layers: [blobOf("a layer")] },
    ]);
  });

  it("returns the same order for the same contents", async () => {
    const images = ["b", "a/c", "a"].map((repository) => ({
      repository,
      manifest: repository,
      layers: [`1 of ${repository}`, `2 of ${repository}`, "of all"],
    }));
    const [one, other] = [temporaryFolder(), temporaryFolder()];
    for (const image of images) await storeImage(one, image);
    for (const image of images.toReversed())
      await storeImage(other, { ...image, layers: image.layers.toReversed() });
    expect(JSON.stringify(await readStorage(other))).toBe(JSON.stringify(await readStorage(one)));
    expect((await readStorage(one)).repositories.map(({ name }) => name)).toEqual(["a", "a/c", "b"]);
  });

  it("ignores incomplete blobs and links to them", async () => {
    const folder = await withImage();
    const incomplete = "f".repeat(64);
    const repository = `${root}/repositories/small/a-1`;
    await put(join(folder, repository, "_uploads/3e1c2b8f/data"), "half of a layer");
    await put(join(folder, repository, "_uploads/3e1c2b8f/startedat"), "2026-01-02T03:04:05Z");
    // distribution writes a manifest to a temporary file, and then renames it.
    await put(
      join(folder, blobFolder(incomplete), "data.0d3f9a52-7c1e-4b5e-9d0a-1f2e3d4c5b6a.tmp"),
      "half of it",
    );
    await put(join(folder, repository, "_layers/sha256", incomplete, "link"), `sha256:${incomplete}`);
    await put(
      join(folder, repository, "_manifests/revisions/sha256", incomplete, "link"),
      `sha256:${incomplete}`,
    );
    expect(await readStorage(folder)).toEqual(await readStorage(await withImage()));
  });

  it("ignores tags", async () => {
    const folder = await withImage();
    const { tag: _, ...untagged } = web;
    const other = temporaryFolder();
    await storeImage(other, untagged);
    expect(await readStorage(folder)).toEqual(await readStorage(other));
  });

  it.each([
    ["another file", "README"],
    ["a file in its root", `${root}/data`],
    ["the state of the scheduler", "scheduler-state.json"],
    ["a blob with another hash algorithm", `${root}/blobs/sha512/ff/${"f".repeat(128)}/data`],
    ["a blob with an invalid name", `${root}/blobs/sha256/ff/FF/data`],
    ["a blob in another place", `${root}/blobs/sha256/ff/more/${"f".repeat(64)}/data`],
    ["a repository with an invalid name", `${root}/repositories/Web/_layers/sha256/${layer}/link`],
    ["a repository with a hidden name", `${root}/repositories/.web/_layers/sha256/${layer}/link`],
    [
      "a repository with too long a name",
      `${root}/repositories/${"a/".repeat(128)}a/_layers/sha256/${layer}/link`,
    ],
    ["an unknown folder of a repository", `${root}/repositories/web/_other/sha256/${layer}/link`],
  ])("ignores files that are not part of the layout: %s", async (_, path) => {
    const folder = await withImage();
    await put(join(folder, path), "foreign");
    expect(await readStorage(folder)).toEqual(await readStorage(await withImage()));
  });

  it("does not follow symbolic links", async () => {
    const folder = await withImage();
    const elsewhere = temporaryFolder();
    const [file, parent, none] = ["a".repeat(64), "b".repeat(64), "c".repeat(64)];
    await writeFile(join(elsewhere, "secret"), "not for everybody");
    await put(join(elsewhere, parent, "data"), "not for everybody");
    await mkdir(join(folder, blobFolder(file)), { recursive: true });
    await symlink(join(elsewhere, "secret"), join(folder, blobFolder(file), "data"));
    await symlink(elsewhere, join(folder, `${root}/blobs/sha256/bb`));
    await mkdir(join(folder, blobFolder(none), "data"), { recursive: true });
    await symlink(folder, join(folder, "round"));
    expect(await readStorage(folder)).toEqual(await readStorage(await withImage()));
  });
});

describe("addBlob and linkBlobs", () => {
  it("create the same storage as a pull", async () => {
    const pulled = await withImage();
    const { repositories, blobs } = await readStorage(pulled);
    const folder = temporaryFolder();
    for (const content of [web.manifest, ...web.layers]) {
      const file = join(temporaryFolder(), "file");
      await writeFile(file, content);
      await addBlob(folder, blobOf(content), file);
    }
    await linkBlobs(folder, repositories, (blob) => blobs.has(blob));
    expect(await readStorage(folder)).toEqual(await readStorage(pulled));
    const withoutTags = Object.entries(await textsIn(pulled)).filter(([path]) => !path.includes("/tags/"));
    expect(await textsIn(folder)).toEqual(Object.fromEntries(withoutTags));
  });

  it("do not link blobs that the storage lacks", async () => {
    const folder = temporaryFolder();
    const repositories = [{ name: "web", manifests: [manifest], layers: [config, layer] }];
    await linkBlobs(folder, repositories, (blob) => blob === config);
    expect(Object.keys(await textsIn(folder))).toEqual([
      `${root}/repositories/web/_layers/sha256/${config}/link`,
    ]);
  });
});

describe("matchesDigest", () => {
  it("accepts a file with the right content", async () => {
    const file = join(temporaryFolder(), "file");
    await writeFile(file, "layer of web");
    expect(await matchesDigest(file, layer)).toBe(true);
  });

  it("accepts an empty file with the digest of an empty file", async () => {
    const file = join(temporaryFolder(), "file");
    await writeFile(file, "");
    expect(await matchesDigest(file, blobOf(""))).toBe(true);
  });

  it.each([
    ["has other content", "something else"],
    ["is cut off", "layer of"],
    ["has additional content", "layer of web!"],
    ["is empty", ""],
  ])("rejects a file that %s", async (_, content) => {
    const file = join(temporaryFolder(), "file");
    await writeFile(file, content);
    expect(await matchesDigest(file, layer)).toBe(false);
  });

  it("rejects a symbolic link, even to the right content, because its target can change", async () => {
    const folder = temporaryFolder();
    await writeFile(join(folder, "blob"), "layer of web");
    await symlink("blob", join(folder, "link"));
    expect(await matchesDigest(join(folder, "link"), layer)).toBe(false);
  });

  it("rejects a folder and a missing file", async () => {
    const folder = temporaryFolder();
    expect(await matchesDigest(folder, layer)).toBe(false);
    expect(await matchesDigest(join(folder, "none"), layer)).toBe(false);
    await writeFile(join(folder, "file"), "layer of web");
    await rename(join(folder, "file"), join(folder, "other"));
    expect(await matchesDigest(join(folder, "file"), layer)).toBe(false);
  });
});

/** A shortened log line of distribution v3.1.2. */
function line(uri: string, fields: { level?: string; message?: string; agent?: string } = {}): string {
  const { level = "info", message = "response completed", agent = "containerd/v2.3.7" } = fields;
  return [
    `time="2026-11-22T01:24:55.25839489Z" level=${level} msg="${message}" go.version=go1.26.8`,
    'http.request.host="kind-proxy-ghcr.io:5000" http.request.id=01a200db-3359-7f23-be9d-8a03556811de',
    'http.request.method=GET http.request.remoteaddr="172.18.0.2:35260"',
    `http.request.uri=${/[^\w./@^+-]/.test(uri) ? JSON.stringify(uri) : uri} http.request.useragent=${agent}`,
    'http.response.duration="401.455µs" http.response.status=200 http.response.written=395',
    "service=registry vars.name=small/a-1 version=v3.1.2\n",
  ].join(" ");
}

const blobUri = (blob: string) => `/v2/small/a-1/blobs/sha256:${blob}?ns=ghcr.io`;
const manifestUri = (blob: string) => `/v2/small/a-1/manifests/sha256:${blob}?ns=ghcr.io`;

describe("requestedBlobs", () => {
  it("finds blobs, and manifests that were requested by digest", () => {
    const log = [
      'time="2026-11-22T01:24:55.003220533Z" level=info msg="listening on [::]:5000" go.version=go1.26.8 service=registry version=v3.1.2\n',
      line("/v2/small/a-1/manifests/v1?ns=ghcr.io"),
      '172.18.0.2 - - [22/Nov/2026:01:24:55 +0000] "HEAD /v2/small/a-1/manifests/v1?ns=ghcr.io HTTP/1.1" 200 0 "" "containerd/v2.3.7"\n',
      line(manifestUri(manifest)),
      `172.18.0.2 - - [22/Nov/2026:01:24:55 +0000] "GET ${manifestUri(manifest)} HTTP/1.1" 200 395 "" "containerd/v2.3.7"\n`,
      line(blobUri(config), { message: "Challenge established with upstream: https://ghcr.io/v2/" }),
      line(blobUri(config)),
      line(blobUri(layer)),
      line(blobUri(layer)),
    ].join("");
    expect(requestedBlobs(log)).toEqual(new Set([manifest, config, layer]));
  });

  it("returns nothing without such requests", () => {
    expect(requestedBlobs("")).toEqual(new Set());
    expect(requestedBlobs(line("/v2/"))).toEqual(new Set());
    expect(requestedBlobs(line("/v2/small/a-1/tags/list"))).toEqual(new Set());
    expect(requestedBlobs(line("/v2/small/a-1/blobs/sha256:abc"))).toEqual(new Set());
  });

  it("parses a long log with a line that is cut off", () => {
    const log = `${line(blobUri(layer))}${`http.request.uri="/v2/${"a/blobs/".repeat(50_000)}\n`}${line(blobUri(config))}`;
    expect(requestedBlobs(log)).toEqual(new Set([layer, config]));
  });
});
