import { keepProof, machine } from "../../bench/report.ts";
import { leftSince, machineNow } from "../e2e/machine.ts";
import { runAction } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";

/**
 * script/prove cancel: cancels main at every second of a run, so that each moment of making a cluster is hit, and
 * looks for what is left after post.
 */
const moments = Array.from({ length: 20 }, (_, index) => index + 0.5);
const rows: string[] = [];
let bad = 0;
for (const moment of moments) {
  const before = await machineNow();
  const run = await runAction({
    inputs: { ...labInputs(), cluster_name: "prove-cancel", logs: "never" },
    cancelAfter: moment,
    command: ["sleep", "60"],
  });
  const { containers, volumes, networks, processes } = await leftSince(before);
  const left = [...containers, ...volumes, ...networks, ...processes];
  const clean = left.length === 0 && run.jobStatus === "cancelled" && run.post?.exitCode === 0;
  if (!clean) bad++;
  const row = `| ${moment.toFixed(1)} s | ${run.main.seconds.toFixed(1)} s | ${run.post?.seconds.toFixed(1)} s | ${clean ? "nothing" : left.join(", ") || `${run.jobStatus}, post ${run.post?.exitCode}`} |`;
  rows.push(row);
  console.log(row);
}
const verdict =
  bad === 0 ? `All ${moments.length} left nothing.` : `${bad} of ${moments.length} left something.`;
console.log(verdict);
keepProof(
  "cancel",
  `# prove cancel

\`script/prove cancel\`: one node, main cancelled as the runner does it (SIGINT, 7.5 s, SIGTERM, 2.5 s, SIGKILL, to the
Node process alone), then post. ${machine()}

${verdict}

| cancelled after | main took | post took | left on the machine |
|--:|--:|--:|---|
${rows.join("\n")}
`,
);
process.exitCode = bad === 0 ? 0 : 1;
