import { describe, expect, it } from "vitest";
import { configPathPatches, renderHostsToml } from "../../src/registries/hosts-toml.ts";
import { localRegistryHosts } from "../../src/registries/local-registry.ts";
import { proxyHosts } from "../../src/registries/proxies.ts";
import { nodeImagesOf } from "../../src/versions/releases.ts";

const proxyOf = (name: string, mirror?: string) => ({
  upstream: { name, url: `https://${name}`, mirror },
  container: "id",
  url: `http://kind-proxy-${name}:5000`,
  hasLogin: false,
});

describe("the files that tell containerd where images come from", () => {
  it("let it ask the proxy of a registry first, and then the registry itself", () => {
    expect(renderHostsToml(proxyHosts([proxyOf("ghcr.io")]))).toEqual({
      "/etc/containerd/certs.d/ghcr.io/hosts.toml": `server = "https://ghcr.io"

[host."http://kind-proxy-ghcr.io:5000"]
  capabilities = ["pull", "resolve"]
`,
    });
  });

  it("let it ask the user's mirror after the proxy, so that what the proxy lacks still comes from there", () => {
    expect(
      Object.values(renderHostsToml(proxyHosts([proxyOf("quay.io", "https://mirror.example:5000")]))),
    ).toEqual([
      `server = "https://quay.io"

[host."http://kind-proxy-quay.io:5000"]
  capabilities = ["pull", "resolve"]

[host."https://mirror.example:5000"]
  capabilities = ["pull", "resolve"]
`,
    ]);
  });

  it("lead to the local registry by the name that the runner has for it, and by its own, on the cluster's network", () => {
    const local = { address: "localhost:5001", inside: "kind-registry:5000" };
    const text = 'server = "http://kind-registry:5000"\n';
    expect(renderHostsToml(localRegistryHosts(local))).toEqual({
      "/etc/containerd/certs.d/localhost:5001/hosts.toml": text,
      "/etc/containerd/certs.d/kind-registry:5000/hosts.toml": text,
    });
  });

  it("are one for each registry", () => {
    const files = renderHostsToml(proxyHosts([proxyOf("ghcr.io"), proxyOf("registry.example:5000")]));
    expect(Object.keys(files)).toEqual([
      "/etc/containerd/certs.d/ghcr.io/hosts.toml",
      "/etc/containerd/certs.d/registry.example:5000/hosts.toml",
    ]);
  });

  it("hold a URL as a text, whatever is in it: nothing in there becomes a line or a table of its own", () => {
    const url = 'http://a"]\n[host."http://evil\\';
    const files = renderHostsToml([{ name: "ghcr.io", hosts: [url], server: url }]);
    expect(Object.values(files)).toEqual([
      `server = "http://a\\"]\\n[host.\\"http://evil\\\\"

[host."http://a\\"]\\n[host.\\"http://evil\\\\"]
  capabilities = ["pull", "resolve"]
`,
    ]);
  });
});

describe("the patch with which containerd looks for these files", () => {
  const imagesOf = (kind: string) => nodeImagesOf(kind).map(({ image }) => image);
  const patch = `[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
`;

  it.each(["v0.27.0", "v0.33.0"])(
    "is not needed by the node images of kind %s: they look by themselves",
    (kind) => {
      expect(imagesOf(kind).length).toBeGreaterThan(0);
      expect(configPathPatches(imagesOf(kind))).toEqual([]);
    },
  );

  it("is there for the node images of kind before v0.27, whose containerd has to be told", () => {
    expect(imagesOf("v0.26.0").length).toBeGreaterThan(0);
    for (const image of imagesOf("v0.26.0")) expect(configPathPatches([image])).toEqual([patch]);
  });

  it("is there for images that nobody knows: a tag may be anything, and so may an image of one's own", () => {
    expect(configPathPatches(["kindest/node:v1.37.0"])).toEqual([patch]);
    expect(configPathPatches([`registry.example/node@sha256:${"a".repeat(64)}`])).toEqual([patch]);
  });

  it("is there for all nodes as soon as one of them needs it", () => {
    const [known = ""] = imagesOf("v0.33.0");
    expect(configPathPatches([known, "kindest/node:latest"])).toEqual([patch]);
  });
});
