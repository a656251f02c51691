import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import * as z from "zod";
import { docker } from "../../e2e/machine.ts";
import { readLab } from "../lab.ts";

const savedImages = z.tuple([z.object({ Layers: z.tuple([z.string()], z.string()) })]);

/** The root file system of the lab's test image, as a tar: a shell, httpd and all that makes an image run. */
export async function testImageShell(): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "save-"));
  try {
    const archive = join(folder, "image.tar");
    await docker("save", "--output", archive, readLab().testImage);
    const read = async (path: string) => {
      const options = { encoding: "buffer", maxBuffer: 100_000_000 } as const;
      return (await promisify(execFile)("tar", ["-xOf", archive, path], options)).stdout;
    };
    const saved = savedImages.parse(JSON.parse((await read("manifest.json")).toString()));
    const layer = await read(saved[0].Layers[0]);
    // Docker's containerd image store saves layers as they were pulled.
    const compressed = layer[0] === 0x1f && layer[1] === 0x8b;
    return compressed ? gunzipSync(layer) : layer;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
