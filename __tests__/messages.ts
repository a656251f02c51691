import { globSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseSync } from "@swc/core";

/** A message in src/. Inserted values, and the end of a text that is joined at run time, are `…`. */
export interface Message {
  readonly file: string;
  readonly text: string;
  /** Whether it is only a line in the log, or the title of a task. */
  readonly isLogLine: boolean;
}

type Node = Readonly<Record<string, unknown>>;
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null;
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Three words in a row, of which inserted values count as words: a shorter text is a name, a key or a fragment. */
const isProse = (text: string): boolean =>
  /(?:[\w`"'(…/-]+[,:)"`]* ){2}[\w`"'(…/-]/.test(text) &&
  (text.match(/\b[A-Za-z][a-z]+\b/g) ?? []).length >= 2;

/** Functions whose first argument is a line in the log or a title, and those whose arguments the user never sees. */
const logFunctions = /(?:^|\.)(?:line|info)$|(?:^|\.)graph\.add$|^attempt$/;
const silentFunctions = /^(?:RegExp|includes|exec|test|URL|split|join|replaceAll)$|^z\./;

/** Error classes that take a remedy after the reason, which is not a message of its own: the number of the argument. */
const remedies: Readonly<Record<string, number>> = { ArchiveError: 1, InvalidArchiveError: 2 };

/** Reads the messages of src/: string and template literals with at least three words. @param root of the repository */
export function readMessages(root: string): Message[] {
  const files = globSync("src/**/*.ts", { cwd: root, exclude: ["src/node/containerd/generated/**"] });
  return files.toSorted().flatMap((file) => {
    const { body } = parseSync(readFileSync(resolve(root, file), "utf8"), {
      syntax: "typescript",
      target: "es2024",
    });
    return [...literalsIn(body, false)]
      .filter(({ text }) => isProse(text))
      .map(({ text, isLogLine }) => ({ file, text: text.replace(/\s*\n-?\s*/g, " "), isLogLine }));
  });
}

type Literal = Omit<Message, "file">;

/** Nodes without code: types and imports. */
const notCode = /^(?:Import|Ts(?!AsExpression|ConstAssertion|NonNullExpression|SatisfiesExpression))/;

function* literalsIn(node: unknown, isLogLine: boolean): Generator<Literal> {
  if (Array.isArray(node)) {
    for (const each of node) yield* literalsIn(each, isLogLine);
    return;
  }
  if (!isNode(node) || notCode.test(String(node.type))) return;
  const text = textOf(node);
  if (text !== undefined) yield { text: text.replace(/…+/g, "…"), isLogLine };
  if (text === undefined && (node.type === "CallExpression" || node.type === "NewExpression")) {
    const name = nameOf(node.callee);
    yield* literalsIn(node.callee, isLogLine);
    if (silentFunctions.test(name) || silentFunctions.test(name.split(".").at(-1) ?? "")) return;
    for (const [index, argument] of list(node.arguments).entries())
      if (index !== remedies[name]) yield* literalsIn(argument, isLogLine || logFunctions.test(name));
    return;
  }
  for (const child of childrenOf(node, text)) yield* literalsIn(child, isLogLine);
}

/** The children that can contain further literals: in a literal, the inserted values. */
function childrenOf(node: Node, text: string | undefined): readonly unknown[] {
  if (text === undefined) return Object.values(node);
  if (node.type === "BinaryExpression")
    return [node.left, node.right].flatMap((side) => (isNode(side) ? childrenOf(side, textOf(side)) : []));
  return list(node.expressions);
}

/** The text of a literal, or of several that are joined with `+`. */
function textOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === "StringLiteral") return String(node.value);
  if (node.type === "TemplateLiteral")
    return list(node.quasis)
      .map((each) => (isNode(each) ? String(each.cooked) : ""))
      .join("…");
  if (node.type !== "BinaryExpression" || node.operator !== "+") return undefined;
  const [left, right] = [textOf(node.left), textOf(node.right)];
  return left === undefined && right === undefined ? undefined : `${left ?? "…"}${right ?? "…"}`;
}

/** The name of a function as it is called: `log.line`, `ArchiveError`. */
function nameOf(callee: unknown): string {
  if (!isNode(callee)) return "";
  if (callee.type === "MemberExpression") {
    const property = isNode(callee.property) ? String(callee.property.value) : "";
    return `${nameOf(callee.object)}.${property}`;
  }
  return callee.type === "Identifier" ? String(callee.value) : "";
}

/** Whether a line of the documentation is, or contains, a message: `…` in either stands for any text. */
export function quotes(line: string, message: string): boolean {
  return matches(line, message) || matches(message, line) || containsInOrder(line, fixedParts(message));
}

/** Whether all fixed parts of a line, of which there is at least one, occur in a message. */
export const isPartOf = (line: string, message: string): boolean =>
  fixedParts(line).length > 0 && containsInOrder(message, fixedParts(line));

const matches = (pattern: string, text: string): boolean =>
  new RegExp(`^${pattern.split("…").map(escapeRegExp).join(".*")}$`).test(text);

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

const fixedParts = (text: string): string[] =>
  text
    .split("…")
    .map((part) => part.trim())
    .filter((part) => /\w/.test(part));

function containsInOrder(text: string, parts: readonly string[]): boolean {
  let from = 0;
  for (const part of parts) {
    const at = text.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return true;
}
