import { describe, expect, it } from "vitest";
import { parseUpstreams } from "../../src/registries/upstreams.ts";

describe("a line of `registry_proxies`", () => {
  it("says `default` for the registries that most images of the world come from", () => {
    const upstreams = parseUpstreams("default");
    expect(upstreams).toEqual(
      [
        ["docker.io", "https://registry-1.docker.io"],
        ["ghcr.io", "https://ghcr.io"],
        ["quay.io", "https://quay.io"],
        ["gcr.io", "https://gcr.io"],
        ["registry.k8s.io", "https://registry.k8s.io"],
        ["k8s.gcr.io", "https://k8s.gcr.io"],
        ["public.ecr.aws", "https://public.ecr.aws"],
        ["mcr.microsoft.com", "https://mcr.microsoft.com"],
      ].map(([name, url]) => ({ name, url, mirror: undefined })),
    );
  });

  it.each([
    ["ghcr.io", "https://ghcr.io"],
    ["registry.example:5000", "https://registry.example:5000"],
    ["10.0.0.7:5000", "https://10.0.0.7:5000"],
    // Docker Hub's images are not at docker.io.
    ["docker.io", "https://registry-1.docker.io"],
  ])("names a registry: %s, which is at %s", (name, url) => {
    expect(parseUpstreams(name)).toEqual([{ name, url, mirror: undefined }]);
  });

  it.each([
    ["https://mirror.example", "https://mirror.example"],
    ["https://mirror.example/", "https://mirror.example"],
    ["http://172.17.0.1:5000", "http://172.17.0.1:5000"],
    ["https://mirror.example:443", "https://mirror.example"],
    ["http://[fd00::1]:5000", "http://[fd00::1]:5000"],
    ["https://MIRROR.example", "https://mirror.example"],
  ])("names where its images come from instead: %s, without a slash at the end", (given, mirror) => {
    expect(parseUpstreams(`docker.io=${given}`)).toEqual([
      { name: "docker.io", url: "https://registry-1.docker.io", mirror },
    ]);
  });
});

describe("what is no line of `registry_proxies`", () => {
  it.each([
    ["", "nothing"],
    ["Docker.io", "upper case, which names of images have not"],
    ["https://ghcr.io", "a URL where a name is wanted"],
    ["ghcr.io/org", "a part of a registry"],
    ["..", "what leads out of a folder"],
    ["../../etc", "what leads out of a folder"],
    [".ghcr.io", "a name that begins with a dot"],
    ["ghcr.io.", "a name that ends with a dot"],
    ["ghcr.io:", "a port that is none"],
    ["ghcr.io:123456", "a port that is none"],
    ["ghcr.io quay.io", "two at once"],
    ["ghcr.io\nquay.io", "two at once"],
    ["*", "all there are"],
    ["=https://mirror.example", "a mirror of nothing"],
    ["default=https://mirror.example:5000/path", "a path"],
  ])("is refused: %j is %s", (line) => {
    expect(parseUpstreams(line)).toEqual({ problem: expect.stringMatching(/^wants /) });
  });

  it.each([
    ["a path, which containerd would put before every name", "https://mirror.example/docker"],
    ["a query", "https://mirror.example/?a=b"],
    ["a fragment", "https://mirror.example/#a"],
    ["another scheme", "ftp://mirror.example"],
    ["no scheme, with a port", "mirror.example:5000"],
    ["no scheme", "mirror.example"],
    ["nothing", ""],
    ["a file", "file:///etc/passwd"],
    ["a port that is none", "https://mirror.example:99999"],
  ])("is refused behind = where it is %s", (_, url) => {
    expect(parseUpstreams(`ghcr.io=${url}`)).toEqual({
      problem: "wants behind = a URL with nothing but a host and a port, such as https://mirror.example:5000",
    });
  });

  it.each([
    "https://me:geheim@mirror.example",
    "https://geheim@mirror.example",
    "https://:geheim@mirror.example:5000",
  ])("is refused with credentials in it, which are not repeated: %s", (url) => {
    const parsed = parseUpstreams(`ghcr.io=${url}`);
    expect(parsed).toMatchObject({ problem: expect.stringContaining("`registry_credentials`") });
    expect(JSON.stringify(parsed)).not.toContain("geheim");
  });
});
