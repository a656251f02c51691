import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { Clock } from "../fixtures/clock.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { Bandwidth } from "./upstream/bandwidth.ts";
import { imagesInFolder } from "./upstream/image-folder.ts";
import type { Descriptor, Images } from "./upstream/images.ts";
import { digestOf } from "./upstream/layers.ts";
import { startUpstream, type UpstreamOptions } from "./upstream/registry.ts";
import { smallImages } from "./upstream/small-images.ts";

/** Stands for the root file system with the shell. */
const shell = Buffer.alloc(10_240, "shell");

const images = await smallImages(2, 200_000, { seed: "test", shell });
const [image, otherImage] = images.list;
const [base, layer] = image?.layers ?? [];
if (image === undefined || otherImage === undefined || layer === undefined) throw new Error("no images");
const [manifest] = image.manifests;

const read = (from: Images, { digest, size }: Descriptor) =>
  buffer(from.read(digest, { start: 0, end: size - 1 }));

async function start(options: Partial<UpstreamOptions> = {}) {
  const upstream = await startUpstream({
    images,
    bandwidth: 1_000_000_000,
    latency: 0,
    addresses: ["127.0.0.1"],
    ...options,
  });
  onTestFinished(() => upstream.close());
  return { ...upstream, fetch: (path: string, init?: RequestInit) => fetch(upstream.url() + path, init) };
}

const tagPath = `/v2/${image.repository}/manifests/${image.tag}`;
const blobPath = `/v2/${image.repository}/blobs/${layer.digest}`;

const bytesOf = async (answer: Response) => Buffer.from(await answer.arrayBuffer());
const errorOf = async (answer: Response) => {
  const errors = z.object({ errors: z.array(z.object({ code: z.string() })) });
  return [answer.status, ...errors.parse(await answer.json()).errors.map(({ code }) => code)];
};

describe("an upstream", () => {
  test("serves manifests by tag and digest, blobs and ranges of them, and counts the requests", async () => {
    const { fetch, traffic } = await start();
    expect((await fetch("/v2/")).status).toBe(200);
    const head = await fetch(tagPath, { method: "HEAD" });
    expect(head.headers.get("docker-content-digest")).toBe(manifest.digest);
    expect(head.headers.get("content-type")).toBe(manifest.mediaType);
    for (const path of [tagPath, tagPath.replace(/[^/]+$/, manifest.digest)])
      expect(digestOf(await bytesOf(await fetch(path)))).toBe(manifest.digest);
    expect(digestOf(await bytesOf(await fetch(blobPath)))).toBe(layer.digest);
    const part = await fetch(blobPath, { headers: { range: `bytes=${layer.size - 10}-` } });
    expect(part.status).toBe(206);
    expect(await bytesOf(part)).toEqual((await read(images, layer)).subarray(-10));
    expect(await errorOf(await fetch(tagPath.replace(/[^/]+$/, "none")))).toEqual([404, "MANIFEST_UNKNOWN"]);
    const ofOther = blobPath.replace(image.repository, otherImage.repository);
    expect(await errorOf(await fetch(ofOther))).toEqual([404, "BLOB_UNKNOWN"]);

    expect(traffic.requests).toHaveLength(8);
    expect(traffic.requests[1]).toBe(`HEAD ${tagPath}`);
    expect(Object.fromEntries(traffic.blobRequests)).toEqual({ [layer.digest]: 3 });
    traffic.reset();
    expect([traffic.requests, traffic.blobRequests]).toEqual([[], new Map()]);
  });

  test("waits before each answer, and then for the bandwidth", async () => {
    const slept: number[] = [];
    const clock = { now: () => 0, sleep: async (milliseconds: number) => void slept.push(milliseconds) };
    const { fetch } = await start({ clock, latency: 50, bandwidth: 1_000_000, faults: [{ delay: 3 }] });
    await bytesOf(await fetch(blobPath));
    expect(slept[0]).toBe(3_050);
    expect(slept.at(-1)).toBeCloseTo(layer.size / 1_000);
  });

  test("gives all clients together its bandwidth, in equal shares", async () => {
    const clock = new Clock();
    const bandwidth = new Bandwidth(10_000, { now: () => clock.now, sleep: clock.sleep });
    const take = async (pieces: number) => {
      for (let piece = 0; piece < pieces; piece++) await bandwidth.take(1_000, new AbortController().signal);
      return clock.now;
    };
    const ends = await clock.pass(Promise.all([take(50), take(50), take(5)]));
    expect(ends.map((end) => Math.round(end / 100))).toEqual([104, 105, 15]);
  });

  test("asks for its credentials, and takes no others", async () => {
    const { fetch } = await start({ credentials: { username: "ci", password: "s3cret:too" } });
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });
    const without = await fetch(tagPath);
    expect(without.headers.get("www-authenticate")).toBe('Basic realm="upstream"');
    expect(await errorOf(without)).toEqual([401, "UNAUTHORIZED"]);
    expect((await fetch(tagPath, { headers: basic("ci:wrong") })).status).toBe(401);
    expect((await fetch(tagPath, { headers: basic("ci:s3cret:too") })).status).toBe(200);
  });

  test.each([
    ["error-500", 500, "x-none", null],
    ["html", 200, "content-type", "text/html"],
    ["unauthorized", 401, "www-authenticate", null],
    ["bearer-challenge", 401, "www-authenticate", expect.stringMatching(/^Bearer realm=".*\/token"/)],
    ["too-many-requests", 429, "retry-after", "1"],
  ] as const)("fails with %s until it is told to stop", async (fault, status, header, value) => {
    const { fetch, inject } = await start({ faults: [fault] });
    const answer = await fetch(tagPath);
    expect([answer.status, answer.headers.get(header)]).toEqual([status, value]);
    inject();
    expect(digestOf(await bytesOf(await fetch(tagPath)))).toBe(manifest.digest);
  });

  test.each([
    ["reset", "fetch failed"],
    ["blob-truncated", "terminated"],
  ] as const)("cuts connections with %s", async (fault, message) => {
    const { fetch } = await start({ faults: [fault] });
    await expect(fetch(blobPath).then(bytesOf)).rejects.toThrow(message);
  });
});

describe("images", () => {
  test("have the content that their descriptors say, and share a layer", async () => {
    expect(otherImage.layers[0]).toEqual(base);
    const config = z.object({ rootfs: z.object({ diff_ids: z.array(z.string()) }) });
    const { rootfs } = config.parse(JSON.parse((await read(images, image.config)).toString()));
    const layers = await Promise.all(image.layers.map((each) => read(images, each)));
    expect(layers.map(digestOf)).toEqual(image.layers.map(({ digest }) => digest));
    expect(layers.map((each) => digestOf(gunzipSync(each)))).toEqual(rootfs.diff_ids);
    expect((await smallImages(2, 200_000, { seed: "test", shell })).list).toEqual(images.list);
  });

  test("in a folder are made once, behind an index of platforms", async () => {
    const folder = join(temporaryFolder(), "images");
    const layers = [{ name: "base", bytes: 5_000, files: 3, shell: true }];
    const recipes = [{ name: "add-on/speaker:v1", format: "docker", platforms: 2, layers }] as const;
    let made = 0;
    const from = { seed: "test", shell: async () => Buffer.alloc(10_240, String(++made)) };
    const first = await imagesInFolder(folder, recipes, from);
    const second = await imagesInFolder(folder, recipes, from);
    expect([made, second.list]).toEqual([1, first.list]);
    for (const { manifests, config, otherConfigs, layers } of second.list) {
      expect(manifests).toHaveLength(3);
      for (const descriptor of [...manifests, config, ...otherConfigs, ...layers])
        expect(digestOf(await read(second, descriptor))).toBe(descriptor.digest);
    }
  });
});
