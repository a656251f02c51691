import { posix } from "node:path";
import { Header } from "tar/header";
import { Pax } from "tar/pax";
import { ArchiveError, adviseDockerSave, quote } from "./errors.ts";
import type { RandomAccessFile } from "./open-file.ts";

/** Where in the archive the bytes of a file are. */
export interface TarContent {
  readonly offset: number;
  readonly size: number;
}

type Member =
  | ({ readonly is: "file" } & TarContent)
  /** `to`: as a name in the archive; undefined for what is outside of it. */
  | { readonly is: "link"; readonly to: string | undefined; readonly target: string }
  /** What a tar may hold and an image is never made of. */
  | { readonly is: "other"; readonly kind: string };

const blockBytes = 512;
const zeros = Buffer.alloc(blockBytes);
/** An image of 127 layers, Docker's most, has some 400 members; this many would be somebody's whole file system. */
export const maxMembers = 50_000;
/** Long names and PAX records are held in memory; a real one is some hundred bytes. */
export const maxHeaderBytes = 1024 * 1024;
/** Linux takes no longer path (PATH_MAX). */
const longestName = 4_096;

/** What is where in a tar. Names are as in the tar, without `./` and doubled slashes. */
export class TarIndex {
  readonly #members: ReadonlyMap<string, Member>;

  constructor(members: ReadonlyMap<string, Member>) {
    this.#members = members;
  }

  /**
   * Finds a file, through symbolic and hard links.
   *
   * @returns undefined when nothing has the name
   * @throws Refused when what has the name is no file, or a link that leads to none
   */
  find(name: string): TarContent | undefined {
    const seen = new Set<string>();
    for (let at = clean(name); ; ) {
      const member = this.#members.get(at);
      if (member === undefined && seen.size === 0) return undefined;
      if (member === undefined)
        throw new ArchiveError(`${quote(name)} in it is a link to ${quote(at)}, which it does not hold`);
      if (member.is === "file") return member;
      if (member.is === "other")
        throw new ArchiveError(`${quote(name)} in it is ${member.kind}, and should be a plain file`);
      if (member.to === undefined)
        throw new ArchiveError(
          `${quote(name)} in it is a link to ${quote(member.target)}, which is outside of it`,
        );
      if (seen.has(at)) throw new ArchiveError(`${quote(name)} in it is a link that leads in a circle`);
      seen.add(at);
      at = member.to;
    }
  }
}

/**
 * Reads what is where in a tar: ustar, GNU (long names, base-256 sizes) and PAX. Reads the headers alone, and passes over
 * what is between them. Of members with one name the last counts, as for tar itself.
 *
 * @throws Refused when it is no tar, damaged, cut off, or larger than any image
 */
export async function readTarIndex(file: RandomAccessFile): Promise<TarIndex> {
  const members = new Map<string, Member>();
  let next: Announced = {};
  let position = 0;
  for (let headers = 0; position < file.size; headers++) {
    const header = await headerAt(file, position);
    if (header === undefined) break;
    if (headers === maxMembers)
      throw new ArchiveError(
        `it holds more than ${maxMembers} members, which no image does`,
        adviseDockerSave,
      );
    const offset = position + blockBytes;
    if (announcing.has(header.type)) {
      const size = sizeOf(header.size, offset, file, `the header at byte ${position}`);
      if (size > maxHeaderBytes)
        throw new ArchiveError(`its header at byte ${position} announces a name of ${size} bytes`);
      next = { ...next, ...announced(header.type, await file.bytes(offset, size)) };
      position = offset + padded(size);
      continue;
    }
    const name = next.path || header.path || "";
    const target = next.linkpath || header.linkpath || "";
    if (name.length > longestName || target.length > longestName)
      throw new ArchiveError(
        `its header at byte ${position} has a name of more than ${longestName} characters`,
      );
    const start = header.type === "SparseFile" ? await afterSparseMap(file, position) : offset;
    // Links, folders and devices have no content, whatever size they give: archive/tar of Go has it so as well.
    const size = bodiless.has(header.type) ? 0 : sizeOf(next.size ?? header.size, start, file, quote(name));
    members.set(clean(name), memberOf(header, name, target, { offset: start, size }, next.sparse ?? false));
    next = {};
    position = start + padded(size);
  }
  return new TarIndex(members);
}

/** What extended headers say of the member that follows them. */
interface Announced {
  readonly path?: string | undefined;
  readonly linkpath?: string | undefined;
  readonly size?: number | undefined;
  readonly sparse?: boolean;
}

type Type = Header["type"];
const announcing: ReadonlySet<Type> = new Set<Type>([
  "ExtendedHeader",
  "OldExtendedHeader",
  "GlobalExtendedHeader",
  "NextFileHasLongPath",
  "OldGnuLongPath",
  "NextFileHasLongLinkpath",
]);
const bodiless: ReadonlySet<Type> = new Set<Type>([
  "Link",
  "SymbolicLink",
  "Directory",
  "CharacterDevice",
  "BlockDevice",
  "FIFO",
]);

function announced(type: Type, bytes: Buffer): Announced {
  const text = bytes.toString();
  switch (type) {
    case "ExtendedHeader":
    case "OldExtendedHeader": {
      const { path, linkpath, size } = Pax.parse(text, {});
      return {
        ...(path ? { path } : {}),
        ...(linkpath ? { linkpath } : {}),
        ...(size === undefined ? {} : { size }),
        sparse: text.includes(" GNU.sparse."),
      };
    }
    case "NextFileHasLongLinkpath":
      return { linkpath: text.replace(/\0.*$/s, "") };
    case "NextFileHasLongPath":
    case "OldGnuLongPath":
      return { path: text.replace(/\0.*$/s, "") };
    default:
      // Global records hold the commit of a `git archive` and the like: nothing about one member.
      return {};
  }
}

function memberOf(
  header: Header,
  name: string,
  target: string,
  content: TarContent,
  sparse: boolean,
): Member {
  switch (header.type) {
    case "File":
    case "OldFile":
    case "ContiguousFile":
      return sparse ? { is: "other", kind: "a sparse file" } : { is: "file", ...content };
    case "Link":
      return { is: "link", to: inside(target), target };
    case "SymbolicLink":
      return {
        is: "link",
        to: target.startsWith("/") ? undefined : inside(posix.join(posix.dirname(name), target)),
        target,
      };
    default:
      return { is: "other", kind: kinds[header.type] ?? "of an unknown kind" };
  }
}

const kinds: Readonly<Partial<Record<Type, string>>> = {
  Directory: "a folder",
  CharacterDevice: "a device",
  BlockDevice: "a device",
  FIFO: "a named pipe",
  SparseFile: "a sparse file",
};

/** A name in the archive; undefined for what is not in any. */
function inside(path: string): string | undefined {
  const name = clean(path);
  return name.startsWith("/") || name === ".." || name.startsWith("../") ? undefined : name;
}

const clean = (name: string): string => posix.normalize(name).replace(/(?<=.)\/+$/, "");

/** @returns undefined at the end of the archive: two blocks of zeros, or the end of the file */
async function headerAt(file: RandomAccessFile, position: number): Promise<Header | undefined> {
  const block = await file.bytes(position, 2 * blockBytes);
  const first = block.subarray(0, blockBytes);
  if (isZero(first) && isZero(block.subarray(blockBytes))) return undefined;
  const header = first.length < blockBytes ? undefined : decoded(first);
  if (header?.cksumValid) return header;
  if (position === 0) throw new ArchiveError("it is not a tar archive", adviseDockerSave);
  if (first.length < blockBytes)
    throw new ArchiveError(`it is cut off after byte ${file.size}, within a header`);
  throw new ArchiveError(`it is damaged: there is no header at byte ${position}`);
}

function decoded(block: Buffer): Header | undefined {
  try {
    return new Header(block);
  } catch {
    // Numbers that are none.
    return undefined;
  }
}

const isZero = (block: Buffer) => block.equals(zeros.subarray(0, block.length));

function sizeOf(size: number | undefined, start: number, file: RandomAccessFile, what: string): number {
  if (size === undefined || !Number.isSafeInteger(size) || size < 0)
    throw new ArchiveError(`it is damaged: ${what} in it has no size`);
  if (start + size > file.size)
    throw new ArchiveError(
      `it is cut off: ${what} in it should end at byte ${start + size}, the file ends at ${file.size}`,
    );
  return size;
}

/** GNU's old sparse files have their map in the header, and in more blocks behind it if need be. */
async function afterSparseMap(file: RandomAccessFile, position: number): Promise<number> {
  const [inHeader, inBlock] = [482, 504];
  let more = (await file.bytes(position, blockBytes))[inHeader];
  let at = position + blockBytes;
  for (; more === 1; at += blockBytes) more = (await file.bytes(at, blockBytes))[inBlock];
  return at;
}

const padded = (size: number): number => Math.ceil(size / blockBytes) * blockBytes;
