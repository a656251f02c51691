import { describe, expect, it } from "vitest";
import { readInputs } from "../../src/runner/inputs.ts";

const read = async (given: Readonly<Record<string, string>>) => {
  const { registries, problems } = await readInputs((name) => given[name] ?? "", "/workspace");
  return {
    ...registries,
    problems: problems.map(({ input, value, reason }) => `${input} ${JSON.stringify(value)}: ${reason}`),
  };
};

const problemsOf = async (given: Readonly<Record<string, string>>) => (await read(given)).problems;

describe("registry", () => {
  it("is none unless it is asked for, whatever is said of it", async () => {
    expect((await read({})).local).toBeUndefined();
    expect(await read({ registry: "false", registry_name: "images", registry_port: "5001" })).toMatchObject({
      local: undefined,
      problems: [],
    });
  });

  it("is one that scripts for kind know: kind-registry, at port 5000, from which nothing is deleted", async () => {
    expect(await read({ registry: "true" })).toMatchObject({
      local: { name: "kind-registry", port: 5000, enableDelete: false },
      problems: [],
    });
  });

  it("has the name and the port that it is given, and lets images be deleted where that is wanted", async () => {
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

  it("is on or off", async () => {
    for (const name of ["registry", "registry_enable_delete"])
      expect(await problemsOf({ [name]: "yes" })).toEqual([`${name} "yes": wants true or false`]);
  });
});

describe("registry_image", () => {
  it("is by default one that is named by its digest, so that it is the same in every run", async () => {
    expect((await read({})).image).toMatch(/^docker\.io\/library\/registry:3\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
  });

  it.each(["registry:2", `mirror.example/registry@sha256:${"a".repeat(64)}`])("may be %s", async (image) => {
    expect(await read({ registry_image: image })).toMatchObject({ image, problems: [] });
  });

  it.each([
    ["Registry:3", "has upper case letters in its repository"],
    ["--privileged", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["registry:3\nregistry:2", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["registry@sha256:aa", "has a digest that is none"],
  ])("cannot be %j", async (image, reason) => {
    expect(await problemsOf({ registry_image: image })).toEqual([
      `registry_image ${JSON.stringify(image)}: ${reason}`,
    ]);
  });
});

describe("registry_name", () => {
  it.each(["kind-registry", "registry.local", "r2"])("may be %s", async (name) => {
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
  ])("cannot be %j: it is a host's name for nodes and pods", async (name) => {
    expect(await problemsOf({ registry_name: name })).toEqual([
      expect.stringContaining(
        `registry_name ${JSON.stringify(name)}: wants two or more lower-case letters, digits, dots and hyphens`,
      ),
    ]);
  });
});

describe("registry_port", () => {
  it.each(["1", "80", "5000", "65535"])("may be %s", async (port) => {
    expect(await read({ registry: "true", registry_port: port })).toMatchObject({
      local: { port: Number(port) },
      problems: [],
    });
  });

  it.each(["0", "65536", "99999", "-1", "5000.5", "http", "5000:5000", "0x50", " 5000", "100000"])(
    "cannot be %j",
    async (port) => {
      expect(await problemsOf({ registry_port: port })).toEqual([
        `registry_port ${JSON.stringify(port)}: wants a port, 1 to 65535`,
      ]);
    },
  );
});

describe("registry_proxies", () => {
  const proxied = async (lines: string) => (await read({ registry_proxies: lines })).upstreams;
  const names = async (lines: string) => (await proxied(lines)).map(({ name }) => name);

  it("are none unless they are given", async () => {
    expect(await proxied("")).toEqual([]);
    expect(await proxied("\n  \n")).toEqual([]);
  });

  it("are registries, one a line, with where their images come from", async () => {
    expect(await proxied("ghcr.io\n\n  docker.io=https://mirror.example:5000  \n")).toEqual([
      { name: "ghcr.io", url: "https://ghcr.io", mirror: undefined },
      { name: "docker.io", url: "https://registry-1.docker.io", mirror: "https://mirror.example:5000" },
    ]);
  });

  it("are the usual ones with `default`, beside others", async () => {
    const usual = await names("default");
    expect(usual).toEqual(expect.arrayContaining(["docker.io", "ghcr.io", "quay.io", "registry.k8s.io"]));
    expect(await names("default\nregistry.example")).toEqual([...usual, "registry.example"]);
  });

  it("are each once: what is said last counts, so that a default can be given with an exception", async () => {
    expect(await proxied("ghcr.io\nghcr.io")).toHaveLength(1);
    const upstreams = await proxied("default\nghcr.io=https://mirror.example");
    expect(upstreams).toHaveLength((await names("default")).length);
    expect(upstreams.find(({ name }) => name === "ghcr.io")?.mirror).toBe("https://mirror.example");
  });

  it("that are none are a problem for each line", async () => {
    const wants = "wants `default`, a registry such as ghcr.io, or REGISTRY=URL";
    expect(await problemsOf({ registry_proxies: "ghcr.io\nhttps://quay.io\nghcr.io, quay.io" })).toEqual([
      `registry_proxies "https://quay.io": ${wants}`,
      `registry_proxies "ghcr.io, quay.io": ${wants}`,
    ]);
  });
});
