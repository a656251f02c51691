import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { labInputs } from "../lab/inputs.ts";
import { readLab } from "../lab/lab.ts";
import { type ActionRun, runAction } from "../runner/run-action.ts";
import { errorOf } from "./cluster-job.ts";
import { buildImage } from "./derived-image.ts";
import { docker, leftSince, machineNow, nothing, removeClusters } from "./machine.ts";

/** What a run warns of, other than of the lab's node images, which have no digest. */
const warningsOf = ({ annotations }: ActionRun) =>
  annotations.flatMap(({ level, message }) =>
    level === "warning" && !message.startsWith("The node image ") ? [message] : [],
  );

/** What kind says went wrong, without the times and process numbers in kubeadm's lines. */
const withoutTimes = (error: string) =>
  error.slice(error.indexOf("ERROR: ")).replaceAll(/\b([IWE])\d{4} [\d:.]+ +\d+ /g, "$1 ");

describe("a kubeadm that refuses what fast start sets", () => {
  const cluster = "e2e-fast-refused";
  const image = "kind-action-e2e/node:refusing";

  beforeAll(async () => {
    // No kubeadm that exists does, so this one is told to, before it asks the real one.
    const kubeadm = [
      "#!/bin/sh",
      "if grep -q unsafe-no-fsync /kind/kubeadm.conf; then",
      "  echo error: no such field: unsafe-no-fsync >&2",
      "  exit 1",
      "fi",
      'exec /usr/bin/kubeadm "$@"',
    ];
    const lines = kubeadm.map((line) => `'${line}'`).join(" ");
    const file = "/usr/local/bin/kubeadm";
    await buildImage(
      image,
      `FROM ${readLab().nodeImages.current.image}\nRUN printf '%s\\n' ${lines} >${file} && chmod +x ${file}\n`,
    );
  });

  afterAll(async () => {
    await removeClusters(cluster);
    await docker("rmi", "--force", image);
  });

  it("gets a configuration without it, and one warning says that the cluster is another", async () => {
    const before = await machineNow();
    const run = await runAction({
      inputs: { ...labInputs(), cluster_name: cluster, node_image: image },
      command: [
        ...["sh", "-euc"],
        `kubectl get nodes
        kubectl get daemonsets --namespace kube-system --output name
        docker exec ${cluster}-control-plane cat /kind/kubeadm.conf /etc/kubernetes/manifests/etcd.yaml`,
      ],
    });
    expect(run.exitCode, run.main.log).toBe(0);
    expect(warningsOf(run)).toEqual([
      "The cluster was made without fast start, because kubeadm refuses it (error: no such field: unsafe-no-fsync). Set `fast_start: false` to keep it from trying.",
    ]);
    // It works, and neither it nor what is told of it has anything of fast start.
    expect(run.command?.log).toMatch(new RegExp(`^${cluster}-control-plane +Ready `, "m"));
    expect(run.command?.log.match(/^daemonset\.apps\/.*$/gm)).toEqual([
      "daemonset.apps/kindnet",
      "daemonset.apps/kube-proxy",
    ]);
    expect(run.command?.log).toContain("--data-dir=/var/lib/etcd");
    expect(run.command?.log).not.toMatch(/fsync|leader-elect=false|kind-action/);
    expect(run.main.log).not.toContain("Fast start:");
    expect(run.summary).toContain(`Cluster \`${cluster}\`: ready after`);
    expect(run.summary).not.toContain("Fast start:");
    expect(await leftSince(before)).toEqual(nothing);
  });
});

describe("a kubeadm that refuses what the user sets", () => {
  const cluster = "e2e-user-refused";

  afterAll(() => removeClusters(cluster));

  it("fails the step with the same error as without fast start, and no word of that", async () => {
    const before = await machineNow();
    const config = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiServer:
    extraVolumes: none of them
`;
    const refused = (fast_start: string) =>
      runAction({
        inputs: { ...labInputs(), cluster_name: cluster, config, fast_start, logs: "never" },
        command: ["true"],
      });
    const fast = await refused("true");
    const plain = await refused("false");
    expect(fast.main.exitCode).toBe(1);
    expect(fast.command, "a step after a failed one does not run").toBeUndefined();
    expect(fast.post?.exitCode).toBe(0);
    expect(errorOf(fast)).toMatch(/`kind create cluster .*` failed with exit code 1:/);
    expect(errorOf(fast)).toContain(
      "cannot unmarshal string into Go struct field APIServer.apiServer.extraVolumes",
    );
    expect(withoutTimes(errorOf(fast))).toBe(withoutTimes(errorOf(plain)));
    expect(warningsOf(fast)).toEqual([]);
    expect(fast.summary).toContain(`Cluster \`${cluster}\`: failed after`);
    expect(fast.summary).not.toContain("Fast start:");
    expect(await leftSince(before)).toEqual(nothing);
  });
});
