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

/** A kind configuration: the user's own text, read and checked. */
export interface ClusterConfig {
  readonly name: string | undefined;
  /** As written; without any, kind makes a single control plane. */
  readonly nodes: readonly ConfiguredNode[];
  readonly disableDefaultCNI: boolean;
  readonly ipFamily: "ipv4" | "ipv6" | "dual";
  readonly podSubnet: string | undefined;
  readonly hasFeatureGates: boolean;
  /** Every patch of kubeadm's configuration as written, for the cluster and for nodes, those by JSON 6902 too. */
  readonly patches: readonly string[];
  /** The same without JSON 6902: what it names as its kind and apiVersion. */
  readonly kubeadmPatches: readonly KubeadmPatch[];
  /** Patches of containerd's configuration, those by JSON 6902 too. */
  readonly containerdPatches: readonly string[];
  /** Where nodes have folders of the runner. */
  readonly mounts: readonly string[];
  /** Whether a patch turns on the admission plugin that makes every pod pull its images. */
  readonly alwaysPullsImages: boolean;
  /** The text as a document, so that what is not changed stays as the user wrote it. */
  readonly document: Document;
}

export interface ConfiguredNode {
  readonly role: "control-plane" | "worker";
  readonly image: string | undefined;
}

export interface KubeadmPatch {
  readonly kind: string;
  readonly apiVersion: string | undefined;
  /** KubeletConfiguration's switch that lets a kubelet run on cgroup v1. */
  readonly failCgroupV1: boolean | undefined;
}

/** A patch as kind takes it, for documents of kubeadm's configuration. */
export interface Json6902Patch {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** A list of operations, as YAML. */
  readonly patch: string;
}

/** A folder of this machine, and where a node has it. */
export interface FolderMount {
  readonly hostPath: string;
  readonly containerPath: string;
}

/** What a configuration is given beside the user's own. */
export interface ConfigAdditions {
  /** Merge patches of kubeadm's configuration, applied before the user's. */
  readonly patches: readonly string[];
  /** Applied after all of the cluster's merge patches, before the user's own of this kind, and those of nodes. */
  readonly json6902: readonly Json6902Patch[];
  /** Whether kind leaves the network to us. */
  readonly disableDefaultCni: boolean;
  /** Folders of this machine in every node, only to read. */
  readonly mounts: readonly FolderMount[];
  /** Patches of containerd's configuration, applied before the user's. */
  readonly containerdPatches: readonly string[];
}

const text = z.string();
/** YAML reads `1` as a number where kind takes the text. */
const scalar = z.union([z.string(), z.number(), z.boolean()]);
const json6902 = z.array(z.strictObject({ group: text, version: text, kind: text, patch: text }));

/** kind's configuration, v1alpha4: pkg/apis/config/v1alpha4/types.go. Unknown fields are errors there too. */
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

/** What kind makes when nobody configures anything. */
export const defaultClusterConfig: string = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

/**
 * Reads a kind configuration as strictly as kind does.
 *
 * @returns the configuration, or what is wrong with it, each with line and column
 */
export function parseClusterConfig(source: string): { config: ClusterConfig } | { problems: string[] } {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, merge: true });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `line ${line}, column ${col}`;
  };
  if (document.errors.length > 0) {
    return {
      problems: document.errors.map((error) => `not valid YAML at ${at(error.pos[0])}: ${error.message}`),
    };
  }
  const read = schema.safeParse(document.toJS());
  if (!read.success) {
    return {
      problems: read.error.issues.flatMap((issue) =>
        explain(issue, document).map(({ offset, reason }) => `${at(offset)}: ${reason}`),
      ),
    };
  }
  const { name, nodes, networking, featureGates, kubeadmConfigPatches, kubeadmConfigPatchesJSON6902 } =
    read.data;
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
        ...(read.data.containerdConfigPatches ?? []),
        ...(read.data.containerdConfigPatchesJSON6902 ?? []),
      ],
      mounts: (nodes ?? []).flatMap((node) =>
        (node.extraMounts ?? []).map(({ containerPath = "" }) => containerPath),
      ),
      alwaysPullsImages: patches.some((patch) => enablesAlwaysPull.test(patch.replace(/(^|\s)#.*$/gm, ""))),
      // All values as texts, in the way they were written: 0755 stays 0755.
      document: parseDocument(source, { schema: "failsafe" }),
    },
  };
}

/**
 * Writes the configuration that kind is given: the user's, with the cluster's name and the image of every node.
 *
 * @param images one for each node of the configuration, in order; a single one where it lists no nodes
 */
export function renderClusterConfig(
  config: ClusterConfig,
  name: string,
  images: readonly string[],
  additions: Partial<ConfigAdditions> = {},
): string {
  const {
    patches,
    json6902,
    disableDefaultCni: ownNetwork,
    mounts,
    containerdPatches,
  } = { ...nothingAdded, ...additions };
  const document = config.document.clone();
  document.set("name", name);
  if (config.nodes.length === 0) document.set("nodes", document.createNode([{ role: "control-plane" }]));
  if (ownNetwork) {
    const there = document.get("networking", true);
    const networking: unknown = isAlias(there) ? copyOf(there.resolve(document)) : there;
    document.set("networking", isMap(networking) ? networking : document.createNode({}));
    document.setIn(["networking", "disableDefaultCNI"], "true");
  }
  insert(document, ["kubeadmConfigPatches"], patches);
  insert(document, ["kubeadmConfigPatchesJSON6902"], json6902);
  insert(document, ["containerdConfigPatches"], containerdPatches);
  images.forEach((image, index) => {
    const node = document.getIn(["nodes", index], true);
    // A node that repeats another by its anchor gets a copy of it, to have an image of its own.
    if (isAlias(node)) document.setIn(["nodes", index], copyOf(node.resolve(document)));
    document.setIn(["nodes", index, "image"], image);
    insert(
      document,
      ["nodes", index, "extraMounts"],
      mounts.map((mount) => ({ ...mount, readOnly: "true" })),
    );
  });
  return document.toString();
}

const nothingAdded: ConfigAdditions = {
  patches: [],
  json6902: [],
  disableDefaultCni: false,
  mounts: [],
  containerdPatches: [],
};

/** A rendered configuration with other names for the images of its nodes. */
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

/** Puts items at the beginning of a list, which may not be there yet. One that is written elsewhere too stays there as it is. */
function insert(document: Document, path: readonly (string | number)[], items: readonly unknown[]): void {
  if (items.length === 0) return;
  const there = document.getIn(path, true);
  const list = isAlias(there) ? there.resolve(document) : there;
  if (!isSeq(list)) {
    document.setIn(path, document.createNode(items));
    return;
  }
  const { anchor } = list;
  if (anchor !== undefined)
    visit(document, { Alias: (_, alias) => (alias.source === anchor ? copyOf(list) : undefined) });
  const own = anchor === undefined ? list : copyOf(list);
  if (isSeq(own)) own.items.unshift(...items.map((item) => document.createNode(item)));
  document.setIn(path, own);
}

function copyOf(node: Node | undefined): Node | undefined {
  const copy = node?.clone();
  if (isMap(copy) || isSeq(copy)) delete copy.anchor;
  return isNode(copy) ? copy : undefined;
}

const kubeadmPatch = z.looseObject({
  kind: z.string(),
  apiVersion: z.string().optional(),
  failCgroupV1: z.boolean().optional(),
});

/** As a field of `extraArgs` up to kubeadm's v1beta3, and as an item of the list that it is since. */
const enablesAlwaysPull = /enable-admission-plugins["']?\s*:?\s*(value\s*:\s*)?[^\n]*AlwaysPullImages/;

/** A patch that cannot be read is kind's to refuse: it knows kubeadm's fields. */
function parseKubeadmPatch(source: string): KubeadmPatch[] {
  return parseAllDocuments(source).flatMap((document) => {
    const patch = kubeadmPatch.safeParse(document.errors.length > 0 ? undefined : document.toJS());
    if (!patch.success) return [];
    const { kind, apiVersion, failCgroupV1 } = patch.data;
    return [{ kind, apiVersion, failCgroupV1 }];
  });
}

/** Puts one of zod's findings where it is in the text, and in the words of somebody who writes YAML. */
function explain(issue: z.core.$ZodIssue, document: Document): { offset: number; reason: string }[] {
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
