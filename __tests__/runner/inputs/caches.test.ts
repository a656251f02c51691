import { describe, expect, it } from "vitest";
import { readInputs } from "../../../src/runner/inputs/create.ts";

const read = async (given: Readonly<Record<string, string>> = {}) => {
  const { cache, problems } = await readInputs((name) => given[name] ?? "", "/workspace");
  return {
    cache,
    problems: problems.map(({ input, value, reason }) => `${input} ${JSON.stringify(value)}: ${reason}`),
  };
};

const problemsOf = async (given: Readonly<Record<string, string>>) => (await read(given)).problems;

describe("the input cache", () => {
  const all = ["proxies", "node-image"];

  it.each([
    { given: "", entries: all, auto: true },
    { given: "auto", entries: all, auto: true },
    { given: "none", entries: [], auto: false },
    { given: "node-image", entries: ["node-image"], auto: false },
    { given: "proxies", entries: ["proxies"], auto: false },
    { given: "proxies\n\n  node-image \n", entries: all, auto: false },
    { given: "proxies\nproxies", entries: ["proxies"], auto: false },
  ])("accepts $given", async ({ given, entries, auto }) => {
    expect(await read({ cache: given })).toMatchObject({ cache: { entries, auto }, problems: [] });
  });

  it.each(["everything", "true", "node_image", "node-image, proxies", "Auto"])(
    "rejects %j",
    async (given) => {
      expect(await problemsOf({ cache: given })).toEqual([
        `cache "${given}": must be \`auto\`, \`none\`, or some of proxies, node-image, one per line`,
      ]);
    },
  );

  it("rejects `auto` or `none` together with names", async () => {
    for (const word of ["auto", "none"])
      expect(await problemsOf({ cache: `proxies\n${word}` })).toEqual([
        `cache "${word}": must be \`auto\`, \`none\`, or some of proxies, node-image, one per line`,
      ]);
  });
});

describe("the input cache_save", () => {
  it.each(["auto", "always", "never"] as const)("accepts %s", async (save) => {
    expect(await read({ cache_save: save })).toMatchObject({ cache: { save }, problems: [] });
  });

  it("is `auto` by default", async () => {
    expect((await read()).cache.save).toBe("auto");
  });

  it.each(["true", "on-failure", "Always"])("rejects %s, and uses the default", async (given) => {
    const { cache, problems } = await read({ cache_save: given });
    expect(problems).toEqual([`cache_save "${given}": must be one of auto, always, never`]);
    expect(cache.save).toBe("auto");
  });
});

describe("the timeouts of caches", () => {
  it("are two minutes for restoring and five minutes for saving by default", async () => {
    expect((await read()).cache).toMatchObject({ restoreTimeoutMs: 120_000, saveTimeoutMs: 300_000 });
  });

  it("must be durations with a unit", async () => {
    const given = { cache_restore_timeout: "90s", cache_save_timeout: "1h30m" };
    expect(await read(given)).toMatchObject({
      cache: { restoreTimeoutMs: 90_000, saveTimeoutMs: 5_400_000 },
      problems: [],
    });
    for (const name of ["cache_restore_timeout", "cache_save_timeout"])
      expect(await problemsOf({ [name]: "90" })).toEqual([
        expect.stringMatching(`^${name} "90": must be a duration with a unit`),
      ]);
  });
});

describe("the input cache_max_size", () => {
  it.each([
    ["", 2e9],
    ["2GB", 2e9],
    ["1.5GB", 1.5e9],
    ["500MB", 5e8],
    ["500 MB", 5e8],
    ["0MB", 0],
  ])("reads %j as %i bytes", async (given, maxBytes) => {
    expect(await read({ cache_max_size: given })).toMatchObject({ cache: { maxBytes }, problems: [] });
  });

  it.each(["2", "2G", "2GiB", "2gb", "-2GB", "2,5GB", "GB", "two GB", "2GB\n1GB"])(
    "rejects %j",
    async (given) => {
      const { cache, problems } = await read({ cache_max_size: given });
      expect(problems).toEqual([
        `cache_max_size ${JSON.stringify(given)}: must be a size with a unit, such as 500MB or 2GB`,
      ]);
      expect(cache.maxBytes).toBe(2e9);
    },
  );
});
