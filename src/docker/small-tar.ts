import { Header } from "tar/header";

/** The file in a tar of one file, which may have a header with more about it before its own. */
export function onlyFile(archive: Buffer): Buffer {
  const block = 512;
  for (let offset = 0; offset + block <= archive.length; ) {
    const { type, size = 0 } = new Header(archive, offset);
    const content = offset + block;
    if (type === "File") return archive.subarray(content, content + size);
    offset = content + Math.ceil(size / block) * block;
  }
  throw new Error("It is no file.");
}

/** A tar of files that belong to root. */
export function tarOf(files: Readonly<Record<string, string>>): Buffer {
  const blocks = Object.entries(files).flatMap(([path, text]) => {
    const content = Buffer.from(text);
    const header = new Header({
      path: path.replace(/^\//, ""),
      mode: 0o644,
      size: content.length,
      type: "File",
      uid: 0,
      gid: 0,
      mtime: new Date(0),
    });
    const block = Buffer.alloc(512 + Math.ceil(content.length / 512) * 512);
    header.encode(block, 0);
    content.copy(block, 512);
    return [block];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
