import type { Readable } from "node:stream";
import * as z from "zod";

/** What a manifest, a config or a layer is named by. */
export const Descriptor = z
  .object({ mediaType: z.string(), digest: z.string(), size: z.number() })
  .readonly();
export type Descriptor = z.infer<typeof Descriptor>;

/** An image in a registry. */
export const RegistryImage = z
  .object({
    repository: z.string(),
    tag: z.string(),
    /** The first is what the tag names: the image's manifest, or an index of several, which follow. */
    manifests: z.tuple([Descriptor], Descriptor).readonly(),
    /** For this machine's platform. */
    config: Descriptor,
    /** For other platforms. Some clients read them, whatever they run on. */
    otherConfigs: z.array(Descriptor).readonly(),
    /** For this machine's platform, the lowest first. Those for others are nowhere. */
    layers: z.array(Descriptor).readonly(),
  })
  .readonly();
export type RegistryImage = z.infer<typeof RegistryImage>;

/** Bytes from `start` to `end`, both included. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** How many bytes are read and sent at a time. With a quarter of it, the same traffic costs three times the processor. */
export const pieceSize = 256 * 1024;

/** What a registry holds. */
export interface Images {
  readonly list: readonly RegistryImage[];
  /** The content that a descriptor of one of the images names. */
  read(digest: string, range: Range): Readable;
}

/** How much there is to bring: every config and layer once, compressed. */
export function totalSize({ list }: Images): number {
  const blobs = list.flatMap(({ config, layers }) => [config, ...layers]);
  const sizes = new Map(blobs.map(({ digest, size }) => [digest, size]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
