import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ActionRun, runAction } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";
import { readLab } from "../lab/lab.ts";
import { errorOf } from "./cluster-job.ts";
import { buildImage } from "./derived-image.ts";
import { docker, leftSince, type Machine, machineNow, nothing, removeClusters } from "./machine.ts";

/** What a run warns of, other than of the lab's node images, which have no digest. */
const warningsOf = ({ annotations }: ActionRun) =>
  annotations.flatMap(({ level, message }) =>
    level === "warning" && !message.startsWith("The node image ") ? [message] : [],
  );

/** What kind says went wrong, without the times and process numbers in kubeadm's lines. */
const withoutTimes = (error: string) =>
  error.slice(error.indexOf("ERROR: ")).replaceAll(/\b([IWE])\d{4} [\d:.]+ +\d+ /g, "$1 ");

/** What one of them calls itself, and the Docker network that it has for itself: others come and go meanwhile. */
const named = (cluster: string) => ({
  inputs: { ...labInputs(), cluster_name: cluster },
  env: { KIND_EXPERIMENTAL_DOCKER_NETWORK: cluster },
});

describe("a kubeadm that rejects a configuration", () => {
  const refusing = "e2e-fast-refused";
  const [fastName, plainName] = ["e2e-user-refused-fast", "e2e-user-refused-plain"];
  const image = "kind-action-e2e/node:refusing";
  let before: Machine;

  beforeAll(async () => {
    before = await machineNow();
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
    const clusters = [refusing, fastName, plainName];
    await removeClusters(...clusters);
    // Those of runs that went wrong.
    await docker("network", "rm", ...clusters).catch(() => []);
    await docker("rmi", "--force", image);
  });

  it.concurrent("creates the cluster without fast start if fast start's setting is rejected, with one warning", async () => {
    const { inputs, env } = named(refusing);
    const run = await runAction({
      inputs: { ...inputs, node_image: image },
      env,
      command: [
        ...["sh", "-euc"],
        `kubectl get nodes
        kubectl get daemonsets --namespace kube-system --output name
        docker exec ${refusing}-control-plane cat /kind/kubeadm.conf /etc/kubernetes/manifests/etcd.yaml`,
      ],
    });
    expect(run.exitCode, run.main.log).toBe(0);
    expect(warningsOf(run)).toEqual([
      "The cluster was created without fast start, because kubeadm rejected its configuration: error: no such field: unsafe-no-fsync. Set `fast_start: false` to skip the first attempt.",
    ]);
    // It works, and neither it nor what is told of it has anything of fast start.
    expect(run.command?.log).toMatch(new RegExp(`^${refusing}-control-plane +Ready `, "m"));
    expect(run.command?.log.match(/^daemonset\.apps\/.*$/gm)).toEqual([
      "daemonset.apps/kindnet",
      "daemonset.apps/kube-proxy",
    ]);
    expect(run.command?.log).toContain("--data-dir=/var/lib/etcd");
    expect(run.command?.log).not.toMatch(/fsync|leader-elect=false|kind-action/);
    expect(run.main.log).not.toContain("Fast start:");
    expect(run.summary).toContain(`Cluster \`${refusing}\`: ready after`);
    expect(run.summary).not.toContain("Fast start:");
  });

  it.concurrent("fails the step if the user's setting is rejected, with the same error as without fast start", async () => {
    const config = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiServer:
    extraVolumes: none of them
`;
    const refused = (cluster: string, fast_start: string) => {
      const { inputs, env } = named(cluster);
      return runAction({
        inputs: { ...inputs, config, fast_start, logs: "never" },
        env,
        command: ["true"],
      });
    };
    const [fast, plain] = await Promise.all([refused(fastName, "true"), refused(plainName, "false")]);
    expect(fast.main.exitCode).toBe(1);
    expect(fast.command, "a step after a failed one does not run").toBeUndefined();
    expect(fast.post?.exitCode).toBe(0);
    expect(errorOf(fast)).toMatch(/`kind create cluster .*` failed with exit code 1:/);
    expect(errorOf(fast)).toContain(
      "cannot unmarshal string into Go struct field APIServer.apiServer.extraVolumes",
    );
    const plainError = withoutTimes(errorOf(plain)).replaceAll(plainName, fastName);
    expect(withoutTimes(errorOf(fast))).toBe(plainError);
    expect(warningsOf(fast)).toEqual([]);
    expect(fast.summary).toContain(`Cluster \`${fastName}\`: failed after`);
    expect(fast.summary).not.toContain("Fast start:");
  });

  it("leaves nothing behind", async () => {
    expect(await leftSince(before)).toEqual(nothing);
  });
});
