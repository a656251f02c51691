import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { parseClusterConfig, renderClusterConfig } from "../../../src/cluster/config.ts";
import { manifestPatchesFolder, planFastStart } from "../../../src/cluster/fast-start/settings.ts";

const header = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

function configOf(text: string) {
  const read = parseClusterConfig(header + text);
  if ("problems" in read) throw new Error(read.problems.join("\n"));
  return read.config;
}

const plan = (text = "", mounts = true) => planFastStart(configOf(text), mounts);

type Json = { [key: string]: unknown };
const object = z.record(z.string(), z.unknown());

/** RFC 7386, as kind applies patches. */
function merge(target: unknown, patch: unknown): unknown {
  if (!object.safeParse(patch).success) return patch;
  const merged: Json = object.safeParse(target).data ?? {};
  for (const [key, value] of Object.entries(object.parse(patch))) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}

const operations = z.array(z.object({ op: z.literal("add"), path: z.string(), value: z.unknown() }));

/** RFC 6902, as far as it adds to the end of a list that has to be there. */
function append(target: unknown, patch: string): void {
  for (const { path, value } of operations.parse(parse(patch))) {
    const keys = path.split("/").slice(1, -1);
    const list = keys.reduce<unknown>((node, key) => object.parse(node)[key], target);
    z.array(z.unknown()).parse(list);
    (list as unknown[]).push(value);
  }
}

/** What kubeadm reads of a document of kind's, after the configuration's patches. */
function patched(document: Json, text = "") {
  const config = configOf(text);
  const { patches, json6902 } = planFastStart(config, true);
  const rendered = object.parse(
    parse(
      renderClusterConfig(config, "shop", ["node"], {
        patches,
        json6902,
        disableDefaultCni: false,
        mounts: [],
      }),
    ),
  );
  let result: unknown = structuredClone(document);
  for (const patch of z.array(z.string()).parse(rendered.kubeadmConfigPatches ?? [])) {
    const { apiVersion, kind, ...rest } = object.parse(parse(patch));
    if (kind === document.kind && [undefined, document.apiVersion].includes(apiVersion as never))
      result = merge(result, rest);
  }
  const documents = z.array(z.looseObject({ version: z.string(), kind: z.string(), patch: z.string() }));
  for (const { version, kind, patch } of documents.parse(rendered.kubeadmConfigPatchesJSON6902 ?? []))
    if (document.apiVersion === `kubeadm.k8s.io/${version}` && kind === document.kind) append(result, patch);
  return object.parse(result);
}

/** What kind writes: pkg/cluster/internal/kubeadm/config.go. */
const v1beta3 = {
  apiVersion: "kubeadm.k8s.io/v1beta3",
  kind: "ClusterConfiguration",
  controllerManager: { extraArgs: { "enable-hostpath-provisioner": "true" } },
  scheduler: { extraArgs: null },
};
const v1beta4 = {
  apiVersion: "kubeadm.k8s.io/v1beta4",
  kind: "ClusterConfiguration",
  controllerManager: { extraArgs: [{ name: "enable-hostpath-provisioner", value: "true" }] },
  scheduler: { extraArgs: null },
};

describe("a cluster that starts fast", () => {
  it("has its settings beside kind's own, as fields, in kubeadm's v1beta3", () => {
    expect(patched(v1beta3)).toMatchObject({
      controllerManager: {
        extraArgs: {
          "enable-hostpath-provisioner": "true",
          "leader-elect": "false",
          "kube-api-qps": "300",
          "kube-api-burst": "400",
        },
      },
      scheduler: { extraArgs: { "leader-elect": "false" } },
      etcd: { local: { extraArgs: { "unsafe-no-fsync": "true" } } },
    });
  });

  it("has them as items of lists in v1beta4", () => {
    expect(patched(v1beta4)).toMatchObject({
      controllerManager: {
        extraArgs: [
          { name: "enable-hostpath-provisioner", value: "true" },
          { name: "leader-elect", value: "false" },
          { name: "kube-api-qps", value: "300" },
          { name: "kube-api-burst", value: "400" },
        ],
      },
      scheduler: { extraArgs: [{ name: "leader-elect", value: "false" }] },
      etcd: { local: { extraArgs: [{ name: "unsafe-no-fsync", value: "true" }] } },
    });
  });

  it.each([
    { why: "feature gates", text: "featureGates:\n  SomeGate: true\n" },
    { why: "IPv6", text: "networking:\n  ipFamily: ipv6\n" },
  ])("keeps what kind gives the scheduler for $why in v1beta4", ({ text }) => {
    const own = { name: "bind-address", value: "::1" };
    const { scheduler } = patched({ ...v1beta4, scheduler: { extraArgs: [own] } }, text);
    expect(scheduler).toEqual({ extraArgs: [own, { name: "leader-elect", value: "false" }] });
  });

  it("tells kubeadm where the patches of its manifests are, at init and at join", () => {
    for (const kind of ["InitConfiguration", "JoinConfiguration"])
      for (const apiVersion of ["kubeadm.k8s.io/v1beta3", "kubeadm.k8s.io/v1beta4"])
        expect(patched({ apiVersion, kind })).toMatchObject({
          patches: { directory: manifestPatchesFolder },
        });
  });

  it("has kubelets that pull several images at once", () => {
    const document = {
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      maxPods: 7,
    };
    expect(patched(document)).toMatchObject({
      serializeImagePulls: false,
      maxParallelImagePulls: 5,
      maxPods: 7,
    });
  });

  it("leaves documents of other versions alone", () => {
    for (const kind of ["ClusterConfiguration", "InitConfiguration"]) {
      const document = { apiVersion: "kubeadm.k8s.io/v1beta2", kind };
      expect(patched(document)).toEqual(document);
    }
  });

  it("gives up a probe that fails as late as kubeadm's own periods of ten seconds do", () => {
    const { manifests } = plan();
    expect(Object.keys(manifests).toSorted()).toEqual([
      "corednsdeployment+strategic.yaml",
      "etcd+strategic.yaml",
      "kube-apiserver+strategic.yaml",
      "kube-controller-manager+strategic.yaml",
      "kube-scheduler+strategic.yaml",
    ]);
    expect(parse(manifests["etcd+strategic.yaml"] ?? "")).toMatchObject({
      spec: { containers: [{ name: "etcd", startupProbe: { periodSeconds: 1, failureThreshold: 240 } }] },
    });
    expect(parse(manifests["corednsdeployment+strategic.yaml"] ?? "")).toMatchObject({
      spec: {
        template: {
          spec: {
            containers: [{ name: "coredns", readinessProbe: { periodSeconds: 1, failureThreshold: 30 } }],
          },
        },
      },
    });
  });

  it("lists what it does", () => {
    expect(plan().settings).toEqual([
      "controller manager: `leader-elect=false`",
      "controller manager: `kube-api-qps=300`",
      "controller manager: `kube-api-burst=400`",
      "scheduler: `leader-elect=false`",
      "etcd: `unsafe-no-fsync=true`",
      "kubelet: `maxParallelImagePulls=5`",
      "control plane: first probes after a second, then each second",
      "CoreDNS: asked each second whether it is ready",
    ]);
  });
});

describe("several control planes", () => {
  it("elect their leaders", () => {
    const text = "nodes:\n- role: control-plane\n- role: control-plane\n- role: worker\n";
    expect(plan(text).settings.filter((setting) => setting.includes("leader"))).toEqual([]);
    expect(patched(v1beta3, text)).toMatchObject({
      controllerManager: { extraArgs: { "kube-api-qps": "300" } },
      etcd: { local: { extraArgs: { "unsafe-no-fsync": "true" } } },
    });
    expect(JSON.stringify([plan(text).patches, plan(text).json6902])).not.toContain("leader-elect");
  });
});

describe("what the user's patches name", () => {
  const asPatch = (yaml: string) => `kubeadmConfigPatches:\n- |\n${yaml.replace(/^/gm, "  ")}\n`;

  /** Every argument that is set, with its component and a value of the user's. */
  const fields = [
    { component: "controllerManager", name: "leader-elect", value: "true" },
    { component: "scheduler", name: "leader-elect", value: "true" },
    { component: "controllerManager", name: "kube-api-qps", value: "50" },
    { component: "controllerManager", name: "kube-api-burst", value: "50" },
    { component: "etcd", name: "unsafe-no-fsync", value: "false" },
  ];
  const under = (component: string, given: unknown) =>
    component === "etcd" ? { etcd: { local: { extraArgs: given } } } : { [component]: { extraArgs: given } };
  const pathOf = (component: string) =>
    component === "etcd" ? "/etcd/local/extraArgs" : `/${component}/extraArgs`;
  const ways = [
    {
      way: "a patch of the cluster",
      text: ({ component, name, value }: (typeof fields)[number]) =>
        asPatch(JSON.stringify({ kind: "ClusterConfiguration", ...under(component, { [name]: value }) })),
    },
    {
      way: "a patch of a node",
      text: ({ component, name, value }: (typeof fields)[number]) => {
        const patch = { kind: "ClusterConfiguration", ...under(component, [{ name, value }]) };
        return `nodes:\n- role: control-plane\n  kubeadmConfigPatches: ['${JSON.stringify(patch)}']\n`;
      },
    },
    {
      way: "JSON 6902, of the cluster",
      text: ({ component, name, value }: (typeof fields)[number]) => {
        const patch = [{ op: "add", path: `${pathOf(component)}/-`, value: { name, value } }];
        return `kubeadmConfigPatchesJSON6902:\n- group: kubeadm.k8s.io\n  version: v1beta4\n  kind: ClusterConfiguration\n  patch: '${JSON.stringify(patch)}'\n`;
      },
    },
    {
      way: "JSON 6902, of a node",
      text: ({ component, name, value }: (typeof fields)[number]) => {
        const patch = [{ op: "add", path: `${pathOf(component)}/${name}`, value }];
        return `nodes:\n- role: control-plane\n  kubeadmConfigPatchesJSON6902:\n  - group: kubeadm.k8s.io\n    version: v1beta3\n    kind: ClusterConfiguration\n    patch: '${JSON.stringify(patch)}'\n`;
      },
    },
  ];

  describe.each(ways)("by $way", ({ text }) => {
    it.each(fields)("is left to them, and nothing else is: $name of $component", (field) => {
      const all = plan().settings;
      const { settings, patches, json6902 } = plan(text(field));
      expect(settings).toEqual(all.filter((setting) => !setting.includes(field.name)));
      expect(JSON.stringify([patches, json6902])).not.toContain(field.name);
    });
  });

  it.each(["serializeImagePulls: true", "maxParallelImagePulls: 2"])(
    "may be how kubelets pull: %s",
    (field) => {
      const { settings, patches } = plan(asPatch(`kind: KubeletConfiguration\n${field}`));
      expect(settings).toEqual(plan().settings.filter((setting) => !setting.startsWith("kubelet")));
      expect(patches.join()).not.toMatch(/ImagePulls/);
    },
  );

  it("may be an etcd of their own, and a folder of patches of their own", () => {
    const etcd = plan(
      asPatch("kind: ClusterConfiguration\netcd:\n  external:\n    endpoints: [https://etcd:2379]"),
    );
    expect(etcd.settings.filter((setting) => setting.startsWith("etcd"))).toEqual([]);
    const folder = plan(asPatch("kind: InitConfiguration\npatches:\n  directory: /mine"));
    expect(folder.manifests).toEqual({});
    expect(folder.patches.join()).not.toContain(manifestPatchesFolder);
  });
});

describe("a daemon that does not see this machine's folders", () => {
  it("makes clusters without what takes one", () => {
    const { settings, manifests, patches } = plan("", false);
    expect(manifests).toEqual({});
    expect(patches.join()).not.toContain("directory");
    expect(settings).toHaveLength(6);
  });
});
