import { keepProof, machine } from "../../bench/report.ts";
import { leftSince, machineNow } from "../e2e/machine.ts";
import { labInputs } from "../lab/inputs.ts";
import { runAction } from "../runner/run-action.ts";

/** script/prove high-availability: three control planes behind kind's load balancer and a worker, made and removed. */
const before = await machineNow();
const run = await runAction({
  inputs: {
    ...labInputs(),
    cluster_name: "prove-ha",
    config: `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: control-plane
- role: control-plane
- role: worker
`,
    wait: "10m",
  },
  command: ["kubectl", "get", "nodes"],
  print: (line) => console.log(line),
});
const { containers, volumes, networks, processes } = await leftSince(before);
const left = [...containers, ...volumes, ...networks, ...processes];
const nodes: { name: string; role: string }[] = JSON.parse(run.outputs.nodes ?? "[]");
const roles = nodes.map(({ role }) => role).toSorted();
const good =
  run.exitCode === 0 &&
  left.length === 0 &&
  roles.join() === "control-plane,control-plane,control-plane,worker";
keepProof(
  "high-availability",
  `# prove high-availability

\`script/prove high-availability\`: three control planes, their load balancer and a worker. ${machine()}

${good ? "Ready, listed as four nodes, and nothing left after post." : `Failed: exit code ${run.exitCode}, nodes ${roles.join(", ")}, left ${left.join(", ")}`}

- main: ${run.main.seconds.toFixed(1)} s, post: ${run.post?.seconds.toFixed(1)} s
- network output: \`${run.outputs.network}\`

\`\`\`text
${run.command?.log.trim()}
\`\`\`
`,
);
process.exitCode = good ? 0 : 1;
