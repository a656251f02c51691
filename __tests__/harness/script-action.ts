import { symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const prelude = `import { appendFileSync } from "node:fs";
const { env } = process;
const tell = (file, line) => appendFileSync(env["GITHUB_" + file], line + "\\n");
const forever = () => new Promise((resolve) => setTimeout(resolve, 60_000));
`;

/**
 * Makes an action of two scripts, for the running test. They can import this project's packages. `tell` writes a line to
 * a command file, `forever` is more patient than a test.
 */
export async function scriptAction(main: string, post = ""): Promise<string> {
  const folder = temporaryFolder();
  const metadata = {
    inputs: {
      number: { default: 1.5 },
      "two words": {},
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is GitHub's syntax
      job_status: { default: "${{ job.status }}" },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is GitHub's syntax
      matrix: { default: "${{ toJSON(matrix) }}" },
    },
    runs: { using: "node24", main: "main.mjs", post: "post.mjs" },
  };
  await writeFile(join(folder, "action.yml"), JSON.stringify(metadata));
  await writeFile(join(folder, "main.mjs"), prelude + main);
  await writeFile(join(folder, "post.mjs"), prelude + post);
  await symlink(resolve(import.meta.dirname, "../../node_modules"), join(folder, "node_modules"));
  return folder;
}
