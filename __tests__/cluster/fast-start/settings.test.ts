import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { renderClusterConfig } from "../../../src/cluster/config.ts";
import { fastStartSettings, manifestPatchesFolder } from "../../../src/cluster/fast-start/settings.ts";
import { configOf } from "../../fixtures/cluster-config.ts";

const settingsOf = (text = "", mounts = true) => fastStartSettings(configOf(text), mounts);

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

/** RFC 6902, only `add` at the end of an existing list. */
function append(target: unknown, patch: string): void {
  for (const { path, value } of operations.parse(parse(patch))) {
    const keys = path.split("/").slice(1, -1);
    const list = keys.reduce<unknown>((node, key) => object.parse(node)[key], target);
    z.array(z.unknown()).parse(list);
    (list as unknown[]).push(value);
  }
}

/** Returns a kubeadm configuration document of kind after the patches of the rendered configuration. */
function patched(document: Json, text = "") {
  const config = configOf(text);
  const { patches, json6902 } = fastStartSettings(config, true);
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

/** Documents that kind writes: pkg/cluster/internal/kubeadm/config.go. */
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

describe("fastStartSettings", () => {
  it("adds arguments to those of kind, as fields, in kubeadm's v1beta3", () => {
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

  it("adds arguments to those of kind, as list items, in kubeadm's v1beta4", () => {
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
  ])("keeps the scheduler arguments of kind for $why in v1beta4", ({ text }) => {
    const existing = { name: "bind-address", value: "::1" };
    const { scheduler } = patched({ ...v1beta4, scheduler: { extraArgs: [existing] } }, text);
    expect(scheduler).toEqual({ extraArgs: [existing, { name: "leader-elect", value: "false" }] });
  });

  it("sets the folder of kubeadm's patches, at init and at join", () => {
    for (const kind of ["InitConfiguration", "JoinConfiguration"])
      for (const apiVersion of ["kubeadm.k8s.io/v1beta3", "kubeadm.k8s.io/v1beta4"])
        expect(patched({ apiVersion, kind })).toMatchObject({
          patches: { directory: manifestPatchesFolder },
        });
  });

  it("enables parallel image pulls in kubelets", () => {
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

  it("does not change documents of other kubeadm versions", () => {
    for (const kind of ["ClusterConfiguration", "InitConfiguration"]) {
      const document = { apiVersion: "kubeadm.k8s.io/v1beta2", kind };
      expect(patched(document)).toEqual(document);
    }
  });

  it("shortens probe periods without a shorter time until a restart", () => {
    const { manifests } = settingsOf();
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

  it("describes the settings", () => {
    expect(settingsOf().settings).toEqual([
      "controller manager: `leader-elect=false`",
      "controller manager: `kube-api-qps=300`",
      "controller manager: `kube-api-burst=400`",
      "scheduler: `leader-elect=false`",
      "etcd: `unsafe-no-fsync=true`",
      "kubelet: `maxParallelImagePulls=5`",
      "control plane: startup probes after 1 s, then every second",
      "CoreDNS: readiness probe every second",
    ]);
  });

  it("keeps leader election with several control planes", () => {
    const text = "nodes:\n- role: control-plane\n- role: control-plane\n- role: worker\n";
    expect(settingsOf(text).settings.filter((setting) => setting.includes("leader"))).toEqual([]);
    expect(patched(v1beta3, text)).toMatchObject({
      controllerManager: { extraArgs: { "kube-api-qps": "300" } },
      etcd: { local: { extraArgs: { "unsafe-no-fsync": "true" } } },
    });
    expect(JSON.stringify([settingsOf(text).patches, settingsOf(text).json6902])).not.toContain(
      "leader-elect",
    );
  });
});

describe("fastStartSettings with patches of the user", () => {
  const asPatch = (yaml: string) => `kubeadmConfigPatches:\n- |\n${yaml.replace(/^/gm, "  ")}\n`;

  /** All arguments that fast start sets, each with another value. */
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
  const forms = [
    {
      form: "a merge patch of the cluster",
      text: ({ component, name, value }: (typeof fields)[number]) =>
        asPatch(JSON.stringify({ kind: "ClusterConfiguration", ...under(component, { [name]: value }) })),
    },
    {
      form: "a merge patch of a node",
      text: ({ component, name, value }: (typeof fields)[number]) => {
        const patch = { kind: "ClusterConfiguration", ...under(component, [{ name, value }]) };
        return `nodes:\n- role: control-plane\n  kubeadmConfigPatches: ['${JSON.stringify(patch)}']\n`;
      },
    },
    {
      form: "a JSON 6902 patch of the cluster",
      text: ({ component, name, value }: (typeof fields)[number]) => {
        const patch = [{ op: "add", path: `${pathOf(component)}/-`, value: { name, value } }];
        return `kubeadmConfigPatchesJSON6902:\n- group: kubeadm.k8s.io\n  version: v1beta4\n  kind: ClusterConfiguration\n  patch: '${JSON.stringify(patch)}'\n`;
      },
    },
    {
      form: "a JSON 6902 patch of a node",
      text: ({ component, name, value }: (typeof fields)[number]) => {
        const patch = [{ op: "add", path: `${pathOf(component)}/${name}`, value }];
        return `nodes:\n- role: control-plane\n  kubeadmConfigPatchesJSON6902:\n  - group: kubeadm.k8s.io\n    version: v1beta3\n    kind: ClusterConfiguration\n    patch: '${JSON.stringify(patch)}'\n`;
      },
    },
  ];

  describe.each(forms)("in the form of $form", ({ text }) => {
    it.each(fields)("leaves out only $name of $component", (field) => {
      const all = settingsOf().settings;
      const { settings, patches, json6902 } = settingsOf(text(field));
      expect(settings).toEqual(all.filter((setting) => !setting.includes(field.name)));
      expect(JSON.stringify([patches, json6902])).not.toContain(field.name);
    });
  });

  it.each(["serializeImagePulls: true", "maxParallelImagePulls: 2"])(
    "leaves out parallel image pulls for `%s`",
    (field) => {
      const { settings, patches } = settingsOf(asPatch(`kind: KubeletConfiguration\n${field}`));
      expect(settings).toEqual(settingsOf().settings.filter((setting) => !setting.startsWith("kubelet")));
      expect(patches.join()).not.toMatch(/ImagePulls/);
    },
  );

  it("leaves out etcd for an external etcd, and the probes for another folder of patches", () => {
    const etcd = settingsOf(
      asPatch("kind: ClusterConfiguration\netcd:\n  external:\n    endpoints: [https://etcd:2379]"),
    );
    expect(etcd.settings.filter((setting) => setting.startsWith("etcd"))).toEqual([]);
    const folder = settingsOf(asPatch("kind: InitConfiguration\npatches:\n  directory: /mine"));
    expect(folder.manifests).toEqual({});
    expect(folder.patches.join()).not.toContain(manifestPatchesFolder);
  });
});

describe("fastStartSettings without mounts", () => {
  it("leaves out the settings that need a folder of this machine", () => {
    const { settings, manifests, patches } = settingsOf("", false);
    expect(manifests).toEqual({});
    expect(patches.join()).not.toContain("directory");
    expect(settings).toHaveLength(6);
  });
});
