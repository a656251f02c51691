import { keepProof, machine } from "../../bench/report.ts";
import { leftSince, machineNow } from "../e2e/machine.ts";
import { runAction } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";

/** Stops the control plane that leads, and makes what needs new leaders: of etcd's members, controllers and schedulers. */
const losesItsLeader = `set -e
leader() { kubectl get lease "$1" --namespace kube-system --output 'jsonpath={.spec.holderIdentity}' | sed 's/_.*//'; }
kubectl get nodes
before=$(leader kube-controller-manager)
echo "Leaders: controllers $before, scheduler $(leader kube-scheduler)"
docker stop --time 0 "$before" >/dev/null
began=$SECONDS
until after=$(leader kube-controller-manager) && [[ -n $after && $after != "$before" ]] &&
  scheduler=$(leader kube-scheduler) && [[ $scheduler != "$before" ]]; do
  if ((SECONDS - began > 120)); then exit 1; fi
  sleep 1
done 2>/dev/null
echo "Leaders $((SECONDS - began)) s after $before was stopped: controllers $after, scheduler $scheduler"
image=$(docker exec prove-ha-worker ctr --namespace k8s.io images ls --quiet | grep --max-count 1 local-path-helper)
kubectl create deployment web --image "$image" --replicas 2 -- sleep infinity
kubectl rollout status deployment/web --timeout 120s
docker start "$before" >/dev/null
kubectl wait --for=condition=Ready --timeout 180s "node/$before"
kubectl get nodes
`;

/**
 * script/prove high-availability: three control planes behind kind's load balancer and a worker, made, deprived of the
 * leader, and removed.
 */
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
  command: ["bash", "-c", losesItsLeader],
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

\`script/prove high-availability\`: three control planes, their load balancer and a worker; the leading control plane is
stopped, others take over, and it comes back. ${machine()}

${good ? "Ready, listed as four nodes, and nothing left after post." : `Failed: exit code ${run.exitCode}, nodes ${roles.join(", ")}, left ${left.join(", ")}`}

- main: ${run.main.seconds.toFixed(1)} s, post: ${run.post?.seconds.toFixed(1)} s
- network output: \`${run.outputs.network}\`

\`\`\`text
${run.command?.log.trim()}
\`\`\`
`,
);
process.exitCode = good ? 0 : 1;
