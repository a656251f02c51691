import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  parseDocument,
  visit,
} from "yaml";
import * as z from "zod";

/** A kind configuration of the user, parsed and validated. */
export interface ClusterConfig {
  readonly name: string | undefined;
  /** The listed nodes. If there are none, kind creates a single control plane. */
  readonly nodes: readonly ConfiguredNode[];
  readonly disableDefaultCNI: boolean;
  readonly ipFamily: "ipv4" | "ipv6" | "dual";
  readonly podSubnet: string | undefined;
  readonly hasFeatureGates: boolean;
  /** The texts of all patches of kubeadm's configuration, of the cluster and of nodes, JSON 6902 patches included. */
  readonly patches: readonly string[];
  /** The merge patches among them. */
  readonly kubeadmPatches: readonly KubeadmPatch[];
  /** Patches of containerd's configuration, JSON 6902 patches included. */
  readonly containerdPatches: readonly string[];
  /** The container paths of all `extraMounts`. */
  readonly mounts: readonly string[];
  /**
   * Whether a patch enables the admission plugin AlwaysPullImages, which sets `imagePullPolicy: Always` in every pod.
   */
  readonly alwaysPullsImages: boolean;
  /** The YAML document, so that a rendered configuration keeps the user's comments and formatting. */
  readonly document: Document;
}

/** An entry of `nodes`. */
export interface ConfiguredNode {
  readonly role: "control-plane" | "worker";
  readonly image: string | undefined;
}

/** A merge patch of a kubeadm configuration document. */
export interface KubeadmPatch {
  readonly kind: string;
  readonly apiVersion: string | undefined;
  /** The field of KubeletConfiguration that, when false, lets a kubelet run on cgroup v1. */
  readonly failCgroupV1: boolean | undefined;
}

/**
 * An entry of kind's `kubeadmConfigPatchesJSON6902`: a patch for the kubeadm configuration document of this group,
 * version and kind.
 */
export interface Json6902Patch {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** The list of operations, as YAML. */
  readonly patch: string;
}

/** A bind mount of a folder of the Docker host in a node. */
export interface FolderMount {
  readonly hostPath: string;
  readonly containerPath: string;
}

/** The action's additions to a configuration. */
export interface ConfigAdditions {
  /** Merge patches of kubeadm's configuration, which kind applies before the user's. */
  readonly patches: readonly string[];
  /**
   * JSON 6902 patches, which kind applies after the cluster's merge patches, and before the user's JSON 6902 patches
   * and those of nodes.
   */
  readonly json6902: readonly Json6902Patch[];
  /** Whether kind does not create its default CNI, because the action creates it. */
  readonly disableDefaultCni: boolean;
  /** Read-only bind mounts in every node. */
  readonly mounts: readonly FolderMount[];
  /** Merge patches of containerd's configuration, which kind applies before the user's. */
  readonly containerdPatches: readonly string[];
}

const text = z.string();
/** The value of a map of texts: YAML parses `1` as a number, and kind accepts it as a text. */
const scalar = z.union([z.string(), z.number(), z.boolean()]);
const json6902 = z.array(z.strictObject({ group: text, version: text, kind: text, patch: text }));

/** The schema of kind's v1alpha4: pkg/apis/config/v1alpha4/types.go. kind rejects unknown fields, too. */
const schema = z.strictObject({
  kind: z.literal("Cluster"),
  apiVersion: z.literal("kind.x-k8s.io/v1alpha4"),
  name: z.preprocess((name) => (typeof name === "number" ? String(name) : name), text.optional()),
  nodes: z
    .array(
      z.strictObject({
        role: z.enum(["control-plane", "worker"]).optional(),
        image: text.optional(),
        labels: z.record(text, scalar.nullable()).optional(),
        extraMounts: z
          .array(
            z.strictObject({
              containerPath: text.optional(),
              hostPath: text.optional(),
              readOnly: z.boolean().optional(),
              selinuxRelabel: z.boolean().optional(),
              propagation: z.enum(["", "None", "HostToContainer", "Bidirectional"]).optional(),
            }),
          )
          .nullish(),
        extraPortMappings: z
          .array(
            z.strictObject({
              containerPort: z.int().optional(),
              hostPort: z.int().optional(),
              listenAddress: text.optional(),
              protocol: z.enum(["", "TCP", "UDP", "SCTP"]).optional(),
            }),
          )
          .nullish(),
        kubeadmConfigPatches: z.array(text).nullish(),
        kubeadmConfigPatchesJSON6902: json6902.nullish(),
      }),
    )
    .nullish(),
  networking: z
    .strictObject({
      ipFamily: z.enum(["ipv4", "ipv6", "dual"]).optional(),
      apiServerPort: z.int().optional(),
      apiServerAddress: text.optional(),
      podSubnet: text.optional(),
      serviceSubnet: text.optional(),
      disableDefaultCNI: z.boolean().optional(),
      kubeProxyMode: z.enum(["iptables", "ipvs", "nftables", "none"]).optional(),
      dnsSearch: z.array(text).optional(),
    })
    .nullish(),
  featureGates: z.record(text, z.boolean()).nullish(),
  runtimeConfig: z.record(text, scalar).nullish(),
  kubeadmConfigPatches: z.array(text).nullish(),
  kubeadmConfigPatchesJSON6902: json6902.nullish(),
  containerdConfigPatches: z.array(text).nullish(),
  containerdConfigPatchesJSON6902: z.array(text).nullish(),
});

/** The configuration with kind's defaults. */
export const defaultClusterConfig: string = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

/**
 * Parses a kind configuration, as strictly as kind does.
 *
 * @returns the configuration, or the problems in it, each with line and column
 */
export function parseClusterConfig(source: string): { config: ClusterConfig } | { problems: string[] } {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, merge: true });
  const position = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `line ${line}, column ${col}`;
  };
  if (document.errors.length > 0) {
    return {
      problems: document.errors.map(
        (error) => `is not valid YAML at ${position(error.pos[0])}: ${error.message}`,
      ),
    };
  }
  const parsed = schema.safeParse(document.toJS());
  if (!parsed.success) {
    return {
      problems: parsed.error.issues.flatMap((issue) =>
        locateIssue(issue, document).map(({ offset, reason }) => `${position(offset)}: ${reason}`),
      ),
    };
  }
  const { name, nodes, networking, featureGates, kubeadmConfigPatches, kubeadmConfigPatchesJSON6902 } =
    parsed.data;
  const patches = [
    ...(kubeadmConfigPatches ?? []),
    ...(nodes ?? []).flatMap((node) => node.kubeadmConfigPatches ?? []),
  ];
  const operations = [
    ...(kubeadmConfigPatchesJSON6902 ?? []),
    ...(nodes ?? []).flatMap((node) => node.kubeadmConfigPatchesJSON6902 ?? []),
  ];
  return {
    config: {
      name: name || undefined,
      nodes: (nodes ?? []).map((node) => ({ role: node.role ?? "control-plane", image: node.image })),
      disableDefaultCNI: networking?.disableDefaultCNI ?? false,
      ipFamily: networking?.ipFamily ?? "ipv4",
      podSubnet: networking?.podSubnet || undefined,
      hasFeatureGates: Object.keys(featureGates ?? {}).length > 0,
      patches: [...patches, ...operations.map(({ patch }) => patch)],
      kubeadmPatches: patches.flatMap(parseKubeadmPatch),
      containerdPatches: [
        ...(parsed.data.containerdConfigPatches ?? []),
        ...(parsed.data.containerdConfigPatchesJSON6902 ?? []),
      ],
      mounts: (nodes ?? []).flatMap((node) =>
        (node.extraMounts ?? []).map(({ containerPath = "" }) => containerPath),
      ),
      alwaysPullsImages: patches.some((patch) => enablesAlwaysPull.test(patch.replace(/(^|\s)#.*$/gm, ""))),
      // The failsafe schema parses all scalars as texts, so that 0755 stays 0755.
      document: parseDocument(source, { schema: "failsafe" }),
    },
  };
}

/**
 * Renders the configuration for kind: the user's, with the cluster's name, the image of every node, and the additions.
 *
 * @param images the image of each node of the configuration, in order; a single one if it lists no nodes
 */
export function renderClusterConfig(
  config: ClusterConfig,
  name: string,
  images: readonly string[],
  additions: Partial<ConfigAdditions> = {},
): string {
  const { patches, json6902, disableDefaultCni, mounts, containerdPatches } = {
    ...noAdditions,
    ...additions,
  };
  const document = config.document.clone();
  document.set("name", name);
  if (config.nodes.length === 0) document.set("nodes", document.createNode([{ role: "control-plane" }]));
  if (disableDefaultCni) {
    const existing = document.get("networking", true);
    const networking: unknown = isAlias(existing) ? copyWithoutAnchor(existing.resolve(document)) : existing;
    document.set("networking", isMap(networking) ? networking : document.createNode({}));
    document.setIn(["networking", "disableDefaultCNI"], "true");
  }
  insert(document, ["kubeadmConfigPatches"], patches);
  insert(document, ["kubeadmConfigPatchesJSON6902"], json6902);
  insert(document, ["containerdConfigPatches"], containerdPatches);
  images.forEach((image, index) => {
    const node = document.getIn(["nodes", index], true);
    // An alias becomes a copy, because nodes that share an anchor may have different images.
    if (isAlias(node)) document.setIn(["nodes", index], copyWithoutAnchor(node.resolve(document)));
    document.setIn(["nodes", index, "image"], image);
    insert(
      document,
      ["nodes", index, "extraMounts"],
      mounts.map((mount) => ({ ...mount, readOnly: "true" })),
    );
  });
  return document.toString();
}

const noAdditions: ConfigAdditions = {
  patches: [],
  json6902: [],
  disableDefaultCni: false,
  mounts: [],
  containerdPatches: [],
};

/** Replaces the images of nodes in a rendered configuration. @param names the new image by the old one */
export function replaceNodeImages(config: string, names: ReadonlyMap<string, string>): string {
  const document = parseDocument(config, { schema: "failsafe" });
  const nodes = document.get("nodes");
  for (const node of isSeq(nodes) ? nodes.items : []) {
    const image = isMap(node) ? node.get("image") : undefined;
    const name = typeof image === "string" ? names.get(image) : undefined;
    if (isMap(node) && name !== undefined) node.set("image", name);
  }
  return document.toString();
}

/**
 * Inserts items at the beginning of a list, which is created if it does not exist. Aliases of the list elsewhere keep
 * its old items.
 */
function insert(document: Document, path: readonly (string | number)[], items: readonly unknown[]): void {
  if (items.length === 0) return;
  const existing = document.getIn(path, true);
  const list = isAlias(existing) ? existing.resolve(document) : existing;
  if (!isSeq(list)) {
    document.setIn(path, document.createNode(items));
    return;
  }
  const { anchor } = list;
  if (anchor !== undefined)
    visit(document, { Alias: (_, alias) => (alias.source === anchor ? copyWithoutAnchor(list) : undefined) });
  const target = anchor === undefined ? list : copyWithoutAnchor(list);
  if (isSeq(target)) target.items.unshift(...items.map((item) => document.createNode(item)));
  document.setIn(path, target);
}

function copyWithoutAnchor(node: Node | undefined): Node | undefined {
  const copy = node?.clone();
  if (isMap(copy) || isSeq(copy)) delete copy.anchor;
  return isNode(copy) ? copy : undefined;
}

const kubeadmPatch = z.looseObject({
  kind: z.string(),
  apiVersion: z.string().optional(),
  failCgroupV1: z.boolean().optional(),
});

/**
 * Matches the argument as a field of `extraArgs` (up to kubeadm's v1beta3) and as an item of the list (since v1beta4).
 */
const enablesAlwaysPull = /enable-admission-plugins["']?\s*:?\s*(value\s*:\s*)?[^\n]*AlwaysPullImages/;

/** Parses the documents of a merge patch. One that is invalid is skipped: kind rejects it. */
function parseKubeadmPatch(source: string): KubeadmPatch[] {
  return parseAllDocuments(source).flatMap((document) => {
    const patch = kubeadmPatch.safeParse(document.errors.length > 0 ? undefined : document.toJS());
    if (!patch.success) return [];
    const { kind, apiVersion, failCgroupV1 } = patch.data;
    return [{ kind, apiVersion, failCgroupV1 }];
  });
}

/** Returns the offset of a zod issue in the text, and its reason with the path of the field. */
function locateIssue(issue: z.core.$ZodIssue, document: Document): { offset: number; reason: string }[] {
  const path = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const parent = issue.path.length === 0 ? document.contents : document.getIn(issue.path, true);
    return issue.keys.map((key) => {
      const pair = isMap(parent)
        ? parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === key)
        : undefined;
      return {
        offset: isScalar(pair?.key) ? (pair.key.range?.[0] ?? 0) : 0,
        reason: `unknown field \`${path === "" ? key : `${path}.${key}`}\``,
      };
    });
  }
  const node = issue.path.length === 0 ? document.contents : document.getIn(issue.path, true);
  const field = path === "" ? "the configuration" : `\`${path}\``;
  return [{ offset: isNode(node) ? (node.range?.[0] ?? 0) : 0, reason: `${field}: ${issue.message}` }];
}
