import { describe, expect, it } from "vitest";
import type { RegistriesPlan } from "../../src/plan/registries.ts";
import { noRegistries, startRegistries } from "../../src/registries/start.ts";
import type { KeptNetwork } from "../fixtures/daemon-networks.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { listening, panicked } from "../fixtures/registry-words.ts";

const local = { name: "kind-registry", port: 5000, enableDelete: false };
const proxies = (...names: string[]) => ({
  upstreams: names.map((name) => ({ name, url: `https://${name}`, mirror: undefined })),
  logins: { given: [], docker: false },
  folders: undefined,
});

/** A cluster's network, whose subnet was demanded, with a node on it. */
const network: KeptNetwork = {
  name: "kind",
  subnets: [{ subnet: "172.18.0.0/16" }],
  containers: { node: { name: "kind-control-plane", ipv4: "172.18.0.2/16" } },
};

async function daemonWith(kept: KeptNetwork | undefined = network) {
  const daemon = await dockerDaemon();
  if (kept !== undefined) daemon.networks.set("kind", kept);
  daemon.printed = () => listening;
  return daemon;
}

async function start(daemon: Awaited<ReturnType<typeof daemonWith>>, plan: Partial<RegistriesPlan>) {
  const log = recordingLog();
  const registries = await startRegistries(
    daemon.engine,
    { image: "registry:3", local: undefined, proxies: undefined, ...plan },
    { cluster: "kind", network: "kind", labels: { "kind-action.run": "run-1" }, logins: undefined },
    log,
  );
  return { registries, log };
}

describe("a cluster's registries", () => {
  it("are none where none is planned", async () => {
    const daemon = await daemonWith();
    expect((await start(daemon, {})).registries).toEqual(noRegistries);
    expect(daemon.changes).toEqual([]);
  });

  it("run all together, are said where they are, and nodes find each of them", async () => {
    const { registries, log } = await start(await daemonWith(), {
      local,
      proxies: proxies("ghcr.io", "quay.io"),
    });
    expect(registries.local).toMatchObject({ address: "localhost:5000", inside: "kind-registry:5000" });
    expect(registries.hosts.map(({ name }) => name).toSorted()).toEqual([
      "ghcr.io",
      "kind-registry:5000",
      "localhost:5000",
      "quay.io",
    ]);
    expect(log.lines.toSorted()).toEqual([
      "ghcr.io through http://kind-proxy-ghcr.io:5000",
      "localhost:5000 on this machine and in every node, kind-registry:5000 for pods",
      "quay.io through http://kind-proxy-quay.io:5000",
    ]);
    expect(log.warnings).toEqual([]);
  });

  it("have addresses that are nobody else's, at the top of the network", async () => {
    const daemon = await daemonWith();
    await start(daemon, { local, proxies: proxies("ghcr.io", "quay.io") });
    const given = Object.values(daemon.networks.get("kind")?.containers ?? {}).map(({ ipv4 }) => ipv4);
    expect(given.toSorted()).toEqual([
      "172.18.0.2/16",
      "172.18.255.197/16",
      "172.18.255.198/16",
      "172.18.255.199/16",
    ]);
  });

  it.each<[string, KeptNetwork]>([
    ["is somebody else's", { ...network, chosen: true }],
    ["is small", { ...network, subnets: [{ subnet: "172.18.0.0/28" }] }],
    ["has IPv6 alone", { ...network, subnets: [{ subnet: "fc00:f853:ccd:e793::/64" }] }],
  ])("run without addresses of their own where the network %s", async (_, kept) => {
    const { registries, log } = await start(await daemonWith(kept), { local, proxies: proxies("ghcr.io") });
    expect(registries.local).toBeDefined();
    expect(registries.proxies).toHaveLength(1);
    expect(log.warnings).toEqual([]);
  });
});

describe("a local registry whose port is taken", () => {
  it("is at another one: one warning says where, and how to have it otherwise", async () => {
    const daemon = await daemonWith();
    daemon.failing = ({ serves }) =>
      JSON.stringify(serves?.HostConfig.PortBindings).includes('"HostPort":"5000"')
        ? "Bind for 127.0.0.1:5000 failed: port is already allocated"
        : undefined;
    const { registries, log } = await start(daemon, { local });
    const { address } = registries.local ?? {};
    expect(address).not.toBe("localhost:5000");
    expect(log.warnings).toEqual([
      `Port 5000 of this machine is taken, so that the local registry is at ${address}: use the output LOCAL_REGISTRY, or give it a free port with \`registry_port\`.`,
    ]);
    expect(registries.hosts.map(({ name }) => name)).toEqual([address, "kind-registry:5000"]);
  });
});

describe("a registry that does not start", () => {
  it("is a warning where it only makes pulls faster: nodes are not told of it, and pull without", async () => {
    const daemon = await daemonWith();
    daemon.printed = ({ id, name }) => {
      if (!name.endsWith("ghcr.io")) return listening;
      daemon.kill(id);
      return panicked;
    };
    const { registries, log } = await start(daemon, { local, proxies: proxies("ghcr.io", "quay.io") });
    expect(registries.proxies.map(({ upstream }) => upstream.name)).toEqual(["quay.io"]);
    expect(registries.hosts.map(({ name }) => name)).not.toContain("ghcr.io");
    expect(log.warnings).toEqual([
      expect.stringMatching(
        /^Nodes pull without a proxy from ghcr\.io \(The registry kind-proxy-ghcr\.io ended: .*\)\.$/,
      ),
    ]);
  });

  it("is one warning, however many there are", async () => {
    const daemon = await daemonWith();
    daemon.refuse = (call) =>
      call === "POST /containers/create" ? { status: 404, message: "No such image: registry:3" } : undefined;
    const { registries, log } = await start(daemon, { proxies: proxies("ghcr.io", "quay.io") });
    expect(registries).toEqual(noRegistries);
    expect(log.warnings).toHaveLength(1);
    expect(log.warnings[0]).toContain("ghcr.io (");
    expect(log.warnings[0]).toContain("quay.io (");
  });

  it("is an error where it is the local one: what the job pushes has no other place", async () => {
    const daemon = await daemonWith();
    daemon.containers.set("theirs", { id: "theirs", name: "kind-registry", labels: {} });
    await expect(start(daemon, { local, proxies: proxies("ghcr.io") })).rejects.toThrow(
      "The local registry cannot be started",
    );
  });
});
