import { globSync, readFileSync } from "node:fs";
import { parseSync } from "@swc/core";

/** A name or a task's title, and the file that it is in. */
export interface Name {
  readonly name: string;
  readonly file: string;
  readonly kind: "file" | "export" | "type" | "member" | "parameter" | "title";
}

type Node = Readonly<Record<string, unknown>>;
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null;

const kinds: Readonly<Record<string, Name["kind"]>> = {
  TsInterfaceDeclaration: "type",
  TsTypeAliasDeclaration: "type",
  ClassDeclaration: "type",
  TsPropertySignature: "member",
  TsMethodSignature: "member",
  ClassMethod: "member",
  ClassProperty: "member",
  PrivateMethod: "member",
  PrivateProperty: "member",
  Parameter: "parameter",
};

/** The identifier that a declaration declares. */
function declaredName(node: Node): string | undefined {
  const named = [node.id, node.identifier, node.key, node.pat].find(isNode);
  const value = named?.value ?? (isNode(named?.id) ? named.id.value : undefined);
  return typeof value === "string" ? value : undefined;
}

function* namesIn(node: unknown, file: string): Generator<Name> {
  if (Array.isArray(node)) for (const each of node) yield* namesIn(each, file);
  if (!isNode(node) || Array.isArray(node)) return;
  const kind = kinds[String(node.type)];
  const name = declaredName(node);
  if (kind !== undefined && name !== undefined) yield { name, file, kind };
  if (node.type === "ExportDeclaration") yield* exportsOf(node.declaration, file);
  for (const value of Object.values(node)) yield* namesIn(value, file);
}

function* exportsOf(declaration: unknown, file: string): Generator<Name> {
  if (!isNode(declaration)) return;
  const declared = Array.isArray(declaration.declarations) ? declaration.declarations : [declaration];
  for (const each of declared) {
    const name = isNode(each) ? declaredName(each) : undefined;
    if (name !== undefined) yield { name, file, kind: "export" };
  }
}

/** The names that src/ declares for others to read, and the titles of its tasks. @param cwd the folder that has src/ */
export function readNames(cwd: string): Name[] {
  const files = globSync("src/**/*.ts", { cwd, exclude: ["src/node/containerd/generated/**"] });
  return files.flatMap((file) => {
    const text = readFileSync(`${cwd}/${file}`, "utf8");
    const titles = [...text.matchAll(/\b(?:add|attempt)\((?:graph, ctx, )?\s*"([^"]+)"/g)];
    return [
      { name: file.replace(/^src\/|\.ts$/g, ""), file, kind: "file" } as const,
      ...namesIn(parseSync(text, { syntax: "typescript", target: "es2024" }).body, file),
      ...titles.map(([, title = ""]) => ({ name: title, file, kind: "title" }) as const),
    ];
  });
}

/** The words of a name: it is split at capitals, spaces and punctuation. */
export const wordsOf = (name: string): string[] =>
  name
    .split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/)
    .map((word) => word.toLowerCase());
