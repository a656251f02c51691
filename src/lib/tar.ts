import { Header } from "tar/header";
import { Pax } from "tar/pax";

const blockBytes = 512;

/** Returns the zero bytes that fill the last block of a file. @param size of the file, in bytes */
export const tarPadding = (size: number): Buffer =>
  Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);

/** Returns the end-of-archive marker: two blocks of zeros. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * blockBytes);

/**
 * Returns the header of a file or symbolic link owned by root, with mode 0644. The content and {@link tarPadding} follow it.
 *
 * @param member.linkpath target of a symbolic link; undefined for a file
 */
export function tarHeader(member: { path: string; size: number; linkpath?: string }): Buffer {
  const names = { path: member.path, ...(member.linkpath !== undefined && { linkpath: member.linkpath }) };
  const header = new Header({
    ...names,
    type: member.linkpath === undefined ? "File" : "SymbolicLink",
    mode: 0o644,
    size: member.size,
    uid: 0,
    gid: 0,
    mtime: new Date(0),
  });
  const block = Buffer.alloc(blockBytes);
  const needsPax = header.encode(block, 0);
  return needsPax ? Buffer.concat([new Pax(names).encode(), block]) : block;
}

/** The content of a file, or the target of a symbolic link. */
export type TarFile = string | Buffer | { readonly target: string };

/** Returns the complete member of a tar archive: header, content and padding. */
export function tarMember(path: string, file: TarFile): Buffer {
  if (typeof file === "object" && "target" in file)
    return tarHeader({ path, size: 0, linkpath: file.target });
  const content = Buffer.from(file);
  return Buffer.concat([tarHeader({ path, size: content.length }), content, tarPadding(content.length)]);
}

/**
 * Creates a tar archive of files owned by root.
 *
 * @param files by path; a leading slash is dropped
 */
export const createTar = (files: Readonly<Record<string, TarFile>>): Buffer =>
  Buffer.concat([
    ...Object.entries(files).map(([path, file]) => tarMember(path.replace(/^\//, ""), file)),
    tarEnd(),
  ]);

/**
 * Returns the content of the first regular file in a tar archive. Extended headers before it are skipped.
 *
 * @throws Error when the archive has no regular file
 */
export function extractSingleFile(archive: Buffer): Buffer {
  for (let offset = 0; offset + blockBytes <= archive.length; ) {
    const { type, size = 0, nullBlock } = new Header(archive, offset);
    if (nullBlock) break;
    const content = offset + blockBytes;
    if (type === "File") return archive.subarray(content, content + size);
    offset = content + Math.ceil(size / blockBytes) * blockBytes;
  }
  throw new Error("The tar archive contains no regular file.");
}
