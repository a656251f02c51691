import { describe, expect, it } from "vitest";
import { normalizeReference } from "../../src/oci/reference.ts";

const hex = "0123456789abcdef".repeat(4);

describe("normalizeReference", () => {
  // The results of github.com/distribution/reference 0.6.0 (ParseDockerRef).
  it.each([
    ["web", "docker.io/library/web:latest"],
    ["web:1", "docker.io/library/web:1"],
    ["web:V1.0_a-b", "docker.io/library/web:V1.0_a-b"],
    ["shop/web", "docker.io/shop/web:latest"],
    ["shop/team/web", "docker.io/shop/team/web:latest"],
    ["docker.io/web", "docker.io/library/web:latest"],
    ["docker.io/shop/web", "docker.io/shop/web:latest"],
    ["index.docker.io/web:1", "docker.io/library/web:1"],
    ["index.docker.io/shop/web:1", "docker.io/shop/web:1"],
    ["library/web", "docker.io/library/web:latest"],
    ["ghcr.io/shop/web:1", "ghcr.io/shop/web:1"],
    ["localhost/web", "localhost/web:latest"],
    ["localhost:5001/web:1", "localhost:5001/web:1"],
    ["host:5000/web", "host:5000/web:latest"],
    ["host/web", "docker.io/host/web:latest"],
    ["HOST/web", "HOST/web:latest"],
    ["10.0.0.1/web", "10.0.0.1/web:latest"],
    ["[::1]:5000/web", "[::1]:5000/web:latest"],
    ["a__b/c.d-e--f", "docker.io/a__b/c.d-e--f:latest"],
    // A hostname has no underscore: the whole reference is the repository.
    ["my_host.io/web", "my_host.io/web:latest"],
    [`web@sha256:${hex}`, `docker.io/library/web@sha256:${hex}`],
    [`ghcr.io/shop/web:1@sha256:${hex}`, `ghcr.io/shop/web@sha256:${hex}`],
    [`web@sha512:${hex}${hex}`, `docker.io/library/web@sha512:${hex}${hex}`],
    [`web:${"t".repeat(128)}`, `docker.io/library/web:${"t".repeat(128)}`],
    ["a".repeat(247), `docker.io/library/${"a".repeat(247)}:latest`],
  ])("returns the full name of %s: %s", (reference, name) => {
    expect(normalizeReference(reference)).toBe(name);
  });

  it("does not change a full name", () => {
    for (const name of [
      "docker.io/library/web:1",
      "localhost/web:1",
      `docker.io/library/web@sha256:${hex}`,
    ]) {
      expect(normalizeReference(name)).toBe(name);
    }
  });

  it.each([
    ["", "is empty"],
    [hex, "is an image ID, not a name"],
    ["Web", "has uppercase letters in its repository"],
    ["shop/Web:1", "has uppercase letters in its repository"],
    ["shop/web:1\n::error::x", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["my web", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["web:", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["web:-1", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["web:1:2", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    [`web:${"t".repeat(129)}`, "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    [":1", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["-web", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["web-", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["a___b", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["a..b/c", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["/web", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["shop//web", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["../../etc/passwd", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["https://ghcr.io/shop/web", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["wéb", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["web\0", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["web@sha256:abc", "has an invalid digest"],
    [`web@sha256:${hex.toUpperCase()}`, "has an invalid digest"],
    [`web@md5:${hex.slice(32)}`, "has an invalid digest"],
    ["web@", "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST"],
    ["a".repeat(248), "has a repository longer than 255 characters"],
    ["a-".repeat(600), "is too long for an image name"],
  ])("rejects %j, which %s", (reference, problem) => {
    expect(normalizeReference(reference)).toEqual({ problem });
  });

  // The test would time out with a regular expression that backtracks.
  it.each(["a-".repeat(511), "a.".repeat(511), `${"a".repeat(1_000)}!`, `${"-".repeat(1_000)}/a`])(
    "rejects a long reference without backtracking: %.20s",
    (reference) => {
      expect(normalizeReference(reference)).toHaveProperty("problem");
    },
  );
});
