import { describe, expect, it } from "vitest";
import { nodeImagesIn } from "../../script/release-table/release-notes.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

describe("nodeImagesIn", () => {
  it("returns the node images in the list of a kind release", () => {
    const notes = [
      "# Images",
      `- v1.35.0: \`kindest/node:v1.35.0@${digest("a")}\``,
      `- v1.34.3: \`kindest/node:v1.34.3@${digest("b")}\``,
      "You can also use `kindest/node:v1.30.0` without a digest.",
    ].join("\r\n");
    expect(nodeImagesIn(notes)).toEqual([
      { kubernetes: "v1.35.0", image: `kindest/node:v1.35.0@${digest("a")}` },
      { kubernetes: "v1.34.3", image: `kindest/node:v1.34.3@${digest("b")}` },
    ]);
  });

  it("returns an image once that is also in the text before the list", () => {
    const image = `kindest/node:v1.35.0@${digest("a")}`;
    expect(nodeImagesIn(`The default is \`${image}\`.\n- v1.35.0: \`${image}\``)).toHaveLength(1);
  });

  it("returns nothing for notes without images", () => {
    expect(nodeImagesIn("Only fixes.")).toEqual([]);
  });
});
