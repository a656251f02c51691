import { describe, expect, it } from "vitest";
import { childDigests } from "../../../src/images/load/gc-references.ts";
import { blob, mediaTypes } from "../../archive/archives.ts";
import { noise } from "../../archive/tar-files.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { imageIn } from "./source-images.ts";

function image() {
  const web = imageIn(temporaryFolder(), ["docker.io/library/web:1"], [noise("a", 100), noise("b", 100)]);
  const [manifest, config] = web.content.manifests;
  if (manifest === undefined || config === undefined) throw new Error("an image has a manifest and a config");
  return { web, manifest, config };
}

describe("childDigests", () => {
  it("returns the config and all layers of a manifest", () => {
    const { web, manifest } = image();
    const layers = web.content.layers.map(({ digest }) => digest);
    expect(childDigests(manifest, web.content)).toEqual([web.id, ...layers]);
  });

  it("returns the manifests of an index that the image has, without those of other platforms", () => {
    const { manifest, config } = image();
    const { mediaType, digest, size } = manifest;
    const other = { mediaType, digest: `sha256:${"e".repeat(64)}`, size };
    const index = blob(
      { schemaVersion: 2, manifests: [other, { mediaType, digest, size }] },
      mediaTypes.index,
    );
    const document = { ...index.descriptor, bytes: index.content };
    expect(childDigests(document, { manifests: [document, manifest, config] })).toEqual([digest]);
  });

  it("returns nothing for a config", () => {
    const { web, config } = image();
    expect(childDigests(config, web.content)).toEqual([]);
  });
});
