/**
 * What protobuf-ts generated, as node runs it without a compiler: imports name files, and an enum is an object with a
 * type of the same name. What it adds to messages of google.protobuf lacks `override`, and is not checked.
 */
export function erasable(source: string): string {
  const code = source
    .replaceAll(/ from "(\.{1,2}\/[^"]+)";$/gm, ' from "$1.ts";')
    .replaceAll(
      /^export enum (\w+) \{\n(.*?)^\}$/gms,
      (_, name: string, members: string) =>
        `export const ${name} = {\n${members.replaceAll(/^( *\w+) = (-?\d+)/gm, "$1: $2")}} as const;\n` +
        `export type ${name} = (typeof ${name})[keyof typeof ${name}];`,
    );
  return source.includes('(package "google.protobuf"') ? `// @ts-nocheck\n${code}` : code;
}
