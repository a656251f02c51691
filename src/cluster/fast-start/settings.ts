import { stringify } from "yaml";
import type { ClusterConfig, ConfigAdditions, Json6902Patch } from "../config.ts";

/** What a cluster is given so that it is ready sooner. */
export interface FastStartSettings extends Pick<ConfigAdditions, "patches" | "json6902"> {
  /** Each setting, for people. */
  readonly settings: readonly string[];
  /** kubeadm's patches of the manifests that it writes itself, by file name. None where nodes cannot be given them. */
  readonly manifests: Readonly<Record<string, string>>;
}

/** Where nodes find {@link FastStartSettings.manifests}: kubeadm looks there on workers, too. */
export const manifestPatchesFolder = "/kind-action/patches";

type Component = "controllerManager" | "scheduler" | "etcd";

interface Argument {
  readonly component: Component;
  readonly name: string;
  readonly value: string;
  /** Whether it is for a single control plane alone. */
  readonly alone?: true;
}

/**
 * Arguments that change when things happen. With several control planes there is a leader to be elected.
 *
 * etcd without fsync keeps what it acknowledged when it, its container or the node's container dies: that is in the
 * kernel's memory. It does not survive the machine, which a cluster in containers does not either.
 */
const argumentsOf: readonly Argument[] = [
  { component: "controllerManager", name: "leader-elect", value: "false", alone: true },
  { component: "controllerManager", name: "kube-api-qps", value: "300" },
  { component: "controllerManager", name: "kube-api-burst", value: "400" },
  { component: "scheduler", name: "leader-elect", value: "false", alone: true },
  { component: "etcd", name: "unsafe-no-fsync", value: "true" },
];

/**
 * Decides how a cluster is made to start fast. Pure. What a patch of the user's names is left to it.
 *
 * @param mounts whether the daemon can give nodes a folder of this machine
 */
export function planFastStart(config: ClusterConfig, mounts: boolean): FastStartSettings {
  const several = config.nodes.filter(({ role }) => role === "control-plane").length > 1;
  const named = (text: string | RegExp) => config.patches.some((patch) => patch.search(text) >= 0);
  const args = argumentsOf.filter(
    ({ component, name, alone }) =>
      !(alone && several) && !named(name) && !(component === "etcd" && named(ownEtcd)),
  );
  const pulls = named(ownPulls) ? [] : [parallelPulls];
  const manifests = mounts && !named(ownPatches) ? probes : {};
  return {
    settings: [
      ...args.map(({ component, name, value }) => `${titles[component]}: \`${name}=${value}\``),
      ...pulls.map(
        ({ maxParallelImagePulls }) => `kubelet: \`maxParallelImagePulls=${maxParallelImagePulls}\``,
      ),
      ...(Object.keys(manifests).length === 0
        ? []
        : [
            "control plane: first probes after a second, then each second",
            "CoreDNS: asked each second whether it is ready",
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
      ...(Object.keys(manifests).length === 0 ? [] : ["v1beta3", "v1beta4"].flatMap(directory)),
    ],
    json6902: appends(args.filter((arg) => hasList(arg.component, config))),
    manifests,
  };
}

/**
 * A kubelet pulls one image after another by default: none comes while the last layer of another is unpacked, by one
 * processor.
 */
const parallelPulls = {
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  serializeImagePulls: false,
  maxParallelImagePulls: 5,
};
const ownPulls = /\b(?:serializeImagePulls|maxParallelImagePulls)\b/;

/** kubeadm takes no etcd of its own beside one that is elsewhere. */
const ownEtcd = /\bexternal["']?\s*:|\/etcd\/external/;
const ownPatches = /\bpatches["']?\s*:|\/patches/;

const titles: Readonly<Record<Component, string>> = {
  controllerManager: "controller manager",
  scheduler: "scheduler",
  etcd: "etcd",
};

/** Arguments as kubeadm takes them up to v1beta3. */
const asFields = (args: readonly Argument[]) =>
  Object.fromEntries(args.map(({ name, value }) => [name, value]));

/** Arguments as kubeadm takes them from v1beta4 on, which kind uses from Kubernetes 1.36 on. */
const asList = (args: readonly Argument[]) => args.map(({ name, value }) => ({ name, value }));

function mergePatches(
  args: readonly Argument[],
  version: string,
  form: (args: readonly Argument[]) => object,
): string[] {
  if (args.length === 0) return [];
  const of = (component: Component) => args.filter((arg) => arg.component === component);
  const extra = (component: Component) =>
    of(component).length === 0 ? undefined : { extraArgs: form(of(component)) };
  const etcd = extra("etcd");
  return [
    stringify({
      apiVersion: `kubeadm.k8s.io/${version}`,
      kind: "ClusterConfiguration",
      controllerManager: extra("controllerManager"),
      scheduler: extra("scheduler"),
      etcd: etcd && { local: etcd },
    }),
  ];
}

/**
 * Whether kind gives a component a list of arguments of its own, which a merge would replace:
 * pkg/cluster/internal/kubeadm/config.go, ConfigTemplateBetaV4.
 */
const hasList = (component: Component, { hasFeatureGates, ipFamily }: ClusterConfig): boolean =>
  component === "controllerManager" ||
  (component === "scheduler" && (hasFeatureGates || ipFamily === "ipv6"));

/** Arguments at the end of the lists that kind makes. */
function appends(args: readonly Argument[]): Json6902Patch[] {
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

const directory = (version: string) =>
  ["InitConfiguration", "JoinConfiguration"].map((kind) =>
    stringify({
      apiVersion: `kubeadm.k8s.io/${version}`,
      kind,
      patches: { directory: manifestPatchesFolder },
    }),
  );

/**
 * A kubelet that is younger than a probe's period puts the first one off by a random part of it. What fails until it is
 * given up takes as long as with kubeadm's own periods of 10 s.
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
  // Before Kubernetes 1.31, kubeadm says that it ignores this one.
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
