import { describe, expect, it } from "vitest";
import { imageNames } from "../../../src/images/load/image-names.ts";
import { mediaTypes } from "../../archive/archives.ts";
import { noise } from "../../archive/tar-files.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { imageIn } from "./source-images.ts";

const image = (...names: string[]) => imageIn(temporaryFolder(), names, [noise("a", 100)]);

describe("imageNames", () => {
  it("adds a name with the digest to those of an OCI image, for pods that use it", () => {
    const web = image("localhost:5000/shop/web:1", "localhost:5000/shop/web:2");
    expect(imageNames(web)).toEqual([
      "localhost:5000/shop/web:1",
      "localhost:5000/shop/web:2",
      `localhost:5000/shop/web@${web.content.target.digest}`,
    ]);
  });

  it("returns the names of an image in Docker's format unchanged: its manifest is in no registry", () => {
    const web = image("docker.io/library/web:1");
    const target = { ...web.content.target, mediaType: mediaTypes.dockerManifest };
    expect(imageNames({ ...web, content: { ...web.content, target } })).toEqual(["docker.io/library/web:1"]);
  });
});
