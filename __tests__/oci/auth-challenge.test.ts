import { describe, expect, it } from "vitest";
import { parseChallenges } from "../../src/oci/auth-challenge.ts";

const parse = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe("parseChallenges", () => {
  it.each([
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull"',
      [
        [
          "bearer",
          {
            realm: "https://auth.docker.io/token",
            service: "registry.docker.io",
            scope: "repository:library/busybox:pull",
          },
        ],
      ],
    ],
    ['Basic realm="Registry Realm"', [["basic", { realm: "Registry Realm" }]]],
    ["BASIC", [["basic", {}]]],
    [
      'Negotiate, Bearer realm="https://a/b?c=d,e" , service = plain, Basic realm="x"',
      [
        ["negotiate", {}],
        ["bearer", { realm: "https://a/b?c=d,e", service: "plain" }],
        ["basic", { realm: "x" }],
      ],
    ],
    ['Bearer Realm="a \\"quoted\\" \\\\ one"', [["bearer", { realm: 'a "quoted" \\ one' }]]],
    ['Bearer realm="", service=', [["bearer", { realm: "", service: "" }]]],
  ])("parses %s", (header, challenges) => {
    expect(parse(header)).toEqual(challenges);
  });

  it.each(["", '="x"', 'realm="https://evil.example"', ", , ,", "\t"])(
    "ignores parameters without a scheme: %j",
    (header) => {
      expect(parse(header).filter(([scheme]) => scheme === "bearer" || scheme === "basic")).toEqual([]);
    },
  );

  // The test would time out with a regular expression that backtracks.
  it.each([
    `Bearer realm="${"\\".repeat(16_000)}`,
    `Bearer ${"a ".repeat(8_000)}`,
    `Bearer ${" ".repeat(16_000)}x`,
    `Bearer realm="${'\\"'.repeat(8_000)}`,
  ])("parses a long header without backtracking: %.40s", (header) => {
    expect(parseChallenges(header)).not.toEqual([]);
  });
});
