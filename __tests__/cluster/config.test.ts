import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import {
  type ConfigAdditions,
  defaultClusterConfig,
  parseClusterConfig,
  renderClusterConfig,
  replaceNodeImages,
} from "../../src/cluster/config.ts";
import { configOf } from "../fixtures/cluster-config.ts";

const head = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

const problemsOf = (source: string) => {
  const parsed = parseClusterConfig(source);
  return "problems" in parsed ? parsed.problems : [];
};

function configFrom(source: string) {
  const parsed = parseClusterConfig(source);
  if ("problems" in parsed) throw new Error(parsed.problems.join("\n"));
  return parsed.config;
}

describe("parseClusterConfig", () => {
  it("accepts kind's defaults", () => {
    const parsed = parseClusterConfig(defaultClusterConfig);
    expect(parsed).toMatchObject({
      config: {
        name: undefined,
        nodes: [],
        disableDefaultCNI: false,
        kubeadmPatches: [],
        alwaysPullsImages: false,
      },
    });
  });

  it("returns the name, the nodes and the network settings", () => {
    const config = configOf(`
name: shop
nodes:
- role: control-plane
  image: kindest/node:v1.34.11
- role: worker
- {}
networking:
  disableDefaultCNI: true
  ipFamily: dual
`);
    expect(config).toMatchObject({
      name: "shop",
      nodes: [
        { role: "control-plane", image: "kindest/node:v1.34.11" },
        { role: "worker", image: undefined },
        // kind's default role.
        { role: "control-plane", image: undefined },
      ],
      disableDefaultCNI: true,
    });
  });

  it("accepts empty lists, as kind does", () => {
    expect(configOf("nodes:\nnetworking:\nfeatureGates:\nkubeadmConfigPatches:\n")).toMatchObject({
      nodes: [],
    });
  });

  it("accepts all fields of v1alpha4", () => {
    expect(
      problemsOf(`${head}
name: all
nodes:
- role: worker
  image: kindest/node:v1.34.11
  labels: {tier: backend, zone: 1, spot: true}
  extraMounts:
  - {hostPath: /a, containerPath: /b, readOnly: true, selinuxRelabel: false, propagation: HostToContainer}
  extraPortMappings:
  - {containerPort: 80, hostPort: 8080, listenAddress: "127.0.0.1", protocol: TCP}
  kubeadmConfigPatches: ["kind: JoinConfiguration"]
  kubeadmConfigPatchesJSON6902: [{group: g, version: v, kind: k, patch: p}]
networking:
  ipFamily: ipv6
  apiServerPort: 6443
  apiServerAddress: 127.0.0.1
  podSubnet: 10.244.0.0/16
  serviceSubnet: 10.96.0.0/12
  disableDefaultCNI: false
  kubeProxyMode: nftables
  dnsSearch: [example.com]
featureGates: {CSIMigration: true}
runtimeConfig: {"api/all": "true", "api/beta": false}
kubeadmConfigPatches: ["kind: ClusterConfiguration"]
kubeadmConfigPatchesJSON6902: []
containerdConfigPatches: ["[plugins]"]
containerdConfigPatchesJSON6902: ["[]"]
`),
    ).toEqual([]);
  });

  it.each(["ipv4", "ipv6", "dual"])("accepts the IP family %s", (ipFamily) => {
    expect(problemsOf(`${head}networking: {ipFamily: ${ipFamily}}`)).toEqual([]);
  });

  it.each(["iptables", "ipvs", "nftables", "none"])("accepts the kube-proxy mode %s", (mode) => {
    expect(problemsOf(`${head}networking: {kubeProxyMode: ${mode}}`)).toEqual([]);
  });

  it("returns kind and apiVersion of each kubeadm merge patch, of the cluster and of nodes", () => {
    const { kubeadmPatches } = configOf(`
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiVersion: kubeadm.k8s.io/v1beta3
- |
  kind: KubeletConfiguration
  failCgroupV1: false
  ---
  kind: InitConfiguration
nodes:
- kubeadmConfigPatches: ["kind: JoinConfiguration"]
`);
    expect(kubeadmPatches).toEqual([
      { kind: "ClusterConfiguration", apiVersion: "kubeadm.k8s.io/v1beta3", failCgroupV1: undefined },
      { kind: "KubeletConfiguration", apiVersion: undefined, failCgroupV1: false },
      { kind: "InitConfiguration", apiVersion: undefined, failCgroupV1: undefined },
      { kind: "JoinConfiguration", apiVersion: undefined, failCgroupV1: undefined },
    ]);
  });

  it("returns the patches of containerd's configuration, and the container paths of mounts", () => {
    const { containerdPatches, mounts } = configOf(`
containerdConfigPatches: [merged]
containerdConfigPatchesJSON6902: ["[]"]
nodes:
- role: control-plane
  extraMounts:
  - {hostPath: /a, containerPath: /etc/containerd/certs.d}
  - {hostPath: /b}
- role: worker
  extraMounts: [{hostPath: /c, containerPath: /data}]
`);
    expect(containerdPatches).toEqual(["merged", "[]"]);
    expect(mounts).toEqual(["/etc/containerd/certs.d", "", "/data"]);
    expect(configOf("containerdConfigPatches:\nnodes: [{extraMounts: }]\n")).toMatchObject({
      containerdPatches: [],
      mounts: [],
    });
  });

  it("accepts invalid kubeadm patches, which kind rejects", () => {
    const patches = ["{", "just text", "kind: 1", "kind: ClusterConfiguration\nkind: twice"];
    expect(configOf(`kubeadmConfigPatches: ${JSON.stringify(patches)}`).kubeadmPatches).toEqual([]);
  });
});

describe("parseClusterConfig returns the problem with line and column for", () => {
  it.each([
    ["an unknown field", `${head}node: []`, ["line 3, column 1: unknown field `node`"]],
    [
      "an unknown field of a node",
      `${head}nodes:\n- role: worker\n  memory: 4Gi`,
      ["line 5, column 3: unknown field `nodes.0.memory`"],
    ],
    [
      "an unknown field of a mount",
      `${head}nodes:\n- extraMounts:\n  - path: /a`,
      ["line 5, column 5: unknown field `nodes.0.extraMounts.0.path`"],
    ],
    [
      "two unknown fields",
      `${head}nope: 1\nnetworking: {ipFamly: dual}`,
      ["line 4, column 14: unknown field `networking.ipFamly`", "line 3, column 1: unknown field `nope`"],
    ],
    [
      "an unknown role",
      `${head}nodes:\n- role: master`,
      ['line 4, column 9: `nodes.0.role`: Invalid option: expected one of "control-plane"|"worker"'],
    ],
    [
      "another version of the configuration format",
      "kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha3",
      ['line 2, column 13: `apiVersion`: Invalid input: expected "kind.x-k8s.io/v1alpha4"'],
    ],
    [
      "a list in place of a text",
      `${head}name: [a]`,
      ["line 3, column 7: `name`: Invalid input: expected string, received array"],
    ],
    [
      "a port that is not a number",
      `${head}nodes:\n- extraPortMappings:\n  - containerPort: http`,
      [
        "line 5, column 20: `nodes.0.extraPortMappings.0.containerPort`: Invalid input: expected number, received string",
      ],
    ],
  ])("%s", (_, source, problems) => {
    expect(problemsOf(source).toSorted()).toEqual(problems.toSorted());
  });

  it("invalid YAML", () => {
    const [problem] = problemsOf(`${head}nodes:\n- role: [worker\n`);
    expect(problem).toMatch(/^is not valid YAML at line 5, column 1: /);
    const [tab] = problemsOf(`${head}nodes:\n\t- role: worker\n`);
    expect(tab).toMatch(/^is not valid YAML at line 4, column 1: /);
    const [twice] = problemsOf(`${head}name: a\nname: b\n`);
    expect(twice).toMatch(/^is not valid YAML at line 4, column 1: .*unique/);
  });

  it.each([
    ["", "null"],
    ["null", "null"],
    ["just text", "string"],
    ["- a\n- list", "array"],
  ])("YAML that is not a mapping: %j", (source, type) => {
    expect(problemsOf(source)).toEqual([
      `line 1, column 1: the configuration: Invalid input: expected object, received ${type}`,
    ]);
  });

  it("another Kubernetes object", () => {
    expect(problemsOf("apiVersion: apps/v1\nkind: Deployment\n")).toEqual([
      'line 2, column 7: `kind`: Invalid input: expected "Cluster"',
      'line 1, column 13: `apiVersion`: Invalid input: expected "kind.x-k8s.io/v1alpha4"',
    ]);
  });
});

describe("renderClusterConfig", () => {
  const image = "kindest/node:v1.34.11@sha256:aa";

  it("sets the name of the cluster, and adds a control plane if no nodes are listed", () => {
    const rendered = renderClusterConfig(configOf(), "shop", [image]);
    expect(parse(rendered)).toEqual({
      kind: "Cluster",
      apiVersion: "kind.x-k8s.io/v1alpha4",
      name: "shop",
      nodes: [{ role: "control-plane", image }],
    });
  });

  it("replaces the name and the image of every node", () => {
    const config = configOf("name: old\nnodes:\n- role: control-plane\n  image: old\n- role: worker\n");
    expect(parse(renderClusterConfig(config, "new", ["one", "two"]))).toMatchObject({
      name: "new",
      nodes: [
        { role: "control-plane", image: "one" },
        { role: "worker", image: "two" },
      ],
    });
  });

  it("keeps comments, quotes, order, and texts that look like numbers", () => {
    const written = `# our test cluster
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  apiServerAddress: "127.0.0.1" # loopback alone
nodes:
  # the only one
  - role: control-plane
    labels:
      tier: 1
      version: "1.10"
      commit: "0123456"
`;
    const rendered = renderClusterConfig(configFrom(written), "shop", [image]);
    for (const line of written.split("\n")) expect(rendered.split("\n")).toContain(line);
    expect(rendered).toContain("      tier: 1\n");
  });

  it("does not change patches", () => {
    const patch = '  kind: InitConfiguration\n  nodeRegistration:\n    kubeletExtraArgs:\n      v: "4"\n';
    const written = `${head}kubeadmConfigPatches:\n- |\n${patch}`;
    expect(parse(renderClusterConfig(configFrom(written), "shop", [image])).kubeadmConfigPatches).toEqual(
      parse(written).kubeadmConfigPatches,
    );
  });

  it("removes the anchor of a node whose image it sets", () => {
    const config = configOf(`nodes:
- &worker
  role: worker
  labels: {tier: backend}
- role: control-plane
`);
    expect(parse(renderClusterConfig(config, "shop", ["one", "two"])).nodes).toEqual([
      { role: "worker", labels: { tier: "backend" }, image: "one" },
      { role: "control-plane", image: "two" },
    ]);
  });

  it("does not change the parsed configuration", () => {
    const config = configOf("name: old\n");
    renderClusterConfig(config, "new", [image]);
    expect(parse(renderClusterConfig(config, "newer", [image]))).toMatchObject({ name: "newer" });
    expect(config.document.toJS()).toMatchObject({ name: "old" });
  });
});

describe("renderClusterConfig with YAML features", () => {
  const rendered = (source: string, images: string[]) =>
    renderClusterConfig(configOf(source), "shop", images);

  it("sets different images in nodes that are aliases of one anchor", () => {
    const text = rendered(`nodes:\n- &w\n  role: control-plane\n- *w\n`, ["a:1", "b:1"]);
    expect(parse(text).nodes).toEqual([
      { role: "control-plane", image: "a:1" },
      { role: "control-plane", image: "b:1" },
    ]);
  });

  it("supports merge keys", () => {
    const source = `nodes:\n- &w\n  role: control-plane\n- <<: *w\n  role: worker\n`;
    expect(configOf(source).nodes.map(({ role }) => role)).toEqual(["control-plane", "worker"]);
  });

  it("keeps the notation of numbers", () => {
    const labels = "{mode: 0755, sha: 12345678901234567890, e: 1e3, version: 1.10}";
    const text = rendered(`nodes:\n- role: control-plane\n  labels: ${labels}\n`, ["a:1"]);
    for (const written of ["mode: 0755", "sha: 12345678901234567890", "e: 1e3", "version: 1.10"]) {
      expect(text).toContain(written);
    }
  });
});

describe("parseClusterConfig finds AlwaysPullImages", () => {
  const alwaysPulls = (...lines: string[]) =>
    configOf(`kubeadmConfigPatches:\n- |\n${lines.map((line) => `  ${line}\n`).join("")}`).alwaysPullsImages;

  it.each([
    {
      form: "a field, up to kubeadm's v1beta3",
      lines: ["    enable-admission-plugins: NodeRestriction,AlwaysPullImages"],
    },
    { form: "a quoted field", lines: ['    "enable-admission-plugins": "AlwaysPullImages"'] },
    {
      form: "a list item, since v1beta4",
      lines: ["  - name: enable-admission-plugins", "    value: AlwaysPullImages"],
    },
    {
      form: "a list item in flow style",
      lines: ['  - {name: "enable-admission-plugins", value: "A,AlwaysPullImages,B"}'],
    },
  ])("in $form", ({ lines }) => {
    expect(alwaysPulls("kind: ClusterConfiguration", "apiServer:", "  extraArgs:", ...lines)).toBe(true);
  });

  it("in a patch of a node", () => {
    const node =
      "nodes:\n- role: control-plane\n  kubeadmConfigPatches:\n  - |\n    kind: ClusterConfiguration\n";
    const patch = "    apiServer: {extraArgs: {enable-admission-plugins: AlwaysPullImages}}\n";
    expect(configOf(node + patch).alwaysPullsImages).toBe(true);
  });

  it.each([
    { form: "other plugins", lines: ["    enable-admission-plugins: NodeRestriction"] },
    { form: "the plugin disabled", lines: ["    disable-admission-plugins: AlwaysPullImages"] },
    { form: "a comment", lines: ["    # enable-admission-plugins: AlwaysPullImages"] },
  ])("but not in a patch with $form", ({ lines }) => {
    expect(alwaysPulls("kind: ClusterConfiguration", "apiServer:", "  extraArgs:", ...lines)).toBe(false);
  });
});

describe("renderClusterConfig with additions", () => {
  const render = (source: string, additions: Partial<ConfigAdditions>) =>
    parse(renderClusterConfig(configOf(source), "shop", ["one", "two"], additions));

  it("inserts merge patches before those of the user, which take precedence", () => {
    const patches = ["kind: ClusterConfiguration\netcd: {}\n"];
    expect(render("", { patches }).kubeadmConfigPatches).toEqual(patches);
    expect(render("kubeadmConfigPatches: [theirs]\n", { patches }).kubeadmConfigPatches).toEqual([
      ...patches,
      "theirs",
    ]);
    expect(render("kubeadmConfigPatches:\n", { patches }).kubeadmConfigPatches).toEqual(patches);
  });

  it("inserts JSON 6902 patches before those of the user", () => {
    const added = { group: "kubeadm.k8s.io", version: "v1beta4", kind: "ClusterConfiguration", patch: "[]" };
    const theirs = "{group: g, version: v, kind: k, patch: '[]'}";
    expect(
      render(`kubeadmConfigPatchesJSON6902: [${theirs}]\n`, { json6902: [added] })
        .kubeadmConfigPatchesJSON6902,
    ).toEqual([added, { group: "g", version: "v", kind: "k", patch: "[]" }]);
  });

  it("inserts patches of containerd's configuration before those of the user", () => {
    const containerdPatches = ["[plugins]\n"];
    expect(render("", { containerdPatches }).containerdConfigPatches).toEqual(containerdPatches);
    expect(
      render("containerdConfigPatches: [theirs]\n", { containerdPatches }).containerdConfigPatches,
    ).toEqual([...containerdPatches, "theirs"]);
    const none = render("containerdConfigPatches: [theirs]\n", { containerdPatches: [] });
    expect(none.containerdConfigPatches).toEqual(["theirs"]);
  });

  it("inserts mounts in every node, before those of the user", () => {
    const mount = { hostPath: "/tmp/x", containerPath: "/x" };
    const nodes =
      "nodes:\n- role: control-plane\n  extraMounts: [{hostPath: /a, containerPath: /b}]\n- role: worker\n";
    expect(render(nodes, { mounts: [mount] }).nodes).toEqual([
      {
        role: "control-plane",
        image: "one",
        extraMounts: [
          { hostPath: "/tmp/x", containerPath: "/x", readOnly: true },
          { hostPath: "/a", containerPath: "/b" },
        ],
      },
      { role: "worker", image: "two", extraMounts: [{ ...mount, readOnly: true }] },
    ]);
    const alone = parse(renderClusterConfig(configOf(""), "shop", ["one"], { mounts: [mount] }));
    expect(alone.nodes).toEqual([
      { role: "control-plane", image: "one", extraMounts: [{ ...mount, readOnly: true }] },
    ]);
  });

  it("disables the default CNI, and keeps other network settings", () => {
    expect(render("networking: {podSubnet: 10.1.0.0/16}\n", { disableDefaultCni: true }).networking).toEqual({
      podSubnet: "10.1.0.0/16",
      disableDefaultCNI: true,
    });
    expect(render("networking:\n", { disableDefaultCni: true }).networking).toEqual({
      disableDefaultCNI: true,
    });
  });

  it("does not change aliases of a list in other places", () => {
    const shared = "kubeadmConfigPatches: &mine [theirs]\nnodes:\n- kubeadmConfigPatches: *mine\n";
    const { kubeadmConfigPatches, nodes } = render(shared, { patches: ["ours"] });
    expect(kubeadmConfigPatches).toEqual(["ours", "theirs"]);
    expect(nodes[0].kubeadmConfigPatches).toEqual(["theirs"]);
  });
});

describe("replaceNodeImages", () => {
  const rendered = (source: string, ...images: string[]) =>
    renderClusterConfig(configOf(source), "shop", images);
  const two = "nodes:\n- role: control-plane\n- role: worker\n";
  const imagesIn = (config: string) => parse(config).nodes.map(({ image }: { image: string }) => image);

  it("replaces the image of each node", () => {
    const config = rendered(two, "one@sha256:aa", "two@sha256:bb");
    const names = new Map([
      ["one@sha256:aa", "restored:aa"],
      ["two@sha256:bb", "restored:bb"],
    ]);
    expect(imagesIn(replaceNodeImages(config, names))).toEqual(["restored:aa", "restored:bb"]);
  });

  it("replaces an image in all nodes, and keeps other images", () => {
    const config = rendered(`${two}- role: worker\n`, "one", "two", "one");
    expect(imagesIn(replaceNodeImages(config, new Map([["one", "restored:aa"]])))).toEqual([
      "restored:aa",
      "two",
      "restored:aa",
    ]);
  });

  it("does not change anything else", () => {
    const source = `# our cluster
nodes:
- role: control-plane # the only one
  labels: {tier: 1, version: "1.10", mode: 0755, sha: 12345678901234567890}
kubeadmConfigPatches:
- |
  kind: InitConfiguration
  nodeRegistration:
    kubeletExtraArgs:
      image: one
`;
    const config = rendered(source, "one");
    expect(replaceNodeImages(config, new Map())).toBe(config);
    expect(replaceNodeImages(config, new Map([["one", "one"]]))).toBe(config);
    const line = "\n    image: one\n";
    expect(config.split(line)).toHaveLength(2);
    expect(replaceNodeImages(config, new Map([["one", "restored:aa"]]))).toBe(
      config.replace(line, "\n    image: restored:aa\n"),
    );
  });

  it("keeps mounts, and the nodes of an anchor", () => {
    const source =
      "nodes:\n- &w\n  role: control-plane\n  extraMounts: [{hostPath: /a, containerPath: /b}]\n- *w\n";
    const config = replaceNodeImages(rendered(source, "one", "two"), new Map([["two", "restored:bb"]]));
    const node = { role: "control-plane", extraMounts: [{ hostPath: "/a", containerPath: "/b" }] };
    expect(parse(config).nodes).toEqual([
      { ...node, image: "one" },
      { ...node, image: "restored:bb" },
    ]);
  });
});
