import { describe, expect, it } from "vitest";
import { pullWarnings } from "../../src/images/pull-warnings.ts";

describe("a warning that pods will pull in spite of what was loaded", () => {
  it("is of the tag latest, which Kubernetes pulls each time unless told otherwise", () => {
    expect(
      pullWarnings(["docker.io/library/web:latest", "docker.io/library/api:1", "ghcr.io/x/db:latest"], false),
    ).toEqual([
      "docker.io/library/web:latest, ghcr.io/x/db:latest: Kubernetes pulls an image tagged latest each time, unless the container says `imagePullPolicy: IfNotPresent` or `Never`. Say that, or give the image another tag.",
    ]);
  });

  it("is one of the whole cluster where its configuration says so, whatever the tags", () => {
    for (const name of ["docker.io/library/web:1", "docker.io/library/web:latest"])
      expect(pullWarnings([name], true)).toEqual([
        "The cluster's configuration turns on AlwaysPullImages: every pod pulls its images from their registry, whatever is loaded. Leave the plugin out, or push the images to a registry that the nodes reach.",
      ]);
  });

  it("is not given of other tags and of digests", () => {
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

  it("is not given where nothing is loaded", () => {
    expect(pullWarnings([], true)).toEqual([]);
    expect(pullWarnings([], false)).toEqual([]);
  });
});
