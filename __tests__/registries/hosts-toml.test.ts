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

describe("renderHostsToml", () => {
  it("lists the proxy of a registry first, then the registry itself", () => {
    expect(renderHostsToml(proxyHosts([proxyOf("ghcr.io")]))).toEqual({
      "/etc/containerd/certs.d/ghcr.io/hosts.toml": `server = "https://ghcr.io"

[host."http://kind-proxy-ghcr.io:5000"]
  capabilities = ["pull", "resolve"]
`,
    });
  });

  it("lists the mirror after the proxy", () => {
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

  it("maps both names of the local registry to its address on the Docker network", () => {
    const local = { address: "localhost:5001", inside: "kind-registry:5000" };
    const text = 'server = "http://kind-registry:5000"\n';
    expect(renderHostsToml(localRegistryHosts(local))).toEqual({
      "/etc/containerd/certs.d/localhost:5001/hosts.toml": text,
      "/etc/containerd/certs.d/kind-registry:5000/hosts.toml": text,
    });
  });

  it("renders a file for each registry", () => {
    const files = renderHostsToml(proxyHosts([proxyOf("ghcr.io"), proxyOf("registry.example:5000")]));
    expect(Object.keys(files)).toEqual([
      "/etc/containerd/certs.d/ghcr.io/hosts.toml",
      "/etc/containerd/certs.d/registry.example:5000/hosts.toml",
    ]);
  });

  it("escapes URLs, so that they cannot add lines or tables", () => {
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

describe("configPathPatches", () => {
  const imagesOf = (kind: string) => nodeImagesOf(kind).map(({ image }) => image);
  const patch = `[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
`;

  it.each(["v0.27.0", "v0.33.0"])(
    "returns no patch for the node images of kind %s, which have the default",
    (kind) => {
      expect(imagesOf(kind).length).toBeGreaterThan(0);
      expect(configPathPatches(imagesOf(kind))).toEqual([]);
    },
  );

  it("returns the patch for node images of kind before v0.27", () => {
    expect(imagesOf("v0.26.0").length).toBeGreaterThan(0);
    for (const image of imagesOf("v0.26.0")) expect(configPathPatches([image])).toEqual([patch]);
  });

  it("returns the patch for unknown images", () => {
    expect(configPathPatches(["kindest/node:v1.37.0"])).toEqual([patch]);
    expect(configPathPatches([`registry.example/node@sha256:${"a".repeat(64)}`])).toEqual([patch]);
  });

  it("returns the patch if one of several images needs it", () => {
    const [known = ""] = imagesOf("v0.33.0");
    expect(configPathPatches([known, "kindest/node:latest"])).toEqual([patch]);
  });
});
