import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseClusterConfig, renderClusterConfig } from "../src/cluster/config.ts";
import { fastStartSettings, manifestPatchesFolder } from "../src/cluster/fast-start/settings.ts";
import { type ColdStart, measureColdStarts } from "./cold-starts.ts";

/**
 * What each setting of fast_start saves alone, on a single node, beside a start without any.
 *
 *     script/bench fast-start [--repetitions N] [--only SETTING]... [--json]
 */

/** What a patch of the user's names for a setting to be left out. */
const names = ["leader-elect", "kube-api-qps kube-api-burst", "unsafe-no-fsync", "/patches"];

const folder = mkdtempSync(join(tmpdir(), "bench-patches-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** A configuration as a user could write it: nothing of fast_start but those settings that the others do not name. */
function configWith(wanted: string): string {
  const others = names.filter((name) => name !== wanted).join(" ");
  const read = parseClusterConfig("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n");
  if ("problems" in read) throw new Error(read.problems.join(" "));
  const { patches, json6902, manifests } = fastStartSettings({ ...read.config, patches: [others] }, true);
  for (const [file, text] of Object.entries(manifests)) writeFileSync(join(folder, file), text);
  const mount = { hostPath: folder, containerPath: manifestPatchesFolder };
  const rendered = renderClusterConfig(read.config, "any", ["any"], {
    patches,
    json6902,
    disableDefaultCni: false,
    mounts: Object.keys(manifests).length === 0 ? [] : [mount],
  });
  return rendered.replace(/^name: any\n/m, "").replace(/^ *image: any\n/m, "");
}

/** Names every setting as kubeadm has it without fast_start. */
const ownPatches = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  controllerManager:
    extraArgs: { leader-elect: "true", kube-api-qps: "20", kube-api-burst: "30" }
  scheduler:
    extraArgs: { leader-elect: "true" }
  etcd:
    local:
      extraArgs: { unsafe-no-fsync: "false" }
- |
  kind: InitConfiguration
  patches: {}
`;

const none = { fast_start: "false" };
const one = (name: string, inputs: Readonly<Record<string, string>>): ColdStart => ({
  name,
  image: "current",
  roles: ["control-plane"],
  inputs,
  against: none,
});
const alone = (name: string, wanted: string) => one(name, { ...none, config: configWith(wanted) });

await measureColdStarts(
  "fast-start",
  [
    alone("`leader-elect=false`", "leader-elect"),
    alone("`kube-api-qps=300`, `kube-api-burst=400`", "kube-api-qps kube-api-burst"),
    alone("`unsafe-no-fsync=true`", "unsafe-no-fsync"),
    alone("probes each second", "/patches"),
    one("network at once, images unpacked ahead", { config: ownPatches }),
    one("all of it", {}),
  ],
  "`fast_start: false`",
);
