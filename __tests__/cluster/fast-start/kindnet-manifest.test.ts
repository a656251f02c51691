import { describe, expect, it } from "vitest";
import { parseCniManifest } from "../../../src/cluster/fast-start/kindnet-manifest.ts";

const on = { podSubnet: "10.244.0.0/16", endpoint: "shop-control-plane:6443" };

/** kind's own manifest, shortened: images/kindnetd. */
const kindnet = `# kindnetd networking manifest
# would you kindly template this file
# would you kindly patch this file
---
kind: ClusterRole
apiVersion: rbac.authorization.k8s.io/v1
metadata:
  name: kindnet
rules: []
---
kind: ClusterRoleBinding
apiVersion: rbac.authorization.k8s.io/v1
metadata:
  name: kindnet
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: kindnet
  namespace: kube-system
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: kindnet
  namespace: kube-system
spec:
  template:
    spec:
      containers:
      - name: kindnet-cni
        env:
        - name: POD_SUBNET
          value: {{ .PodSubnet }}
`;

describe("kind's network add-on", () => {
  it("is a list of objects, each with where it is made", () => {
    expect(parseCniManifest(kindnet, on)?.map(({ path }) => path)).toEqual([
      "/apis/rbac.authorization.k8s.io/v1/clusterroles",
      "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
      "/api/v1/namespaces/kube-system/serviceaccounts",
      "/apis/apps/v1/namespaces/kube-system/daemonsets",
    ]);
  });

  it("has the cluster's pod subnet and the control plane's address, as kind gives them", () => {
    expect(parseCniManifest(kindnet, on)?.at(-1)?.body).toMatchObject({
      metadata: { name: "kindnet" },
      spec: {
        template: {
          spec: {
            containers: [
              {
                env: [
                  { name: "POD_SUBNET", value: "10.244.0.0/16" },
                  { name: "CONTROL_PLANE_ENDPOINT", value: "shop-control-plane:6443" },
                ],
              },
            ],
          },
        },
      },
    });
  });

  it("is taken as it is where it does not ask for more", () => {
    const plain = kindnet.replace(/^# would.*\n/gm, "").replace("{{ .PodSubnet }}", "10.1.0.0/16");
    expect(parseCniManifest(plain, on)?.at(-1)?.body).toMatchObject({
      spec: { template: { spec: { containers: [{ env: [{ name: "POD_SUBNET", value: "10.1.0.0/16" }] }] } } },
    });
  });
});

describe("a manifest is left to kind", () => {
  it.each([
    {
      why: "that templates more",
      text: kindnet.replace("{{ .PodSubnet }}", "{{ if .PodSubnet }}x{{ end }}"),
    },
    {
      why: "with objects of another kind",
      text: `${kindnet}---\nkind: Pod\napiVersion: v1\nmetadata: {name: x}\n`,
    },
    { why: "that is no YAML", text: "a: [" },
    { why: "without a DaemonSet", text: kindnet.slice(0, kindnet.indexOf("apiVersion: apps/v1")) },
    { why: "whose DaemonSet has nowhere to say it", text: kindnet.replace(/ {8}env:[\s\S]*/, "") },
    { why: "that is empty", text: "" },
  ])("$why", ({ text }) => {
    expect(parseCniManifest(text, on)).toBeUndefined();
  });
});
