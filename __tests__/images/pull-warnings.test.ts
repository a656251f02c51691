import { describe, expect, it } from "vitest";
import { pullWarnings } from "../../src/images/pull-warnings.ts";

describe("pullWarnings", () => {
  it("warns of images with the tag latest", () => {
    expect(
      pullWarnings(["docker.io/library/web:latest", "docker.io/library/api:1", "ghcr.io/x/db:latest"], false),
    ).toEqual([
      "docker.io/library/web:latest, ghcr.io/x/db:latest: Kubernetes always pulls images with the tag latest, unless the container has `imagePullPolicy: IfNotPresent` or `Never`. Set that, or use another tag.",
    ]);
  });

  it("warns of all images if the cluster runs AlwaysPullImages", () => {
    for (const name of ["docker.io/library/web:1", "docker.io/library/web:latest"])
      expect(pullWarnings([name], true)).toEqual([
        "The cluster's configuration enables the admission plugin AlwaysPullImages: every pod pulls its images, even if they are loaded. Disable the plugin, or push the images to a registry that the nodes can reach.",
      ]);
  });

  it("does not warn of other tags and digests", () => {
    expect(
      pullWarnings(
        [
          "docker.io/library/web:1",
          "docker.io/library/latest:1",
          "docker.io/library/web:not-latest",
          `docker.io/library/web@sha256:${"a".repeat(64)}`,
        ],
        false,
      ),
    ).toEqual([]);
  });

  it("does not warn when nothing is loaded", () => {
    expect(pullWarnings([], true)).toEqual([]);
    expect(pullWarnings([], false)).toEqual([]);
  });
});
