import { describe, expect, it } from "vitest";
import { Content, ImageService } from "../../../src/node/containerd/generated/methods.ts";
import { WriteAction } from "../../../src/node/containerd/generated/services/content/v1/content.ts";

// The bytes are protoc's, from the published files. Each was made in src/node/containerd/proto/ by this, with the text
// that is named below on its standard input:
//   protoc -I FOLDER --encode=MESSAGE FILE | od -An -v -tx1 | tr -d ' \n'
// protoc 3.21 reads api.proto when ` [debug_redact = true]` is removed from it.

describe("the generated messages", () => {
  it("encode a request to write a blob as protoc does", () => {
    // -I containerd --encode=containerd.services.content.v1.WriteContentRequest services/content/v1/content.proto
    // action: COMMIT ref: "r" total: 300 expected: "sha256:e" offset: 1099511627776 data: "\x00\xff" labels { key: "k" value: "v" }
    const bytes = "080212017218ac0222087368613235363a6528808080808020320200ff3a060a016b120176";
    const request = {
      action: WriteAction.COMMIT,
      ref: "r",
      total: 300,
      expected: "sha256:e",
      offset: 2 ** 40,
      data: Buffer.from([0, 255]),
      labels: { k: "v" },
    };
    const type = Content.Write.request;
    expect(Buffer.from(type.toBinary(type.create(request))).toString("hex")).toBe(bytes);
    expect(type.fromBinary(Buffer.from(bytes, "hex"))).toEqual(request);
  });

  it("decode the list of blobs of protoc", () => {
    // -I containerd --encode=containerd.services.content.v1.ListContentResponse services/content/v1/content.proto
    // info { digest: "sha256:d" size: 300 created_at { seconds: 1767323045 nanos: 678000000 } labels { key: "k" value: "v" } }
    // info { digest: "sha256:e" }
    const bytes =
      "0a230a087368613235363a6410ac021a0c08a5ebdcca061080eba5c3022a060a016b1201760a0a0a087368613235363a65";
    expect(Content.List.response.fromBinary(Buffer.from(bytes, "hex"))).toEqual({
      info: [
        {
          digest: "sha256:d",
          size: 300,
          createdAt: { seconds: 1_767_323_045, nanos: 678_000_000 },
          labels: { k: "v" },
        },
        { digest: "sha256:e", size: 0, labels: {} },
      ],
    });
  });

  it("decode the list of images of protoc", () => {
    // -I cri/pkg/apis --encode=runtime.v1.ListImagesResponse runtime/v1/api.proto
    // images { id: "sha256:i" repo_tags: ["docker.io/library/web:1", "web:2"] repo_digests: "web@sha256:d" size: 300 pinned: true }
    const bytes =
      "0a3d0a087368613235363a691217646f636b65722e696f2f6c6962726172792f7765623a3112057765623a321a0c776562407368613235363a6420ac024001";
    expect(ImageService.ListImages.response.fromBinary(Buffer.from(bytes, "hex"))).toEqual({
      images: [
        {
          id: "sha256:i",
          repoTags: ["docker.io/library/web:1", "web:2"],
          repoDigests: ["web@sha256:d"],
          size: 300,
          username: "",
          pinned: true,
        },
      ],
    });
  });
});
