import { describe, expect, it } from "vitest";
import { parseUpstreams } from "../../src/registries/upstreams.ts";

describe("parseUpstreams", () => {
  it("expands `default` to common registries", () => {
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
    // The API of Docker Hub is not at docker.io.
    ["docker.io", "https://registry-1.docker.io"],
  ])("parses the registry %s with the URL %s", (name, url) => {
    expect(parseUpstreams(name)).toEqual([{ name, url, mirror: undefined }]);
  });

  it.each([
    ["https://mirror.example", "https://mirror.example"],
    ["https://mirror.example/", "https://mirror.example"],
    ["http://172.17.0.1:5000", "http://172.17.0.1:5000"],
    ["https://mirror.example:443", "https://mirror.example"],
    ["http://[fd00::1]:5000", "http://[fd00::1]:5000"],
    ["https://MIRROR.example", "https://mirror.example"],
  ])("parses a mirror %s, without a trailing slash", (given, mirror) => {
    expect(parseUpstreams(`docker.io=${given}`)).toEqual([
      { name: "docker.io", url: "https://registry-1.docker.io", mirror },
    ]);
  });
});

describe("parseUpstreams for an invalid line", () => {
  it.each([
    ["", "empty"],
    ["Docker.io", "in upper case"],
    ["https://ghcr.io", "a URL"],
    ["ghcr.io/org", "a repository"],
    ["..", "a relative path"],
    ["../../etc", "a relative path"],
    [".ghcr.io", "a name with a leading dot"],
    ["ghcr.io.", "a name with a trailing dot"],
    ["ghcr.io:", "a name with an invalid port"],
    ["ghcr.io:123456", "a name with an invalid port"],
    ["ghcr.io quay.io", "two registries"],
    ["ghcr.io\nquay.io", "two registries"],
    ["*", "a wildcard"],
    ["=https://mirror.example", "a mirror without a registry"],
    ["default=https://mirror.example:5000/path", "a mirror of `default`"],
  ])("rejects %j, which is %s", (line) => {
    expect(parseUpstreams(line)).toEqual({ problem: expect.stringMatching(/^must (be|have) /) });
  });

  it.each([
    ["a URL with a path", "https://mirror.example/docker"],
    ["a URL with a query", "https://mirror.example/?a=b"],
    ["a URL with a fragment", "https://mirror.example/#a"],
    ["a URL with another scheme", "ftp://mirror.example"],
    ["a host and port", "mirror.example:5000"],
    ["a host", "mirror.example"],
    ["empty", ""],
    ["a file URL", "file:///etc/passwd"],
    ["a name with an invalid port", "https://mirror.example:99999"],
  ])("rejects a mirror that is %s", (_, url) => {
    expect(parseUpstreams(`ghcr.io=${url}`)).toEqual({
      problem: "must have a URL with only a host and a port after `=`, such as https://mirror.example:5000",
    });
  });

  it.each([
    "https://me:hunter2@mirror.example",
    "https://hunter2@mirror.example",
    "https://:hunter2@mirror.example:5000",
  ])("rejects a mirror with credentials, and does not quote them: %s", (url) => {
    const parsed = parseUpstreams(`ghcr.io=${url}`);
    expect(parsed).toMatchObject({ problem: expect.stringContaining("`registry_credentials`") });
    expect(JSON.stringify(parsed)).not.toContain("hunter2");
  });
});
