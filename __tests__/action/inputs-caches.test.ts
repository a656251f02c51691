import { describe, expect, it } from "vitest";
import { readInputs } from "../../src/runner/inputs.ts";

const read = async (given: Readonly<Record<string, string>> = {}) => {
  const { cache, problems } = await readInputs((name) => given[name] ?? "", "/workspace");
  return {
    cache,
    problems: problems.map(({ input, value, reason }) => `${input} ${JSON.stringify(value)}: ${reason}`),
  };
};

const problemsOf = async (given: Readonly<Record<string, string>>) => (await read(given)).problems;

describe("cache", () => {
  const all = ["node-image", "proxies"];

  it.each([
    { given: "", kinds: all, auto: true },
    { given: "auto", kinds: all, auto: true },
    { given: "none", kinds: [], auto: false },
    { given: "node-image", kinds: ["node-image"], auto: false },
    { given: "proxies", kinds: ["proxies"], auto: false },
    { given: "proxies\n\n  node-image \n", kinds: all, auto: false },
    { given: "proxies\nproxies", kinds: ["proxies"], auto: false },
  ])("%j is what is named, and only `auto` where it pays", async ({ given, kinds, auto }) => {
    expect(await read({ cache: given })).toMatchObject({ cache: { kinds, auto }, problems: [] });
  });

  it.each(["everything", "true", "node_image", "node-image, proxies", "Auto"])(
    "cannot be %j",
    async (given) => {
      expect(await problemsOf({ cache: given })).toEqual([
        `cache "${given}": wants \`auto\`, \`none\`, or some of node-image, proxies, one a line`,
      ]);
    },
  );

  it("is all of them, or none, or some: not a mixture", async () => {
    for (const word of ["auto", "none"])
      expect(await problemsOf({ cache: `proxies\n${word}` })).toEqual([
        `cache "${word}": wants \`auto\`, \`none\`, or some of node-image, proxies, one a line`,
      ]);
  });
});

describe("cache_save", () => {
  it.each(["auto", "always", "never"] as const)("may be %s", async (save) => {
    expect(await read({ cache_save: save })).toMatchObject({ cache: { save }, problems: [] });
  });

  it("leaves it to the job's event unless it is given", async () => {
    expect((await read()).cache.save).toBe("auto");
  });

  it.each(["true", "on-failure", "Always"])("cannot be %s, which saves as by default", async (given) => {
    const { cache, problems } = await read({ cache_save: given });
    expect(problems).toEqual([`cache_save "${given}": wants one of auto, always, never`]);
    expect(cache.save).toBe("auto");
  });
});

describe("the time that caches may take", () => {
  it("is two minutes to restore and five to save unless it is given", async () => {
    expect((await read()).cache).toMatchObject({ restoreDeadline: 120_000, saveDeadline: 300_000 });
  });

  it("is given with its unit", async () => {
    const given = { cache_restore_timeout: "90s", cache_save_timeout: "1h30m" };
    expect(await read(given)).toMatchObject({
      cache: { restoreDeadline: 90_000, saveDeadline: 5_400_000 },
      problems: [],
    });
    for (const name of ["cache_restore_timeout", "cache_save_timeout"])
      expect(await problemsOf({ [name]: "90" })).toEqual([
        expect.stringMatching(`^${name} "90": wants a duration with its unit`),
      ]);
  });
});

describe("cache_max_size", () => {
  it.each([
    ["", 2e9],
    ["2GB", 2e9],
    ["1.5GB", 1.5e9],
    ["500MB", 5e8],
    ["500 MB", 5e8],
    ["0MB", 0],
  ])("%j is %i bytes", async (given, maxSize) => {
    expect(await read({ cache_max_size: given })).toMatchObject({ cache: { maxSize }, problems: [] });
  });

  it.each(["2", "2G", "2GiB", "2gb", "-2GB", "2,5GB", "GB", "two GB", "2GB\n1GB"])(
    "cannot be %j",
    async (given) => {
      const { cache, problems } = await read({ cache_max_size: given });
      expect(problems).toEqual([
        `cache_max_size ${JSON.stringify(given)}: wants a size with its unit, such as 500MB or 2GB`,
      ]);
      expect(cache.maxSize).toBe(2e9);
    },
  );
});
