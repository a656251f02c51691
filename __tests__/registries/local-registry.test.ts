import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { localRegistryHosting, startLocalRegistry } from "../../src/registries/local-registry.ts";
import { type DockerDaemon, dockerDaemon } from "../fixtures/docker-daemon.ts";
import { listening, panicked } from "../fixtures/registry-words.ts";

const plan = { name: "kind-registry", port: 5000, enableDelete: false };
const options = {
  image: "registry:3",
  network: "kind",
  address: "172.18.255.199",
  labels: { "kind-action.run": "run-1" },
};

async function daemonWithNetwork(): Promise<DockerDaemon> {
  const daemon = await dockerDaemon();
  daemon.networks.set("kind", { name: "kind", subnets: [{ subnet: "172.18.0.0/16" }] });
  daemon.printed = () => listening;
  return daemon;
}

/** Makes Docker reject a port of the machine with an error message. */
function occupy(daemon: DockerDaemon, port: number, message: string): void {
  daemon.failing = ({ serves }) =>
    JSON.stringify(serves?.HostConfig.PortBindings).includes(`"HostPort":"${port}"`) ? message : undefined;
}

const allocated =
  "driver failed programming external connectivity on endpoint kind-registry (57ef14a5e4b2a4ba1a4f5fe0a4e1cbb2): Bind for 127.0.0.1:5000 failed: port is already allocated";

describe("startLocalRegistry", () => {
  it("publishes the registry on loopback, and connects it to the Docker network, on one port", async () => {
    const daemon = await daemonWithNetwork();
    expect(await startLocalRegistry(daemon.engine, { ...plan, port: 5001 }, options)).toEqual({
      address: "localhost:5001",
      inside: "kind-registry:5001",
      portTaken: false,
    });
    const container = daemon.containers.get("kind-registry");
    expect(container?.made?.Env).toContain("REGISTRY_HTTP_ADDR=:5001");
    expect(container?.ports).toEqual({ "5001/tcp": [{ HostIp: "127.0.0.1", HostPort: "5001" }] });
    expect(Object.values(daemon.networks.get("kind")?.containers ?? {})).toEqual([
      { name: "kind-registry", ipv4: "172.18.255.199/16" },
    ]);
  });

  it("runs the given image with the given labels", async () => {
    const daemon = await daemonWithNetwork();
    await startLocalRegistry(daemon.engine, plan, options);
    expect(daemon.containers.get("kind-registry")).toMatchObject({
      image: "registry:3",
      labels: options.labels,
    });
  });

  it.each([
    [false, undefined],
    [true, "REGISTRY_STORAGE_DELETE_ENABLED=true"],
  ])("configures deletion: %s", async (enableDelete, variable) => {
    const daemon = await daemonWithNetwork();
    await startLocalRegistry(daemon.engine, { ...plan, enableDelete }, options);
    const environment = daemon.containers.get("kind-registry")?.made?.Env ?? [];
    expect(environment.find((each) => each.includes("DELETE"))).toBe(variable);
  });

  it.each([
    ["a container", allocated],
    ["a container, with Docker 29", `failed to set up container networking: ${allocated}`],
    [
      "a program",
      "failed to set up container networking: driver failed programming external connectivity on endpoint kind-registry (57ef14a5): failed to bind host port for 127.0.0.1:5000:172.18.0.2:5000/tcp: address already in use",
    ],
    [
      "a program, with Docker 20",
      "driver failed programming external connectivity on endpoint kind-registry (57ef14a5): Error starting userland proxy: listen tcp4 127.0.0.1:5000: bind: address already in use",
    ],
  ])("uses another port if that is in use by %s", async (_, message) => {
    const daemon = await daemonWithNetwork();
    occupy(daemon, 5000, message);
    const started = await startLocalRegistry(daemon.engine, plan, options);
    expect(started).toEqual({
      address: expect.stringMatching(/^localhost:\d+$/),
      inside: "kind-registry:5000",
      portTaken: true,
    });
    expect(started.address).not.toBe("localhost:5000");
    expect([...daemon.containers.keys()]).toEqual(["kind-registry"]);
  });

  it("rejects with a remedy if a container has its name", async () => {
    const daemon = await daemonWithNetwork();
    daemon.containers.set("other", { id: "other", name: "kind-registry", labels: {} });
    await expect(startLocalRegistry(daemon.engine, plan, options)).rejects.toThrow(
      /^Could not start the local registry: .*The container name "\/kind-registry" is already in use.*`registry_name`/s,
    );
    expect([...daemon.containers.keys()]).toEqual(["other"]);
  });

  it("rejects and removes the container if the registry exits", async () => {
    const daemon = await daemonWithNetwork();
    daemon.printed = ({ id }) => {
      daemon.kill(id);
      return panicked;
    };
    await expect(startLocalRegistry(daemon.engine, plan, options)).rejects.toThrow(
      /^Could not start the local registry: The registry kind-registry exited: panic: /,
    );
    expect(daemon.containers.size).toBe(0);
  });

  it("tries one other port only", async () => {
    const daemon = await daemonWithNetwork();
    daemon.failing = () => allocated;
    await expect(startLocalRegistry(daemon.engine, plan, options)).rejects.toThrow(
      "port is already allocated",
    );
    expect(daemon.changes.filter((call) => call.endsWith("/start"))).toHaveLength(2);
    expect(daemon.containers.size).toBe(0);
  });
});

describe("localRegistryHosting", () => {
  it("returns the ConfigMap of KEP 1755, with the addresses for machine, nodes and pods", () => {
    const { path, body } = localRegistryHosting({ address: "localhost:5001", inside: "kind-registry:5000" });
    expect(path).toBe("/api/v1/namespaces/kube-public/configmaps");
    const { data, ...rest } = z
      .looseObject({ data: z.record(z.string(), z.string()) })
      .parse(JSON.parse(JSON.stringify(body)));
    expect(rest).toEqual({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "local-registry-hosting", namespace: "kube-public" },
    });
    expect(Object.keys(data)).toEqual(["localRegistryHosting.v1"]);
    expect(parse(data["localRegistryHosting.v1"] ?? "")).toEqual({
      host: "localhost:5001",
      hostFromContainerRuntime: "kind-registry:5000",
      hostFromClusterNetwork: "kind-registry:5000",
      help: "https://kind.sigs.k8s.io/docs/user/local-registry/",
    });
  });
});
