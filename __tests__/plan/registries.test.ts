import { describe, expect, it } from "vitest";
import type { Problem } from "../../src/lib/errors.ts";
import type { RegistryInputs } from "../../src/plan/inputs.ts";
import { planRegistries } from "../../src/plan/registries.ts";
import { parseUpstreams } from "../../src/registries/upstreams.ts";
import { configOf } from "../fixtures/cluster-config.ts";

const upstreamsOf = (line: string) => {
  const upstreams = parseUpstreams(line);
  if ("problem" in upstreams) throw new Error(upstreams.problem);
  return upstreams;
};

const noInputs: RegistryInputs = {
  image: "registry:3",
  local: undefined,
  upstreams: [],
  logins: { given: [], docker: false },
};
const local = { name: "kind-registry", port: 5000, enableDelete: false };

/** Plans registries for a configuration. @param config the lines after `kind` and `apiVersion` */
function planFor(given: Partial<RegistryInputs>, config = "", { localDaemon = true } = {}) {
  const problems: Problem[] = [];
  const plan = planRegistries(
    { registries: { ...noInputs, ...given }, config: configOf(config) },
    { folder: "/runner/_temp/kind-action-run-1", temp: "/runner/_temp", localDaemon },
    problems,
  );
  return { plan, problems };
}

const mount = (path: string) => `nodes:
- role: control-plane
- role: worker
  extraMounts:
  - hostPath: /somewhere
    containerPath: ${path}
`;

const patch = (table: string) => `containerdConfigPatches:
- |-
  [${table}."localhost:5000"]
    endpoint = ["http://kind-registry:5000"]
`;

describe("planRegistries", () => {
  it("plans nothing without inputs, and reports no problems of the configuration then", () => {
    expect(planFor({})).toEqual({ plan: undefined, problems: [] });
    expect(planFor({}, mount("/etc/containerd/certs.d"))).toEqual({ plan: undefined, problems: [] });
    expect(planFor({}, patch('plugins."io.containerd.grpc.v1.cri".registry.mirrors'))).toEqual({
      plan: undefined,
      problems: [],
    });
  });

  it("plans only the local registry, or only proxies", () => {
    expect(planFor({ local }).plan).toEqual({ image: "registry:3", local, proxies: undefined });
    const upstreams = upstreamsOf("ghcr.io");
    expect(planFor({ upstreams }).plan).toMatchObject({ local: undefined, proxies: { upstreams } });
  });

  it("plans a folder of the job for public images, and one of the run for others", () => {
    const { plan } = planFor({ upstreams: upstreamsOf("default") });
    expect(plan?.proxies?.folders).toEqual({
      shared: "/runner/_temp/kind-action-proxies",
      own: "/runner/_temp/kind-action-run-1/proxies",
    });
  });

  it("plans no folders if the daemon runs on another machine", () => {
    const { plan, problems } = planFor({ upstreams: upstreamsOf("default") }, "", { localDaemon: false });
    expect(plan?.proxies?.folders).toBeUndefined();
    expect(plan?.proxies?.upstreams).toHaveLength(8);
    expect(problems).toEqual([]);
  });
});

describe("planRegistries with a configuration that contains registry settings", () => {
  it.each(["/etc/containerd/certs.d", "/etc/containerd/certs.d/", "/etc/containerd/certs.d/ghcr.io"])(
    "rejects a mount at %s",
    (path) => {
      expect(planFor({ local }, mount(path)).problems).toEqual([
        {
          input: "registry",
          value: "",
          reason: expect.stringMatching(/^`config` mounts a folder at \/etc\/containerd\/certs\.d /),
        },
      ]);
    },
  );

  it.each(["/etc/containerd/certs.d.mine", "/etc/ssl/certs", "/var/lib/containerd"])(
    "accepts a mount at %s",
    (path) => {
      expect(planFor({ local }, mount(path)).problems).toEqual([]);
    },
  );

  it.each([
    'plugins."io.containerd.grpc.v1.cri".registry.mirrors',
    "plugins.'io.containerd.grpc.v1.cri'.registry.configs",
    'plugins."io.containerd.cri.v1.images".registry.mirrors',
    'plugins."io.containerd.grpc.v1.cri"."registry"."mirrors"',
  ])("rejects mirrors in a TOML patch: [%s]", (table) => {
    expect(planFor({ local }, patch(table)).problems).toEqual([
      {
        input: "registry",
        value: "",
        reason: expect.stringContaining(
          "`config` has registry mirrors or configs in `containerdConfigPatches`",
        ),
      },
    ]);
  });

  it.each([
    '[{"op": "add", "path": "/plugins/io.containerd.grpc.v1.cri/registry/mirrors/ghcr.io", "value": {}}]',
    '[{"op": "add", "path": "/plugins/io.containerd.grpc.v1.cri/registry/configs", "value": {}}]',
  ])("rejects mirrors in a JSON 6902 patch: %s", (operations) => {
    const config = `containerdConfigPatchesJSON6902:\n- '${operations}'\n`;
    expect(planFor({ local }, config).problems).toHaveLength(1);
  });

  it("rejects another config_path", () => {
    const config = `containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/mirrors"
`;
    expect(planFor({ local }, config).problems).toEqual([
      {
        input: "registry",
        value: "",
        reason: expect.stringMatching(/^`config` sets `config_path` of containerd to another folder than /),
      },
    ]);
  });

  it("accepts other containerd patches", () => {
    const config = `containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri"]
    max_container_log_line_size = 32768
- |-
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
`;
    expect(planFor({ local }, config).problems).toEqual([]);
  });

  it("reports all problems, with the input that enables the registries", () => {
    const both =
      mount("/etc/containerd/certs.d") + patch('plugins."io.containerd.grpc.v1.cri".registry.mirrors');
    const { problems } = planFor({ upstreams: upstreamsOf("ghcr.io") }, both);
    expect(problems.map(({ input }) => input)).toEqual(["registry_proxies", "registry_proxies"]);
  });
});
