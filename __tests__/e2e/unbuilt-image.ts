import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { arch } from "node:os";
import { dockerSaveOld, imageOf, type Sample } from "../archive/archives.ts";
import { tar } from "../archive/tar-files.ts";

const platform = `linux/${arch() === "arm64" ? "arm64" : "amd64"}`;

/** An image that was never built and cannot run: a layer of random bytes for each size. */
export const unbuiltImage = (sizes: readonly number[], forPlatform = platform): Sample =>
  imageOf(
    sizes.map((size) => tar([{ name: "file", content: randomBytes(size) }])),
    forPlatform,
  );

/** Such an image as `docker save` writes it. */
export const unbuiltArchive = (
  name: string,
  sizes: readonly number[] = [500_000, 500_000],
  forPlatform = platform,
): Buffer => tar(dockerSaveOld([{ image: unbuiltImage(sizes, forPlatform), tags: [name] }]));

/** The same, as a file. */
export const writeUnbuilt = (name: string, path: string, sizes?: readonly number[]): Promise<void> =>
  writeFile(path, unbuiltArchive(name, sizes));
