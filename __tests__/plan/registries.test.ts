import { describe, expect, it } from "vitest";
import type { Problem } from "../../src/lib/errors.ts";
import { planRegistries } from "../../src/plan/registries.ts";
import { parseUpstreams } from "../../src/registries/upstreams.ts";
import type { RegistryInputs } from "../../src/runner/inputs.ts";
import { configOf } from "../fixtures/cluster-config.ts";

const upstreamsOf = (line: string) => {
  const upstreams = parseUpstreams(line);
  if ("problem" in upstreams) throw new Error(upstreams.problem);
  return upstreams;
};

const nothingAsked: RegistryInputs = {
  image: "registry:3",
  local: undefined,
  upstreams: [],
  logins: { given: [], docker: false },
};
const local = { name: "kind-registry", port: 5000, enableDelete: false };

/** What is planned for a cluster's configuration, from what follows its first two lines. */
function planFor(asked: Partial<RegistryInputs>, config = "", on: { localDaemon?: boolean } = {}) {
  const problems: Problem[] = [];
  const plan = planRegistries(
    { registries: { ...nothingAsked, ...asked }, config: configOf(config) },
    { folder: "/runner/_temp/kind-action-run-1", temp: "/runner/_temp", localDaemon: on.localDaemon ?? true },
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

describe("a cluster's registries", () => {
  it("are none where none is asked for, and no configuration stands in the way of that", () => {
    expect(planFor({})).toEqual({ plan: undefined, problems: [] });
    expect(planFor({}, mount("/etc/containerd/certs.d"))).toEqual({ plan: undefined, problems: [] });
    expect(planFor({}, patch('plugins."io.containerd.grpc.v1.cri".registry.mirrors'))).toEqual({
      plan: undefined,
      problems: [],
    });
  });

  it("are the local one alone, or proxies alone, as they are asked for", () => {
    expect(planFor({ local }).plan).toEqual({ image: "registry:3", local, proxies: undefined });
    const upstreams = upstreamsOf("ghcr.io");
    expect(planFor({ upstreams }).plan).toMatchObject({ local: undefined, proxies: { upstreams } });
  });

  it("keep what everybody may see in one folder of the job, for all clusters that it makes, and the rest apart", () => {
    const { plan } = planFor({ upstreams: upstreamsOf("default") });
    expect(plan?.proxies?.folders).toEqual({
      shared: "/runner/_temp/kind-action-proxies",
      own: "/runner/_temp/kind-action-run-1/proxies",
    });
  });

  it("keep nothing on this machine where the daemon runs on another one", () => {
    const { plan, problems } = planFor({ upstreams: upstreamsOf("default") }, "", { localDaemon: false });
    expect(plan?.proxies?.folders).toBeUndefined();
    expect(plan?.proxies?.upstreams).toHaveLength(8);
    expect(problems).toEqual([]);
  });
});

describe("a configuration that says itself where images come from", () => {
  it.each(["/etc/containerd/certs.d", "/etc/containerd/certs.d/", "/etc/containerd/certs.d/ghcr.io"])(
    "is refused where it has a folder of the user's at %s: the action would write into that",
    (path) => {
      expect(planFor({ local }, mount(path)).problems).toEqual([
        {
          input: "registry",
          value: "",
          reason: expect.stringMatching(/^`config` mounts a folder of yours at \/etc\/containerd\/certs\.d /),
        },
      ]);
    },
  );

  it.each(["/etc/containerd/certs.d.mine", "/etc/ssl/certs", "/var/lib/containerd"])(
    "may have a folder of the user's at %s",
    (path) => {
      expect(planFor({ local }, mount(path)).problems).toEqual([]);
    },
  );

  it.each([
    'plugins."io.containerd.grpc.v1.cri".registry.mirrors',
    "plugins.'io.containerd.grpc.v1.cri'.registry.configs",
    'plugins."io.containerd.cri.v1.images".registry.mirrors',
    'plugins."io.containerd.grpc.v1.cri"."registry"."mirrors"',
  ])("is refused with mirrors in the way of old: [%s]", (table) => {
    expect(planFor({ local }, patch(table)).problems).toEqual([
      {
        input: "registry",
        value: "",
        reason: expect.stringContaining(
          "`config` has registry mirrors of its own in `containerdConfigPatches`",
        ),
      },
    ]);
  });

  it.each([
    '[{"op": "add", "path": "/plugins/io.containerd.grpc.v1.cri/registry/mirrors/ghcr.io", "value": {}}]',
    '[{"op": "add", "path": "/plugins/io.containerd.grpc.v1.cri/registry/configs", "value": {}}]',
  ])("is refused with such mirrors as JSON 6902, too: %s", (operations) => {
    const config = `containerdConfigPatchesJSON6902:\n- '${operations}'\n`;
    expect(planFor({ local }, config).problems).toHaveLength(1);
  });

  it("may patch everything else of containerd", () => {
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

  it("is told of all that stands in the way at once, by the input that asks for it", () => {
    const both =
      mount("/etc/containerd/certs.d") + patch('plugins."io.containerd.grpc.v1.cri".registry.mirrors');
    const { problems } = planFor({ upstreams: upstreamsOf("ghcr.io") }, both);
    expect(problems.map(({ input }) => input)).toEqual(["registry_proxies", "registry_proxies"]);
  });
});
