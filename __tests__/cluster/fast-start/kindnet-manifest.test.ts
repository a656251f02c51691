import { describe, expect, it } from "vitest";
import { parseCniManifest } from "../../../src/cluster/fast-start/kindnet-manifest.ts";

const values = { podSubnet: "10.244.0.0/16", endpoint: "shop-control-plane:6443" };

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

describe("parseCniManifest", () => {
  it("returns the objects, each with the path that creates it", () => {
    expect(parseCniManifest(kindnet, values)?.map(({ path }) => path)).toEqual([
      "/apis/rbac.authorization.k8s.io/v1/clusterroles",
      "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
      "/api/v1/namespaces/kube-system/serviceaccounts",
      "/apis/apps/v1/namespaces/kube-system/daemonsets",
    ]);
  });

  it("sets the pod subnet and the address of the control plane, as kind does", () => {
    expect(parseCniManifest(kindnet, values)?.at(-1)?.body).toMatchObject({
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

  it("does not change a manifest that requests no changes", () => {
    const plain = kindnet.replace(/^# would.*\n/gm, "").replace("{{ .PodSubnet }}", "10.1.0.0/16");
    expect(parseCniManifest(plain, values)?.at(-1)?.body).toMatchObject({
      spec: { template: { spec: { containers: [{ env: [{ name: "POD_SUBNET", value: "10.1.0.0/16" }] }] } } },
    });
  });

  it.each([
    {
      why: "has other template actions",
      text: kindnet.replace("{{ .PodSubnet }}", "{{ if .PodSubnet }}x{{ end }}"),
    },
    {
      why: "has an object of another kind",
      text: `${kindnet}---\nkind: Pod\napiVersion: v1\nmetadata: {name: x}\n`,
    },
    { why: "is not valid YAML", text: "a: [" },
    { why: "has no DaemonSet", text: kindnet.slice(0, kindnet.indexOf("apiVersion: apps/v1")) },
    { why: "has a DaemonSet without environment variables", text: kindnet.replace(/ {8}env:[\s\S]*/, "") },
    { why: "is empty", text: "" },
  ])("returns undefined for a manifest that $why", ({ text }) => {
    expect(parseCniManifest(text, values)).toBeUndefined();
  });
});
