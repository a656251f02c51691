import { parseAllDocuments } from "yaml";
import * as z from "zod";

/** The path of the manifest of kind's default CNI, kindnet, in node images. */
export const cniManifestPath = "/kind/manifests/default-cni.yaml";

/** A Kubernetes object, and the path of the POST request that creates it. */
export interface ApiObject {
  readonly path: string;
  readonly body: object;
}

const namespaced = (group: string, resource: string) => (namespace: string) =>
  `${group}/namespaces/${namespace}/${resource}`;
const rbac = "/apis/rbac.authorization.k8s.io/v1";

/** The paths of the objects that a CNI manifest may contain, by apiVersion and kind. */
const paths: Readonly<Record<string, (namespace: string) => string>> = {
  "v1 ServiceAccount": namespaced("/api/v1", "serviceaccounts"),
  "v1 ConfigMap": namespaced("/api/v1", "configmaps"),
  "rbac.authorization.k8s.io/v1 ClusterRole": () => `${rbac}/clusterroles`,
  "rbac.authorization.k8s.io/v1 ClusterRoleBinding": () => `${rbac}/clusterrolebindings`,
  "rbac.authorization.k8s.io/v1 Role": namespaced(rbac, "roles"),
  "rbac.authorization.k8s.io/v1 RoleBinding": namespaced(rbac, "rolebindings"),
  "apps/v1 DaemonSet": namespaced("/apis/apps/v1", "daemonsets"),
};

const object = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().default("default") }),
});

const daemonSet = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({ containers: z.array(z.looseObject({ env: z.array(z.unknown()) })).min(1) }),
    }),
  }),
});

/**
 * Parses the CNI manifest of a node image into the objects that kind would create from it: with the cluster's pod
 * subnet, and the address of the control plane if the manifest requests it
 * (pkg/cluster/internal/create/actions/installcni/cni.go).
 *
 * @param values.endpoint the address of the API for nodes: `HOST:PORT`
 * @returns undefined for a manifest that this function does not support: kind has to create the CNI
 */
export function parseCniManifest(
  manifest: string,
  values: { podSubnet: string; endpoint: string },
): ApiObject[] | undefined {
  const text = manifest.includes("would you kindly template this file")
    ? manifest.replaceAll(/\{\{\s*\.PodSubnet\s*\}\}/g, values.podSubnet)
    : manifest;
  if (text.includes("{{") && text !== manifest) return undefined;
  const objects: ApiObject[] = [];
  for (const document of parseAllDocuments(text)) {
    const value: unknown = document.errors.length > 0 ? undefined : document.toJS();
    if (value === null && document.errors.length === 0) continue;
    const parsed = object.safeParse(value);
    const path = parsed.success ? paths[`${parsed.data.apiVersion} ${parsed.data.kind}`] : undefined;
    if (!parsed.success || path === undefined) return undefined;
    if (parsed.data.kind === "DaemonSet" && manifest.includes("would you kindly patch this file")) {
      const patched = daemonSet.safeParse(parsed.data);
      const [container] = patched.success ? patched.data.spec.template.spec.containers : [];
      if (!patched.success || container === undefined) return undefined;
      container.env.push({ name: "CONTROL_PLANE_ENDPOINT", value: values.endpoint });
      objects.push({ path: path(parsed.data.metadata.namespace), body: patched.data });
    } else {
      objects.push({ path: path(parsed.data.metadata.namespace), body: parsed.data });
    }
  }
  return objects.some(({ path }) => path.endsWith("/daemonsets")) ? objects : undefined;
}

/** kind's default pod subnets by IP family: pkg/internal/apis/config/default.go. */
export const defaultPodSubnet = {
  ipv4: "10.244.0.0/16",
  ipv6: "fd00:10:244::/56",
  dual: "10.244.0.0/16,fd00:10:244::/56",
} as const;
