import { posix } from "node:path";
import { Header } from "tar/header";
import { Pax } from "tar/pax";
import { quote } from "../lib/quote.ts";
import { ArchiveError, adviseDockerSave } from "./errors.ts";
import type { RandomAccessFile } from "./open-file.ts";

/** The position of a file's content in the archive, in bytes. */
export interface TarContent {
  readonly offset: number;
  readonly size: number;
}

type Member =
  | ({ readonly type: "file" } & TarContent)
  /** `path`: name of the target in the archive; undefined if the target is outside the archive. */
  | { readonly type: "link"; readonly path: string | undefined; readonly target: string }
  /** A member that an image archive does not need, such as a directory. `description` is for messages. */
  | { readonly type: "other"; readonly description: string };

const blockBytes = 512;
const zeros = Buffer.alloc(blockBytes);
/** Maximum number of members. An image of 127 layers, Docker's maximum, has about 400. */
export const maxMembers = 50_000;
/** Maximum size of a long name or a PAX record, which is read into memory, in bytes. Real ones have some hundred. */
export const maxHeaderBytes = 1024 * 1024;
/** PATH_MAX of Linux, in characters. */
const maxNameLength = 4_096;

/** The index of a tar archive. Names are normalized: without `./` and double slashes. */
export class TarIndex {
  readonly #members: ReadonlyMap<string, Member>;

  constructor(members: ReadonlyMap<string, Member>) {
    this.#members = members;
  }

  /**
   * Finds a file. Symbolic and hard links are followed.
   *
   * @returns undefined when there is no member with the name
   * @throws ArchiveError when the member is neither a regular file nor a link to one in the archive
   */
  find(name: string): TarContent | undefined {
    const seen = new Set<string>();
    for (let path = normalize(name); ; ) {
      const member = this.#members.get(path);
      if (member === undefined && seen.size === 0) return undefined;
      if (member === undefined)
        throw new ArchiveError(
          `${quote(name)} is a link to ${quote(path)}, which the archive does not contain`,
        );
      if (member.type === "file") return member;
      if (member.type === "other")
        throw new ArchiveError(`${quote(name)} is ${member.description}, not a regular file`);
      if (member.path === undefined)
        throw new ArchiveError(
          `${quote(name)} is a link to ${quote(member.target)}, which is outside the archive`,
        );
      if (seen.has(path)) throw new ArchiveError(`${quote(name)} is a link in a cycle of links`);
      seen.add(path);
      path = member.path;
    }
  }
}

/**
 * Reads the index of a tar archive: ustar, GNU (long names, base-256 sizes) and PAX. Only headers are read. Of several
 * members with the same name the last one is used, as by tar.
 *
 * @throws ArchiveError when it is not a tar archive, is corrupt or truncated, or has more members than any image
 */
export async function readTarIndex(file: RandomAccessFile): Promise<TarIndex> {
  const members = new Map<string, Member>();
  let extended: ExtendedHeader = {};
  let position = 0;
  for (let headers = 0; position < file.size; headers++) {
    const header = await headerAt(file, position);
    if (header === undefined) break;
    if (headers === maxMembers)
      throw new ArchiveError(
        `the archive has more than ${maxMembers} members; no image has that many`,
        adviseDockerSave,
      );
    const offset = position + blockBytes;
    if (extendedTypes.has(header.type)) {
      const size = sizeOf(header.size, offset, file, `the header at byte ${position}`);
      if (size > maxHeaderBytes)
        throw new ArchiveError(
          `the header at byte ${position} declares an extended header of ${size} bytes; the maximum is ${maxHeaderBytes}`,
        );
      extended = { ...extended, ...parseExtendedHeader(header.type, await file.bytes(offset, size)) };
      position = offset + padded(size);
      continue;
    }
    const name = extended.path || header.path || "";
    const target = extended.linkpath || header.linkpath || "";
    if (name.length > maxNameLength || target.length > maxNameLength)
      throw new ArchiveError(
        `the header at byte ${position} has a name longer than ${maxNameLength} characters`,
      );
    const start = header.type === "SparseFile" ? await afterSparseMap(file, position) : offset;
    // Links, directories and devices have no content, whatever their size field says, as in archive/tar of Go.
    const size = typesWithoutContent.has(header.type)
      ? 0
      : sizeOf(extended.size ?? header.size, start, file, quote(name));
    members.set(
      normalize(name),
      memberOf(header, name, target, { offset: start, size }, extended.sparse ?? false),
    );
    extended = {};
    position = start + padded(size);
  }
  return new TarIndex(members);
}

/** The fields of extended headers, for the next member. */
interface ExtendedHeader {
  readonly path?: string | undefined;
  readonly linkpath?: string | undefined;
  readonly size?: number | undefined;
  readonly sparse?: boolean;
}

type Type = Header["type"];
const extendedTypes: ReadonlySet<Type> = new Set<Type>([
  "ExtendedHeader",
  "OldExtendedHeader",
  "GlobalExtendedHeader",
  "NextFileHasLongPath",
  "OldGnuLongPath",
  "NextFileHasLongLinkpath",
]);
const typesWithoutContent: ReadonlySet<Type> = new Set<Type>([
  "Link",
  "SymbolicLink",
  "Directory",
  "CharacterDevice",
  "BlockDevice",
  "FIFO",
]);

function parseExtendedHeader(type: Type, bytes: Buffer): ExtendedHeader {
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
      // Global records, such as the commit of `git archive`, do not describe a member.
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
      return sparse ? { type: "other", description: "a sparse file" } : { type: "file", ...content };
    case "Link":
      return { type: "link", path: pathInArchive(target), target };
    case "SymbolicLink":
      return {
        type: "link",
        path: target.startsWith("/") ? undefined : pathInArchive(posix.join(posix.dirname(name), target)),
        target,
      };
    default:
      return { type: "other", description: descriptions[header.type] ?? "of an unknown type" };
  }
}

const descriptions: Readonly<Partial<Record<Type, string>>> = {
  Directory: "a directory",
  CharacterDevice: "a device",
  BlockDevice: "a device",
  FIFO: "a named pipe",
  SparseFile: "a sparse file",
};

/** Normalizes the path of a member; undefined if it is outside the archive. */
function pathInArchive(path: string): string | undefined {
  const name = normalize(path);
  return name.startsWith("/") || name === ".." || name.startsWith("../") ? undefined : name;
}

const normalize = (name: string): string => posix.normalize(name).replace(/(?<=.)\/+$/, "");

/** Reads a header; undefined at the end of the archive: two blocks of zeros, or the end of the file. */
async function headerAt(file: RandomAccessFile, position: number): Promise<Header | undefined> {
  const block = await file.bytes(position, 2 * blockBytes);
  const first = block.subarray(0, blockBytes);
  if (isZero(first) && isZero(block.subarray(blockBytes))) return undefined;
  const header = first.length < blockBytes ? undefined : decodeHeader(first);
  if (header?.cksumValid) return header;
  if (position === 0) throw new ArchiveError("the file is not a tar archive", adviseDockerSave);
  if (first.length < blockBytes)
    throw new ArchiveError(`the archive is truncated after byte ${file.size}, within a header`);
  throw new ArchiveError(`the archive is corrupt: there is no valid header at byte ${position}`);
}

function decodeHeader(block: Buffer): Header | undefined {
  try {
    return new Header(block);
  } catch {
    // Invalid numbers.
    return undefined;
  }
}

const isZero = (block: Buffer) => block.equals(zeros.subarray(0, block.length));

function sizeOf(size: number | undefined, start: number, file: RandomAccessFile, name: string): number {
  if (size === undefined || !Number.isSafeInteger(size) || size < 0)
    throw new ArchiveError(`the archive is corrupt: ${name} has no valid size`);
  if (start + size > file.size)
    throw new ArchiveError(
      `the archive is truncated: ${name} should end at byte ${start + size}, but the file ends at byte ${file.size}`,
    );
  return size;
}

/** Returns the position after the map of an old GNU sparse file, which is in the header and in further blocks. */
async function afterSparseMap(file: RandomAccessFile, position: number): Promise<number> {
  // The offsets of the flag "another block follows".
  const [flagInHeader, flagInBlock] = [482, 504];
  let another = (await file.bytes(position, blockBytes))[flagInHeader];
  let end = position + blockBytes;
  for (; another === 1; end += blockBytes) another = (await file.bytes(end, blockBytes))[flagInBlock];
  return end;
}

const padded = (size: number): number => Math.ceil(size / blockBytes) * blockBytes;
