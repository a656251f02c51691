// Checks the names of src/: none with a banned word, no type that shadows a global, no two exports of one name.
import { resolve } from "node:path";
import { allowedIn, bannedWords, globalNames } from "./banned.ts";
import { readNames, wordsOf } from "./names.ts";

const names = readNames(resolve(import.meta.dirname, "../.."));
const problems = names.flatMap(({ name, file, kind }) => [
  ...wordsOf(name)
    .filter((word) => Object.hasOwn(bannedWords, word) && !allowedIn[file]?.includes(word))
    .map((word) => `${file}: ${kind} "${name}": instead of "${word}" use: ${bannedWords[word]}`),
  ...(kind === "type" && globalNames.includes(name) ? [`${file}: type ${name} shadows a global`] : []),
]);
const exported = Map.groupBy(
  names.filter(({ kind }) => kind === "export"),
  ({ name }) => name,
);
for (const [name, places] of exported)
  if (places.length > 1)
    problems.push(`${name} is exported by ${places.map(({ file }) => file).join(" and ")}`);

for (const problem of [...new Set(problems)]) console.log(problem);
console.log(`${names.length} names, ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
