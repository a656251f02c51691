import { parseAllDocuments } from "yaml";
import * as z from "zod";

/** Where node images have the network add-on that kind installs. */
export const cniManifestPath = "/kind/manifests/default-cni.yaml";

/** An object to be made by a POST. */
export interface ApiObject {
  readonly path: string;
  readonly body: object;
}

const namespaced = (group: string, resource: string) => (namespace: string) =>
  `${group}/namespaces/${namespace}/${resource}`;
const rbac = "/apis/rbac.authorization.k8s.io/v1";

/** Where objects are made, by apiVersion and kind: those that a network add-on consists of. */
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
 * The objects of a node image's network add-on, as kind would make them: with the cluster's pod subnet, and the control
 * plane's address where the manifest asks for that (pkg/cluster/internal/create/actions/installcni/cni.go).
 *
 * @returns undefined for a manifest that only kind understands
 */
export function parseCniManifest(
  manifest: string,
  on: { podSubnet: string; endpoint: string },
): ApiObject[] | undefined {
  const text = manifest.includes("would you kindly template this file")
    ? manifest.replaceAll(/\{\{\s*\.PodSubnet\s*\}\}/g, on.podSubnet)
    : manifest;
  if (text.includes("{{") && text !== manifest) return undefined;
  const objects: ApiObject[] = [];
  for (const document of parseAllDocuments(text)) {
    const value: unknown = document.errors.length > 0 ? undefined : document.toJS();
    if (value === null && document.errors.length === 0) continue;
    const read = object.safeParse(value);
    const path = read.success ? paths[`${read.data.apiVersion} ${read.data.kind}`] : undefined;
    if (!read.success || path === undefined) return undefined;
    if (read.data.kind === "DaemonSet" && manifest.includes("would you kindly patch this file")) {
      const daemons = daemonSet.safeParse(read.data);
      const [container] = daemons.success ? daemons.data.spec.template.spec.containers : [];
      if (!daemons.success || container === undefined) return undefined;
      container.env.push({ name: "CONTROL_PLANE_ENDPOINT", value: on.endpoint });
      objects.push({ path: path(read.data.metadata.namespace), body: daemons.data });
    } else {
      objects.push({ path: path(read.data.metadata.namespace), body: read.data });
    }
  }
  return objects.some(({ path }) => path.endsWith("/daemonsets")) ? objects : undefined;
}

/** kind's defaults: pkg/internal/apis/config/default.go. */
export const defaultPodSubnet = {
  ipv4: "10.244.0.0/16",
  ipv6: "fd00:10:244::/56",
  dual: "10.244.0.0/16,fd00:10:244::/56",
} as const;
