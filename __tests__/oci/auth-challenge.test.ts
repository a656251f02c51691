import { describe, expect, it } from "vitest";
import { parseChallenges } from "../../src/oci/auth-challenge.ts";

const read = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe("what a registry wants to know", () => {
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
  ])("is read from %s", (header, challenges) => {
    expect(read(header)).toEqual(challenges);
  });

  it.each(["", '="x"', 'realm="https://evil.example"', ", , ,", "\t"])(
    "is nothing where there is no scheme: %j",
    (header) => {
      expect(read(header).filter(([scheme]) => scheme === "bearer" || scheme === "basic")).toEqual([]);
    },
  );

  it("is read in no time, whatever the header", () => {
    const began = performance.now();
    for (const header of [
      `Bearer realm="${"\\".repeat(16_000)}`,
      `Bearer ${"a ".repeat(8_000)}`,
      `Bearer ${" ".repeat(16_000)}x`,
      `Bearer realm="${'\\"'.repeat(8_000)}`,
    ])
      parseChallenges(header);
    expect(performance.now() - began).toBeLessThan(500);
  });
});
