import { describe, expect, it } from "vitest";
import { erasable } from "../../script/protos/erasable.ts";

describe("generated code made erasable", () => {
  it("imports its own files by their names, and packages as before", () => {
    const source = [
      'import { MessageType } from "@protobuf-ts/runtime";',
      'import { Empty } from "../../google/protobuf/empty";',
      'import type { Image } from "./image";',
      "",
    ].join("\n");
    expect(erasable(source)).toBe(
      [
        'import { MessageType } from "@protobuf-ts/runtime";',
        'import { Empty } from "../../google/protobuf/empty.ts";',
        'import type { Image } from "./image.ts";',
        "",
      ].join("\n"),
    );
  });

  it("has objects and types instead of enums, and their comments as before", () => {
    const source = `export enum WriteAction {
    /**
     * @generated from protobuf enum value: STAT = 0;
     */
    STAT = 0,
    BELOW = -1
}
export enum Other {
    A = 0
}
class Other$Type {
}
`;
    expect(erasable(source)).toBe(`export const WriteAction = {
    /**
     * @generated from protobuf enum value: STAT = 0;
     */
    STAT: 0,
    BELOW: -1
} as const;
export type WriteAction = (typeof WriteAction)[keyof typeof WriteAction];
export const Other = {
    A: 0
} as const;
export type Other = (typeof Other)[keyof typeof Other];
class Other$Type {
}
`);
  });

  it("is left to the compiler to check, unless it is Google's", () => {
    const source = (name: string) =>
      `// @generated from protobuf file "a.proto" (package "${name}", syntax proto3)\n`;
    expect(erasable(source("google.protobuf"))).toBe(`// @ts-nocheck\n${source("google.protobuf")}`);
    expect(erasable(source("containerd.types"))).toBe(source("containerd.types"));
  });
});
