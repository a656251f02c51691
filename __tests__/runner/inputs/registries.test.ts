import { describe, expect, it } from "vitest";
import { readInputs } from "../../../src/runner/inputs/create.ts";

const read = async (given: Readonly<Record<string, string>>) => {
  const { registries, problems } = await readInputs((name) => given[name] ?? "", "/workspace");
  return {
    ...registries,
    problems: problems.map(({ input, value, reason }) => `${input} ${JSON.stringify(value)}: ${reason}`),
  };
};

const problemsOf = async (given: Readonly<Record<string, string>>) => (await read(given)).problems;

describe("the input registry", () => {
  it("is false by default, even if the other registry inputs are set", async () => {
    expect((await read({})).local).toBeUndefined();
    expect(await read({ registry: "false", registry_name: "images", registry_port: "5001" })).toMatchObject({
      local: undefined,
      problems: [],
    });
  });

  it("enables kind-registry on port 5000 without deletion, as in the guide of kind", async () => {
    expect(await read({ registry: "true" })).toMatchObject({
      local: { name: "kind-registry", port: 5000, enableDelete: false },
      problems: [],
    });
  });

  it("uses the given name and port, and enables deletion", async () => {
    const given = {
      registry: "true",
      registry_name: "images.shop",
      registry_port: "443",
      registry_enable_delete: "true",
    };
    expect(await read(given)).toMatchObject({
      local: { name: "images.shop", port: 443, enableDelete: true },
      problems: [],
    });
  });

  it("must be true or false", async () => {
    for (const name of ["registry", "registry_enable_delete"])
      expect(await problemsOf({ [name]: "yes" })).toEqual([`${name} "yes": must be true or false`]);
  });
});

describe("the input registry_image", () => {
  it("is pinned by digest by default", async () => {
    expect((await read({})).image).toMatch(/^docker\.io\/library\/registry:3\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
  });

  it.each(["registry:2", `mirror.example/registry@sha256:${"a".repeat(64)}`])("accepts %s", async (image) => {
    expect(await read({ registry_image: image })).toMatchObject({ image, problems: [] });
  });

  it.each([
    ["Registry:3", "has uppercase letters in its repository"],
    ["--privileged", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["registry:3\nregistry:2", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["registry@sha256:aa", "has an invalid digest"],
  ])("rejects %j", async (image, reason) => {
    expect(await problemsOf({ registry_image: image })).toEqual([
      `registry_image ${JSON.stringify(image)}: ${reason}`,
    ]);
  });
});

describe("the input registry_name", () => {
  it.each(["kind-registry", "registry.local", "r2"])("accepts %s", async (name) => {
    expect(await read({ registry: "true", registry_name: name })).toMatchObject({
      local: { name },
      problems: [],
    });
  });

  it.each([
    "My-Registry",
    "my_registry",
    "-registry",
    "registry-",
    "registry.",
    "a/b",
    "registry:5000",
    "a\nb",
    "$(id)",
    "r",
  ])("rejects %j, which is not a host name", async (name) => {
    expect(await problemsOf({ registry_name: name })).toEqual([
      expect.stringContaining(
        `registry_name ${JSON.stringify(name)}: must be two or more lower-case letters, digits, dots and hyphens`,
      ),
    ]);
  });
});

describe("the input registry_port", () => {
  it.each(["1", "80", "5000", "65535"])("accepts %s", async (port) => {
    expect(await read({ registry: "true", registry_port: port })).toMatchObject({
      local: { port: Number(port) },
      problems: [],
    });
  });

  it.each(["0", "65536", "99999", "-1", "5000.5", "http", "5000:5000", "0x50", " 5000", "100000"])(
    "rejects %j",
    async (port) => {
      expect(await problemsOf({ registry_port: port })).toEqual([
        `registry_port ${JSON.stringify(port)}: must be a port, 1 to 65535`,
      ]);
    },
  );
});

describe("the input registry_proxies", () => {
  const upstreamsOf = async (lines: string) => (await read({ registry_proxies: lines })).upstreams;
  const names = async (lines: string) => (await upstreamsOf(lines)).map(({ name }) => name);

  it("is empty by default", async () => {
    expect(await upstreamsOf("")).toEqual([]);
    expect(await upstreamsOf("\n  \n")).toEqual([]);
  });

  it("lists registries, one per line, with optional mirrors", async () => {
    expect(await upstreamsOf("ghcr.io\n\n  docker.io=https://mirror.example:5000  \n")).toEqual([
      { name: "ghcr.io", url: "https://ghcr.io", mirror: undefined },
      { name: "docker.io", url: "https://registry-1.docker.io", mirror: "https://mirror.example:5000" },
    ]);
  });

  it("includes common registries with `default`", async () => {
    const defaults = await names("default");
    expect(defaults).toEqual(expect.arrayContaining(["docker.io", "ghcr.io", "quay.io", "registry.k8s.io"]));
    expect(await names("default\nregistry.example")).toEqual([...defaults, "registry.example"]);
  });

  it("uses the last line of a registry, so that `default` can have exceptions", async () => {
    expect(await upstreamsOf("ghcr.io\nghcr.io")).toHaveLength(1);
    const upstreams = await upstreamsOf("default\nghcr.io=https://mirror.example");
    expect(upstreams).toHaveLength((await names("default")).length);
    expect(upstreams.find(({ name }) => name === "ghcr.io")?.mirror).toBe("https://mirror.example");
  });

  it("reports a problem for each invalid line", async () => {
    const rule = "must be `default`, a registry such as ghcr.io, or REGISTRY=URL";
    expect(await problemsOf({ registry_proxies: "ghcr.io\nhttps://quay.io\nghcr.io, quay.io" })).toEqual([
      `registry_proxies "https://quay.io": ${rule}`,
      `registry_proxies "ghcr.io, quay.io": ${rule}`,
    ]);
  });
});
