import { stringify } from "yaml";
import type { ClusterConfig, ConfigAdditions, Json6902Patch } from "../config.ts";

/** The changes to a kind configuration with which a cluster is ready sooner. */
export interface FastStartSettings extends Pick<ConfigAdditions, "patches" | "json6902"> {
  /** Descriptions of the settings, for the log and the summary. */
  readonly settings: readonly string[];
  /**
   * kubeadm's patches of the manifests that it writes, by file name; empty if nodes cannot mount a folder of this
   * machine.
   */
  readonly manifests: Readonly<Record<string, string>>;
}

/** The folder of {@link FastStartSettings.manifests} in nodes. kubeadm reads it on workers, too. */
export const manifestPatchesFolder = "/kind-action/patches";

type Component = "controllerManager" | "scheduler" | "etcd";

interface Argument {
  readonly component: Component;
  readonly name: string;
  readonly value: string;
  /** Whether it requires a single control plane. */
  readonly singleOnly?: true;
}

/**
 * The arguments of control plane components. Leader election can be disabled only with a single control plane.
 *
 * etcd without fsync does not lose acknowledged writes when etcd, its container or the node's container dies, because
 * they are in the page cache of the kernel. It loses them only when the machine dies, and with it the whole cluster.
 */
const fastStartArguments: readonly Argument[] = [
  { component: "controllerManager", name: "leader-elect", value: "false", singleOnly: true },
  { component: "controllerManager", name: "kube-api-qps", value: "300" },
  { component: "controllerManager", name: "kube-api-burst", value: "400" },
  { component: "scheduler", name: "leader-elect", value: "false", singleOnly: true },
  { component: "etcd", name: "unsafe-no-fsync", value: "true" },
];

/**
 * Returns the settings of fast start for a configuration. A setting that a patch of the user names is left out.
 *
 * @param mounts whether nodes can mount a folder of this machine
 */
export function fastStartSettings(config: ClusterConfig, mounts: boolean): FastStartSettings {
  const isHighlyAvailable = config.nodes.filter(({ role }) => role === "control-plane").length > 1;
  const isPatched = (pattern: string | RegExp) => config.patches.some((patch) => patch.search(pattern) >= 0);
  const args = fastStartArguments.filter(
    ({ component, name, singleOnly }) =>
      !(singleOnly && isHighlyAvailable) &&
      !isPatched(name) &&
      !(component === "etcd" && isPatched(externalEtcd)),
  );
  const pulls = isPatched(imagePullFields) ? [] : [parallelPulls];
  const manifests = mounts && !isPatched(patchesFolderField) ? probes : {};
  return {
    settings: [
      ...args.map(({ component, name, value }) => `${titles[component]}: \`${name}=${value}\``),
      ...pulls.map(
        ({ maxParallelImagePulls }) => `kubelet: \`maxParallelImagePulls=${maxParallelImagePulls}\``,
      ),
      ...(Object.keys(manifests).length === 0
        ? []
        : [
            "control plane: startup probes after 1 s, then every second",
            "CoreDNS: readiness probe every second",
          ]),
    ],
    patches: [
      ...mergePatches(args, "v1beta3", asFields),
      ...mergePatches(
        args.filter((arg) => !hasList(arg.component, config)),
        "v1beta4",
        asList,
      ),
      ...pulls.map((patch) => stringify(patch)),
      ...(Object.keys(manifests).length === 0 ? [] : ["v1beta3", "v1beta4"].flatMap(patchesFolderPatches)),
    ],
    json6902: appendArguments(args.filter((arg) => hasList(arg.component, config))),
    manifests,
  };
}

/**
 * Parallel image pulls. By default, a kubelet pulls one image at a time, so that no download runs while the last layer
 * of another image is unpacked, which uses one processor.
 */
const parallelPulls = {
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  serializeImagePulls: false,
  maxParallelImagePulls: 5,
};
const imagePullFields = /\b(?:serializeImagePulls|maxParallelImagePulls)\b/;

/** Matches an external etcd, beside which kubeadm rejects settings of a local one. */
const externalEtcd = /\bexternal["']?\s*:|\/etcd\/external/;
const patchesFolderField = /\bpatches["']?\s*:|\/patches/;

const titles: Readonly<Record<Component, string>> = {
  controllerManager: "controller manager",
  scheduler: "scheduler",
  etcd: "etcd",
};

/** Formats arguments for kubeadm up to v1beta3. */
const asFields = (args: readonly Argument[]) =>
  Object.fromEntries(args.map(({ name, value }) => [name, value]));

/** Formats arguments for kubeadm since v1beta4, which kind uses since Kubernetes 1.36. */
const asList = (args: readonly Argument[]) => args.map(({ name, value }) => ({ name, value }));

/** Returns a merge patch with arguments, for kubeadm's configuration of a version. */
function mergePatches(
  args: readonly Argument[],
  version: string,
  format: (args: readonly Argument[]) => object,
): string[] {
  if (args.length === 0) return [];
  const extraArgs = (component: Component) => {
    const selected = args.filter((arg) => arg.component === component);
    return selected.length === 0 ? undefined : { extraArgs: format(selected) };
  };
  const etcd = extraArgs("etcd");
  return [
    stringify({
      apiVersion: `kubeadm.k8s.io/${version}`,
      kind: "ClusterConfiguration",
      controllerManager: extraArgs("controllerManager"),
      scheduler: extraArgs("scheduler"),
      etcd: etcd && { local: etcd },
    }),
  ];
}

/**
 * Whether kind's v1beta4 configuration has a list of arguments for a component, which a merge patch would replace:
 * pkg/cluster/internal/kubeadm/config.go, ConfigTemplateBetaV4.
 */
const hasList = (component: Component, { hasFeatureGates, ipFamily }: ClusterConfig): boolean =>
  component === "controllerManager" ||
  (component === "scheduler" && (hasFeatureGates || ipFamily === "ipv6"));

/** Returns a JSON 6902 patch that appends arguments to the lists in kind's v1beta4 configuration. */
function appendArguments(args: readonly Argument[]): Json6902Patch[] {
  if (args.length === 0) return [];
  const operations = args.map(({ component, name, value }) => ({
    op: "add",
    path: `/${component}/extraArgs/-`,
    value: { name, value },
  }));
  return [
    {
      group: "kubeadm.k8s.io",
      version: "v1beta4",
      kind: "ClusterConfiguration",
      patch: stringify(operations),
    },
  ];
}

/** Patches with which kubeadm reads {@link manifestPatchesFolder}, at init and at join. */
const patchesFolderPatches = (version: string) =>
  ["InitConfiguration", "JoinConfiguration"].map((kind) =>
    stringify({
      apiVersion: `kubeadm.k8s.io/${version}`,
      kind,
      patches: { directory: manifestPatchesFolder },
    }),
  );

/**
 * Patches with shorter probe periods. A kubelet that has run for less than a probe's period delays the first probe by a
 * random part of that period. The failure thresholds keep the time until a container is restarted as with kubeadm's
 * periods of 10 s.
 */
const probes: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"].map((name) => [
      `${name}+strategic.yaml`,
      stringify({
        apiVersion: "v1",
        kind: "Pod",
        spec: {
          containers: [
            { name, startupProbe: { initialDelaySeconds: 1, periodSeconds: 1, failureThreshold: 240 } },
          ],
        },
      }),
    ]),
  ),
  // kubeadm before 1.31 ignores this patch, with a message.
  "corednsdeployment+strategic.yaml": stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    spec: {
      template: {
        spec: {
          containers: [{ name: "coredns", readinessProbe: { periodSeconds: 1, failureThreshold: 30 } }],
        },
      },
    },
  }),
};
