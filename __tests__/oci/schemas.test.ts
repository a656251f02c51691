import { describe, expect, it } from "vitest";
import { configSchema, indexSchema, manifestSchema, parseBlob } from "../../src/oci/schemas.ts";

const digest = `sha256:${"0".repeat(64)}`;
const descriptor = { mediaType: "application/vnd.oci.image.config.v1+json", digest, size: 2 };

describe("parseBlob", () => {
  it("returns the known fields of a blob", () => {
    const text = JSON.stringify({ schemaVersion: 2, config: descriptor, layers: [], unknown: 1 });
    expect(parseBlob(text, manifestSchema)).toMatchObject({ content: { config: descriptor, layers: [] } });
  });

  it("treats null and empty strings as missing, as Go does", () => {
    const text = JSON.stringify({ os: "linux", architecture: "", variant: null, rootfs: null });
    expect(parseBlob(text, configSchema)).toEqual({
      content: { os: "linux", architecture: undefined, variant: undefined, rootfs: [] },
    });
  });

  it.each([
    ["", "is not JSON"],
    ["{", "is not JSON"],
    ["null", "is not a valid image index: it is not an object"],
    ['{"manifests":{}}', "is not a valid image index: `manifests` is not an array"],
    ['{"manifests":[{}]}', "is not a valid image index: `manifests.0.mediaType` is not a string"],
    ['{"layers":[]}', "is not a valid image index: `layers` is not allowed here"],
  ])("explains why %j is invalid", (text, problem) => {
    expect(parseBlob(text, indexSchema)).toEqual({ problem });
  });
});
