import { describe, expect, it } from "vitest";
import type { ServiceContainer } from "../../src/docker/containers.ts";
import { registryEnvironment, startRegistry } from "../../src/registries/registry-container.ts";
import type { KeptNetwork } from "../fixtures/daemon-networks.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { failed, listening, misused, panicked, starting } from "../fixtures/registry-words.ts";

const registry: ServiceContainer = {
  name: "kind-registry",
  image: "registry:3",
  labels: { "kind-action.run": "run-1" },
  network: "kind",
  environment: registryEnvironment,
  binds: [],
};

/** Longer than any test takes. */
const longTimeoutMs = 60_000;

/** A daemon whose registries exit with an output. */
async function daemonWithExit(output: string) {
  const daemon = await dockerDaemon();
  daemon.printed = ({ id }) => {
    daemon.kill(id);
    return output;
  };
  return daemon;
}

describe("startRegistry", () => {
  it("waits until the registry accepts requests", async () => {
    const daemon = await dockerDaemon();
    const outputs = ["", starting, starting, listening];
    daemon.printed = () => outputs.shift() ?? "";
    const id = await startRegistry(daemon.engine, registry, longTimeoutMs);
    expect(outputs).toEqual([]);
    expect((await daemon.engine.containers.inspect(id))?.running).toBe(true);
  });

  it("disables traces, for which there is no collector", async () => {
    const daemon = await dockerDaemon();
    daemon.printed = () => listening;
    const id = await startRegistry(daemon.engine, registry, longTimeoutMs);
    expect(daemon.containers.get(id)?.made?.Env).toEqual(["OTEL_TRACES_EXPORTER=none"]);
  });

  it.each([
    [
      "its upstream does not exist",
      panicked,
      'The registry kind-registry exited: panic: Get "https://ghcr.io/v2/": dial tcp: lookup ghcr.io on 127.0.0.11:53: no such host',
    ],
    [
      "its port is in use",
      failed,
      "The registry kind-registry exited: listen tcp :5000: bind: address already in use",
    ],
    [
      "its configuration is invalid",
      misused,
      "The registry kind-registry exited: configuration error: error parsing /etc/distribution/config.yml: yaml: line 3: did not find expected key",
    ],
    ["it printed nothing", "", "The registry kind-registry exited"],
    ["it printed no error", starting, "The registry kind-registry exited"],
  ])("rejects with the last error, and removes the container, if %s", async (_, output, message) => {
    const daemon = await daemonWithExit(output);
    await expect(startRegistry(daemon.engine, registry, longTimeoutMs)).rejects.toThrow(
      expect.objectContaining({ message }),
    );
    expect(daemon.containers.size).toBe(0);
  });

  it("shortens a long error", async () => {
    const daemon = await daemonWithExit(`level=fatal ${"x".repeat(10_000)}\n`);
    const failure = await startRegistry(daemon.engine, registry, longTimeoutMs).catch(String);
    expect(failure.length).toBeLessThan(600);
  });

  it("rejects with the last error, and removes the container, after the timeout", async () => {
    const daemon = await dockerDaemon();
    daemon.printed = () => `${starting}level=error msg="no answer from https://ghcr.io"\n`;
    await expect(startRegistry(daemon.engine, registry, 100)).rejects.toThrow(
      "The registry kind-registry did not accept requests within 0.1 s: no answer from https://ghcr.io",
    );
    expect(daemon.containers.size).toBe(0);
  });

  it("rejects if the container is removed while it starts", async () => {
    const daemon = await dockerDaemon();
    daemon.printed = ({ id }) => {
      daemon.containers.delete(id);
      return starting;
    };
    await expect(startRegistry(daemon.engine, registry, longTimeoutMs)).rejects.toThrow(
      "The registry kind-registry exited",
    );
  });

  describe("with an IP address", () => {
    const withAddress = { ...registry, address: "172.18.255.199" };

    /** Starts a registry on a Docker network. @returns its address there */
    async function addressOn(network: Omit<KeptNetwork, "name">) {
      const daemon = await dockerDaemon();
      daemon.networks.set("kind", { name: "kind", ...network });
      daemon.printed = () => listening;
      const id = await startRegistry(daemon.engine, withAddress, longTimeoutMs);
      expect([...daemon.containers.keys()]).toEqual([id]);
      return (await daemon.engine.networks.inspect("kind"))?.containers.get(id);
    }

    it("assigns it on a network with a configured subnet", async () => {
      expect(await addressOn({ subnets: [{ subnet: "172.18.0.0/16" }] })).toEqual({
        name: "kind-registry",
        ipv4: "172.18.255.199",
      });
    });

    it("accepts another one on a network whose subnet Docker chose", async () => {
      expect(await addressOn({ subnets: [{ subnet: "172.18.0.0/16" }], chosen: true })).toEqual({
        name: "kind-registry",
      });
    });

    it("accepts another one if the address is in use", async () => {
      const containers = { other: { name: "other", ipv4: "172.18.255.199/16" } };
      expect(await addressOn({ subnets: [{ subnet: "172.18.0.0/16" }], containers })).toEqual({
        name: "kind-registry",
      });
    });
  });

  it("rejects with the error of Docker, and leaves no container", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) =>
      call === "POST /containers/create" ? { status: 404, message: "No such image: registry:3" } : undefined;
    await expect(startRegistry(daemon.engine, registry, longTimeoutMs)).rejects.toThrow(
      "No such image: registry:3",
    );
    expect(daemon.containers.size).toBe(0);
  });
});
