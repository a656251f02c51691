import { describe, expect, it } from "vitest";
import { noRegistries, type RegistriesPlan, startRegistries } from "../../src/registries/start.ts";
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

/** A Docker network with a configured subnet and a node. */
const network: KeptNetwork = {
  name: "kind",
  subnets: [{ subnet: "172.18.0.0/16" }],
  containers: { node: { name: "kind-control-plane", ipv4: "172.18.0.2/16" } },
};

async function daemonWith(existing: KeptNetwork | undefined = network) {
  const daemon = await dockerDaemon();
  if (existing !== undefined) daemon.networks.set("kind", existing);
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

describe("startRegistries", () => {
  it("starts nothing without a plan", async () => {
    const daemon = await daemonWith();
    expect((await start(daemon, {})).registries).toEqual(noRegistries);
    expect(daemon.changes).toEqual([]);
  });

  it("starts all registries, logs their addresses, and returns their hosts", async () => {
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
      "Local registry: localhost:5000 on this machine and in the nodes, kind-registry:5000 in pods",
      "Proxy for ghcr.io: http://kind-proxy-ghcr.io:5000",
      "Proxy for quay.io: http://kind-proxy-quay.io:5000",
    ]);
    expect(log.warnings).toEqual([]);
  });

  it("assigns free addresses at the end of the subnet", async () => {
    const daemon = await daemonWith();
    await start(daemon, { local, proxies: proxies("ghcr.io", "quay.io") });
    const assigned = Object.values(daemon.networks.get("kind")?.containers ?? {}).map(({ ipv4 }) => ipv4);
    expect(assigned.toSorted()).toEqual([
      "172.18.0.2/16",
      "172.18.255.197/16",
      "172.18.255.198/16",
      "172.18.255.199/16",
    ]);
  });

  it.each<[string, KeptNetwork]>([
    ["has a subnet that Docker chose", { ...network, chosen: true }],
    ["is small", { ...network, subnets: [{ subnet: "172.18.0.0/28" }] }],
    ["has only IPv6", { ...network, subnets: [{ subnet: "fc00:f853:ccd:e793::/64" }] }],
  ])("starts registries without fixed addresses if the network %s", async (_, existing) => {
    const { registries, log } = await start(await daemonWith(existing), {
      local,
      proxies: proxies("ghcr.io"),
    });
    expect(registries.local).toBeDefined();
    expect(registries.proxies).toHaveLength(1);
    expect(log.warnings).toEqual([]);
  });
});

describe("startRegistries with a port in use", () => {
  it("warns about the other port of the local registry, with a remedy", async () => {
    const daemon = await daemonWith();
    daemon.failing = ({ serves }) =>
      JSON.stringify(serves?.HostConfig.PortBindings).includes('"HostPort":"5000"')
        ? "Bind for 127.0.0.1:5000 failed: port is already allocated"
        : undefined;
    const { registries, log } = await start(daemon, { local });
    const { address } = registries.local ?? {};
    expect(address).not.toBe("localhost:5000");
    expect(log.warnings).toEqual([
      `Port 5000 of this machine is in use, so the local registry listens on ${address}. Use the output LOCAL_REGISTRY, or set a free port with \`registry_port\`.`,
    ]);
    expect(registries.hosts.map(({ name }) => name)).toEqual([address, "kind-registry:5000"]);
  });
});

describe("startRegistries with a failing registry", () => {
  it("warns about a failing proxy, and returns no hosts for it", async () => {
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
        /^Could not start the registry proxies for ghcr\.io \(The registry kind-proxy-ghcr\.io exited: .*\)\. Nodes pull from these registries directly\.$/,
      ),
    ]);
  });

  it("warns once about several failing proxies", async () => {
    const daemon = await daemonWith();
    daemon.refuse = (call) =>
      call === "POST /containers/create" ? { status: 404, message: "No such image: registry:3" } : undefined;
    const { registries, log } = await start(daemon, { proxies: proxies("ghcr.io", "quay.io") });
    expect(registries).toEqual(noRegistries);
    expect(log.warnings).toHaveLength(1);
    expect(log.warnings[0]).toContain("ghcr.io (");
    expect(log.warnings[0]).toContain("quay.io (");
  });

  it("rejects if the local registry fails", async () => {
    const daemon = await daemonWith();
    daemon.containers.set("other", { id: "other", name: "kind-registry", labels: {} });
    await expect(start(daemon, { local, proxies: proxies("ghcr.io") })).rejects.toThrow(
      "Could not start the local registry",
    );
  });
});
