import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { Clock } from "../fixtures/clock.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { addOnRecipes } from "./upstream/add-ons.ts";
import { Bandwidth } from "./upstream/bandwidth.ts";
import { type Descriptor, type Images, totalSize } from "./upstream/images.ts";
import { keptImages } from "./upstream/kept-images.ts";
import type { ImageRecipe } from "./upstream/make-images.ts";
import { startUpstream, type UpstreamOptions } from "./upstream/registry.ts";
import { smallImages } from "./upstream/small-images.ts";

/** Stands for the root file system with the shell. */
const shell = Buffer.alloc(10_240, "shell");

/** Two images of some kB. */
const images = await smallImages(2, 200_000, { seed: "test", shell });
const image = nth(images.list, 0);
const manifest = image.manifests[0];
const layer = nth(image.layers, 1);

function nth<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error(`there are only ${list.length}`);
  return found;
}

const read = (from: Images, { digest, size }: Descriptor) =>
  buffer(from.read(digest, { start: 0, end: size - 1 }));
const sha256 = (content: Uint8Array) => `sha256:${createHash("sha256").update(content).digest("hex")}`;

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

const manifestPath = (reference: string, repository = image.repository) =>
  `/v2/${repository}/manifests/${reference}`;
const blobPath = (digest: string, repository = image.repository) => `/v2/${repository}/blobs/${digest}`;

const bytesOf = async (answer: Response) => Buffer.from(await answer.arrayBuffer());
const errorOf = async (answer: Response) => {
  const errors = z.object({ errors: z.array(z.object({ code: z.string() })) });
  return [answer.status, ...errors.parse(await answer.json()).errors.map(({ code }) => code)];
};

describe("the API", () => {
  test("says that it is there", async () => {
    const { fetch } = await start();
    const answer = await fetch("/v2/");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
  });

  test.each([
    ["a tag", image.tag],
    ["a digest", manifest.digest],
  ])("has manifests by %s", async (_, reference) => {
    const { fetch } = await start();
    const head = await fetch(manifestPath(reference), { method: "HEAD" });
    const answer = await fetch(manifestPath(reference));
    for (const { status, headers } of [head, answer]) {
      expect(status).toBe(200);
      expect(headers.get("content-type")).toBe("application/vnd.oci.image.manifest.v1+json");
      expect(headers.get("docker-content-digest")).toBe(manifest.digest);
      expect(headers.get("content-length")).toBe(String(manifest.size));
    }
    expect(await bytesOf(head)).toHaveLength(0);
    expect(sha256(await bytesOf(answer))).toBe(manifest.digest);
  });

  test("has blobs", async () => {
    const { fetch } = await start();
    const head = await fetch(blobPath(layer.digest), { method: "HEAD" });
    const answer = await fetch(blobPath(layer.digest));
    for (const { status, headers } of [head, answer]) {
      expect(status).toBe(200);
      expect(headers.get("docker-content-digest")).toBe(layer.digest);
      expect(headers.get("content-length")).toBe(String(layer.size));
    }
    expect(sha256(await bytesOf(answer))).toBe(layer.digest);
  });

  test.each([
    ["bytes=10-19", 10, 20],
    ["bytes=100-", 100, layer.size],
    ["bytes=-5", layer.size - 5, layer.size],
    [`bytes=${layer.size - 1}-${layer.size + 10}`, layer.size - 1, layer.size],
  ])("has the range %s of a blob", async (range, from, to) => {
    const { fetch } = await start();
    const answer = await fetch(blobPath(layer.digest), { headers: { range } });
    expect(answer.status).toBe(206);
    expect(answer.headers.get("content-range")).toBe(`bytes ${from}-${to - 1}/${layer.size}`);
    expect(await bytesOf(answer)).toEqual((await read(images, layer)).subarray(from, to));
  });

  test("refuses a range beyond the end, and ignores what is none", async () => {
    const { fetch } = await start();
    const beyond = await fetch(blobPath(layer.digest), { headers: { range: `bytes=${layer.size}-` } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, `bytes */${layer.size}`]);
    const none = await fetch(blobPath(layer.digest), { headers: { range: "bytes=9-3" } });
    expect([none.status, (await bytesOf(none)).length]).toEqual([200, layer.size]);
  });

  test("says what it does not have", async () => {
    const { fetch } = await start();
    const other = nth(images.list, 1);
    expect(await errorOf(await fetch(manifestPath("none")))).toEqual([404, "MANIFEST_UNKNOWN"]);
    expect(await errorOf(await fetch(manifestPath("1", "no/body")))).toEqual([404, "NAME_UNKNOWN"]);
    // Of another repository.
    expect(await errorOf(await fetch(blobPath(layer.digest, other.repository)))).toEqual([
      404,
      "BLOB_UNKNOWN",
    ]);
    expect(await errorOf(await fetch("/v1/"))).toEqual([404, "UNSUPPORTED"]);
    expect(await errorOf(await fetch(manifestPath("1"), { method: "PUT" }))).toEqual([405, "UNSUPPORTED"]);
  });

  test("knows the name by which a mirror's clients call the registry that they mean", async () => {
    const { fetch } = await start();
    expect((await fetch(`${manifestPath(image.tag)}?ns=docker.io`)).status).toBe(200);
  });

  test("is closed with all connections, those included that wait for something", async () => {
    const { url, inject, traffic, close } = await start();
    inject({ delay: 3_600 });
    const answer = fetch(`${url()}/v2/`).catch(() => "cut");
    await expect.poll(() => traffic.requests).toHaveLength(1);
    await close();
    expect(await answer).toBe("cut");
  });

  test("listens on the same port of all addresses", async () => {
    const { url } = await start({ addresses: ["127.0.0.1", "127.0.0.2"] });
    expect((await fetch(`${url("127.0.0.1")}/v2/`)).status).toBe(200);
    expect((await fetch(`${url("127.0.0.2")}/v2/`)).status).toBe(200);
  });
});

describe("traffic", () => {
  test("is counted, and can be counted anew", async () => {
    const { fetch, traffic } = await start();
    await fetch(manifestPath(image.tag), { method: "HEAD" });
    await bytesOf(await fetch(manifestPath(manifest.digest)));
    await fetch(blobPath(layer.digest), { method: "HEAD" });
    for (let time = 0; time < 2; time++) await bytesOf(await fetch(blobPath(layer.digest)));
    await bytesOf(await fetch(blobPath(image.config.digest), { headers: { range: "bytes=0-9" } }));

    expect(traffic.manifestRequests).toBe(2);
    expect(Object.fromEntries(traffic.blobRequests)).toEqual({ [layer.digest]: 2, [image.config.digest]: 1 });
    expect(traffic.bytes).toBe(manifest.size + 2 * layer.size + 10);
    expect(traffic.requests).toHaveLength(6);
    expect(traffic.requests[0]).toBe(`HEAD ${manifestPath(image.tag)}`);

    traffic.reset();
    expect(traffic).toMatchObject({ requests: [], manifestRequests: 0, blobRequests: new Map(), bytes: 0 });
  });

  test("waits before each answer, and then for the line", async () => {
    const slept: number[] = [];
    const clock = { now: () => 0, sleep: async (milliseconds: number) => void slept.push(milliseconds) };
    const { fetch } = await start({ clock, latency: 50, bandwidth: 1_000_000 });
    await fetch(blobPath(layer.digest), { method: "HEAD" });
    expect(slept).toEqual([50]);
    await bytesOf(await fetch(blobPath(layer.digest)));
    expect(slept.slice(0, 2)).toEqual([50, 50]);
    expect(slept.at(-1)).toBeCloseTo(layer.size / 1_000);
  });
});

describe("bandwidth", () => {
  const never = new AbortController().signal;
  const bandwidthOf = (bytesPerSecond: number) => {
    const clock = new Clock();
    return { clock, line: new Bandwidth(bytesPerSecond, { now: () => clock.now, sleep: clock.sleep }) };
  };

  /** Takes pieces one after the other. @returns when it had them all */
  async function take(line: Bandwidth, clock: Clock, pieces: number): Promise<number> {
    for (let piece = 0; piece < pieces; piece++) await line.take(1_000, never);
    return clock.now;
  }

  test("is what was promised", async () => {
    const { clock, line } = bandwidthOf(10_000);
    expect(await clock.pass(take(line, clock, 100))).toBeCloseTo(10_000);
  });

  test("is one for all, in equal shares", async () => {
    const { clock, line } = bandwidthOf(10_000);
    const ends = await clock.pass(
      Promise.all([take(line, clock, 50), take(line, clock, 50), take(line, clock, 5)]),
    );
    expect(ends.map((end) => Math.round(end / 100))).toEqual([104, 105, 15]);
  });

  test("is not saved up by a line that stands still", async () => {
    const { clock, line } = bandwidthOf(10_000);
    await clock.pass(line.take(1_000, never));
    await clock.pass(clock.sleep(60_000, never));
    const before = clock.now;
    expect((await clock.pass(take(line, clock, 10))) - before).toBeCloseTo(1_000 - 20);
  });

  test("is not waited for by who gave up", async () => {
    const { line } = bandwidthOf(1);
    const stop = new AbortController();
    const taken = line.take(1_000, stop.signal);
    stop.abort(new Error("enough"));
    await expect(taken).rejects.toThrow("enough");
  });

  test("is more than nothing", () => {
    expect(() => new Bandwidth(0)).toThrow("0 bytes a second");
  });
});

describe("credentials", () => {
  const credentials = { username: "ci", password: "s3cret:too" };
  const basic = (text: string) => ({
    headers: { authorization: `Basic ${Buffer.from(text).toString("base64")}` },
  });

  test("are asked for, and have to be right", async () => {
    const { fetch } = await start({ credentials });
    const without = await fetch("/v2/");
    expect(without.headers.get("www-authenticate")).toBe('Basic realm="upstream"');
    expect(await errorOf(without)).toEqual([401, "UNAUTHORIZED"]);
    expect((await fetch(blobPath(layer.digest), basic("ci:wrong"))).status).toBe(401);
    expect((await fetch(blobPath(layer.digest), basic("ci:s3cret:too"))).status).toBe(200);
  });
});

describe("faults", () => {
  test.each([
    ["error-500", 500, "UNKNOWN"],
    ["unauthorized", 401, "UNAUTHORIZED"],
    ["bearer-challenge", 401, "UNAUTHORIZED"],
    ["too-many-requests", 429, "TOOMANYREQUESTS"],
  ] as const)("%s answers every request, until it is over", async (fault, status, code) => {
    const { fetch, inject } = await start({ faults: [fault] });
    for (const path of ["/v2/", manifestPath(image.tag), blobPath(layer.digest), "/token"])
      expect(await errorOf(await fetch(path))).toEqual([status, code]);
    inject();
    expect((await fetch("/v2/")).status).toBe(200);
  });

  test("only one of the two refusals says where to get a token", async () => {
    const { fetch, inject, url } = await start({ faults: ["unauthorized"] });
    expect((await fetch("/v2/")).headers.get("www-authenticate")).toBeNull();
    inject("bearer-challenge");
    expect((await fetch("/v2/")).headers.get("www-authenticate")).toBe(
      `Bearer realm="${url()}/token",service="upstream"`,
    );
  });

  test("too-many-requests says when to come again", async () => {
    const { fetch } = await start({ faults: ["too-many-requests"] });
    expect((await fetch("/v2/")).headers.get("retry-after")).toBe("1");
  });

  test("html is a page where JSON or bytes should be", async () => {
    const { fetch } = await start({ faults: ["html"] });
    const answer = await fetch(blobPath(layer.digest));
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/html"]);
    expect(await answer.text()).toContain("<html>");
  });

  test("reset ends the connection without an answer", async () => {
    const { fetch, traffic } = await start({ faults: ["reset"] });
    await expect(fetch("/v2/")).rejects.toThrow("fetch failed");
    expect(traffic.requests).toEqual(["GET /v2/"]);
  });

  test("a delay is added to the latency", async () => {
    const slept: number[] = [];
    const clock = { now: () => 0, sleep: async (milliseconds: number) => void slept.push(milliseconds) };
    const { fetch } = await start({ clock, latency: 50, faults: [{ delay: 3 }] });
    await fetch("/v2/");
    expect(slept).toEqual([3_050]);
  });

  test("blob-truncated cuts blobs, and no manifests", async () => {
    const { fetch, traffic } = await start({ faults: ["blob-truncated"] });
    const answer = await fetch(blobPath(layer.digest));
    expect(answer.headers.get("content-length")).toBe(String(layer.size));
    await expect(answer.arrayBuffer()).rejects.toThrow("terminated");
    expect(traffic.bytes).toBe(Math.ceil(layer.size / 2));
    expect(sha256(await bytesOf(await fetch(manifestPath(image.tag))))).toBe(manifest.digest);
  });
});

describe("images", () => {
  const layers = z.object({ layers: z.array(z.object({ digest: z.string() })) });
  const index = z.object({
    manifests: z.array(z.object({ digest: z.string(), platform: z.object({ architecture: z.string() }) })),
  });
  const config = z.object({ rootfs: z.object({ diff_ids: z.array(z.string()) }) });
  const json = async (from: Images, descriptor: Descriptor): Promise<unknown> =>
    JSON.parse((await read(from, descriptor)).toString());

  test("have the digests, the sizes and the layers that they say", async () => {
    for (const { manifests, ...image } of images.list) {
      for (const descriptor of [...manifests, image.config, ...image.layers]) {
        const content = await read(images, descriptor);
        expect([sha256(content), content.length]).toEqual([descriptor.digest, descriptor.size]);
      }
      expect(layers.parse(await json(images, manifests[0])).layers.map(({ digest }) => digest)).toEqual(
        image.layers.map(({ digest }) => digest),
      );
      const tars = await Promise.all(
        image.layers.map(async (layer) => gunzipSync(await read(images, layer))),
      );
      expect(config.parse(await json(images, image.config)).rootfs.diff_ids).toEqual(tars.map(sha256));
    }
  });

  test("share layers", () => {
    const [one, two] = images.list.map(({ layers }) => layers.map(({ digest }) => digest));
    expect(one?.[0]).toBe(two?.[0]);
    expect(new Set([...(one ?? []), ...(two ?? [])]).size).toBe(5);
  });

  test("have about the size that was wanted", () => {
    expect(layer.size / 200_000).toBeCloseTo(1, 1);
    expect(totalSize(images) / 400_000).toBeCloseTo(1, 1);
  });

  test("are the same each time that the seed is, and else never", async () => {
    const again = await smallImages(2, 200_000, { seed: "test", shell });
    expect(again.list).toEqual(images.list);
    expect(await read(again, layer)).toEqual(await read(images, layer));
    const [one, other] = await Promise.all([
      smallImages(1, 1_000, { shell }),
      smallImages(1, 1_000, { shell }),
    ]);
    expect(one.list[0]?.repository).not.toBe(other.list[0]?.repository);
    expect(one.list[0]?.layers[1]?.digest).not.toBe(other.list[0]?.layers[1]?.digest);
  });

  describe("in a folder", () => {
    const recipes: readonly ImageRecipe[] = [
      {
        name: "add-on/speaker:v1",
        format: "docker",
        platforms: 2,
        layers: [{ name: "base", bytes: 100, shell: true }],
      },
      {
        name: "add-on/controller:v1",
        format: "oci",
        platforms: 1,
        layers: [
          { name: "base", bytes: 100, shell: true },
          { name: "files", bytes: 5_000, files: 3 },
        ],
      },
    ];

    test("are made once", async () => {
      const folder = join(temporaryFolder(), "lab", "add-ons");
      let made = 0;
      const keep = () =>
        keptImages(folder, recipes, {
          seed: "test",
          shell: async () => {
            made++;
            return shell;
          },
        });
      const first = await keep();
      const second = await keep();
      expect(made).toBe(1);
      expect(second.list).toEqual(first.list);
      expect(first.list.map(({ repository, tag }) => `${repository}:${tag}`)).toEqual(
        recipes.map(({ name }) => name),
      );
      for (const { manifests, config, otherConfigs, layers } of second.list)
        for (const descriptor of [...manifests, config, ...otherConfigs, ...layers])
          expect(sha256(await read(second, descriptor))).toBe(descriptor.digest);
      expect(first.list[0]?.layers[0]?.digest).toBe(first.list[1]?.layers[0]?.digest);
    });

    test("may be behind an index of platforms", async () => {
      const kept = await keptImages(join(temporaryFolder(), "add-ons"), recipes, {
        seed: "test",
        shell: async () => shell,
      });
      const [two, one] = await Promise.all(
        kept.list.map(async ({ manifests }) => index.parse(await json(kept, manifests[0])).manifests),
      );
      expect(two?.map(({ platform }) => platform.architecture).sort()).toEqual(["amd64", "arm64"]);
      expect(one).toHaveLength(1);
      for (const { manifests, layers: own } of kept.list) {
        const [, mine, other] = manifests;
        expect(mine && layers.parse(await json(kept, mine)).layers[0]?.digest).toBe(own[0]?.digest);
        if (other !== undefined)
          expect(layers.parse(await json(kept, other)).layers[0]?.digest).not.toBe(own[0]?.digest);
      }
    });

    test("are not there when they could not be made", async () => {
      const parent = temporaryFolder();
      const shell = async () => Buffer.alloc(0);
      const broken = [{ ...nth(recipes, 0), layers: [{ name: "x".repeat(300), bytes: 1 }] }];
      await expect(keptImages(join(parent, "add-ons"), broken, { seed: "", shell })).rejects.toThrow(
        "header",
      );
      expect(readdirSync(parent)).toEqual([]);
    });

    test("may be made by two at once", async () => {
      const parent = temporaryFolder();
      const keep = () =>
        keptImages(join(parent, "add-ons"), recipes, { seed: "test", shell: async () => shell });
      const [one, two] = await Promise.all([keep(), keep()]);
      expect(one.list).toEqual(two.list);
      expect(readdirSync(parent)).toEqual(["add-ons"]);
    });
  });
});

describe("the add-ons", () => {
  test("are twelve images of 1.0 GB in all, with shared layers as real ones have", () => {
    expect(new Set(addOnRecipes.map(({ name }) => name)).size).toBe(12);
    for (const { layers } of addOnRecipes) {
      // The page is one more.
      expect(layers.length + 1).toBeGreaterThanOrEqual(3);
      expect(layers.length + 1).toBeLessThanOrEqual(8);
      expect(layers.filter(({ shell }) => shell)).toHaveLength(1);
    }
    const listed = addOnRecipes.flatMap(({ layers }) => layers);
    const distinct = new Map(listed.map((layer) => [layer.name, layer]));
    for (const layer of listed) expect(distinct.get(layer.name)).toEqual(layer);
    const bytes = [...distinct.values()].map((layer) => layer.bytes);
    expect(Math.max(...bytes)).toBeLessThanOrEqual(60_000_000);
    expect(bytes.reduce((sum, size) => sum + size) / 1e9).toBeCloseTo(1, 1);
    expect(listed.length - distinct.size).toBeGreaterThan(20);
  });
});
