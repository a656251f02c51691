import { describe, expect, it } from "vitest";
import { apiContainerName, clusterNameProblem, resolveClusterName } from "../../src/cluster/cluster-name.ts";

describe("resolveClusterName", () => {
  it.each([
    { candidates: ["input", "config", "variable"], name: "input" },
    { candidates: [undefined, "config", "variable"], name: "config" },
    { candidates: [undefined, undefined, "variable"], name: "variable" },
    { candidates: [undefined, undefined, undefined], name: "kind" },
    { candidates: [], name: "kind" },
  ])("returns $name for $candidates", ({ candidates, name }) => {
    expect(resolveClusterName(...candidates)).toBe(name);
  });
});

describe("apiContainerName", () => {
  it("returns the container of a single control plane", () => {
    expect(apiContainerName("shop", 1)).toBe("shop-control-plane");
  });

  it("returns the load balancer of several control planes", () => {
    expect(apiContainerName("shop", 3)).toBe("shop-external-load-balancer");
  });
});

describe("clusterNameProblem", () => {
  it.each(["kind", "a", "0", "shop-2", "shop.example", "a-", "a."])("accepts %j", (name) => {
    expect(clusterNameProblem(name, 1)).toBeUndefined();
  });

  it.each(["", "Shop", "my_shop", "-shop", ".shop", "a b", "a/b", "ä", "shop\n", "$(id)"])(
    "rejects %j",
    (name) => {
      expect(clusterNameProblem(name, 1)).toBe(
        "is not a valid cluster name: use lower-case letters, digits, dots and hyphens, and begin with a letter or digit",
      );
    },
  );

  it("accepts names whose host names have the maximum length, and says how long a name may be", () => {
    const longest = "x".repeat(63 - "-control-plane".length);
    expect(clusterNameProblem(longest, 1)).toBeUndefined();
    expect(clusterNameProblem(`${longest}y`, 1)).toBe(
      `is too long: the host name of the container ${longest}y-control-plane would have more than 63 characters; use at most 49 characters`,
    );
  });

  it("leaves room for the name of the load balancer of several control planes", () => {
    const longest = "x".repeat(63 - "-external-load-balancer".length);
    expect(clusterNameProblem(longest, 3)).toBeUndefined();
    expect(clusterNameProblem(`${longest}yy`, 3)).toBe(
      `is too long: the host name of the container ${longest}yy-external-load-balancer would have more than 63 characters; use at most 40 characters`,
    );
  });
});
