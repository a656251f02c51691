import { Header } from "tar/header";
import { Pax } from "tar/pax";

/** The file in a tar of one file, which may have a header with more about it before its own. */
export function extractSingleFile(archive: Buffer): Buffer {
  const block = 512;
  for (let offset = 0; offset + block <= archive.length; ) {
    const { type, size = 0 } = new Header(archive, offset);
    const content = offset + block;
    if (type === "File") return archive.subarray(content, content + size);
    offset = content + Math.ceil(size / block) * block;
  }
  throw new Error("It is no file.");
}

/** A file's text, or where a symbolic link leads. */
export type TarFile = string | { readonly target: string };

/** A tar of files that belong to root. */
export function createTar(files: Readonly<Record<string, TarFile>>): Buffer {
  const members = Object.entries(files).flatMap(([name, file]) => {
    const isText = typeof file === "string";
    const text = Buffer.from(isText ? file : "");
    const names = { path: name.replace(/^\//, ""), ...(isText ? {} : { linkpath: file.target }) };
    const header = new Header({
      ...names,
      type: isText ? "File" : "SymbolicLink",
      mode: 0o644,
      size: text.length,
      uid: 0,
      gid: 0,
      mtime: new Date(0),
    });
    const member = Buffer.alloc(512 + Math.ceil(text.length / 512) * 512);
    const isCut = header.encode(member, 0);
    text.copy(member, 512);
    return isCut ? [new Pax(names).encode(), member] : [member];
  });
  return Buffer.concat([...members, Buffer.alloc(1024)]);
}
