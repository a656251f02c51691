import { createHash } from "node:crypto";

/** A member of a tar to write. */
export interface Member {
  readonly name: string;
  readonly content?: Buffer;
  /** Default: `file`. */
  readonly kind?: keyof typeof typeFlags;
  /** Target of a link. */
  readonly target?: string;
  /** Size in the header, as a number or as the bytes of the field. Default: that of the content. */
  readonly size?: number | Buffer;
  /** Default: `ustar`. */
  readonly format?: "ustar" | "gnu" | "v7";
}

const typeFlags = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  characterDevice: "3",
  blockDevice: "4",
  folder: "5",
  fifo: "6",
  pax: "x",
  globalPax: "g",
  longName: "L",
  longTarget: "K",
  sparse: "S",
  volume: "V",
};

/** Writes a tar, which may be invalid. */
export function tar(members: readonly Member[]): Buffer {
  const blocks = members.flatMap((member) => {
    const content = member.content ?? Buffer.alloc(0);
    return [header(member), content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function header({ name, content, kind = "file", target = "", size, format = "ustar" }: Member): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0, 100);
  block.write("0000644\0", 100);
  const bytes = size ?? content?.length ?? 0;
  if (typeof bytes === "number") block.write(`${bytes.toString(8).padStart(11, "0")}\0`, 124);
  else bytes.copy(block, 124);
  block.write("00000000000\0", 136);
  block.write(typeFlags[kind], 156);
  block.write(target, 157, 100);
  block.write({ ustar: "ustar\x0000", gnu: "ustar  \0", v7: "" }[format], 257, "latin1");
  return withChecksum(block);
}

/** Sets the checksum of a header. */
export function withChecksum(block: Buffer): Buffer {
  block.fill(" ", 148, 156);
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** A PAX extended header for the next member. */
export const pax = (
  records: Readonly<Record<string, string>>,
  kind: "pax" | "globalPax" = "pax",
): Member => ({
  name: "PaxHeaders/x",
  kind,
  content: Buffer.concat(Object.entries(records).map(([key, value]) => record(`${key}=${value}\n`))),
});

function record(text: string): Buffer {
  const bytes = Buffer.byteLength(text) + 1;
  const length = bytes + String(bytes + String(bytes).length).length;
  return Buffer.from(`${length} ${text}`);
}

/** Pseudo-random bytes of a seed. */
export function noise(seed: string, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHash("sha256").update(`${seed}/${index}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}
