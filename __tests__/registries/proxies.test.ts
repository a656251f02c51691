import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import type { Credentials } from "../../src/oci/registry-client.ts";
import {
  createProxiesFolder,
  type ProxiesPlan,
  proxyHosts,
  sharedFolders,
  startProxies,
} from "../../src/registries/proxies.ts";
import { parseUpstreams } from "../../src/registries/upstreams.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { listening, panicked } from "../fixtures/registry-words.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

/** Plans proxies for lines of `registry_proxies`. */
function planOf(lines: readonly string[], folders?: ProxiesPlan["folders"]): ProxiesPlan {
  const upstreams = lines.flatMap((line) => {
    const parsed = parseUpstreams(line);
    if ("problem" in parsed) throw new Error(parsed.problem);
    return parsed;
  });
  return { upstreams, logins: { given: [], docker: false }, folders };
}

function foldersIn(temp: string) {
  return { shared: join(temp, "shared"), own: join(temp, "own") };
}

/** A daemon with a Docker network, whose registries accept requests at once. */
async function daemonWithNetwork() {
  const daemon = await dockerDaemon();
  daemon.networks.set("kind", { name: "kind", subnets: [{ subnet: "172.18.0.0/16" }] });
  daemon.printed = () => listening;
  return daemon;
}
type Daemon = Awaited<ReturnType<typeof daemonWithNetwork>>;

const start = (
  { engine }: Daemon,
  plan: ProxiesPlan,
  options: { addresses?: readonly string[]; logins?: ReadonlyMap<string, Credentials> } = {},
) =>
  startProxies(engine, plan, {
    image: "registry:3",
    cluster: "shop",
    network: "kind",
    labels: { "kind-action.run": "run-1" },
    addresses: options.addresses ?? [],
    logins: options.logins ?? new Map(),
  });

/** Returns the environment variables of a proxy. */
function environmentOf(daemon: Daemon, container: string): Record<string, string> {
  const variables = daemon.containers.get(container)?.made?.Env ?? [];
  return Object.fromEntries(
    variables.map((variable) => z.tuple([z.string(), z.string()]).parse(variable.split(/=(.*)/s, 2))),
  );
}

describe("startProxies", () => {
  it("starts a proxy for each registry on the Docker network, with the cluster name in its name", async () => {
    const daemon = await daemonWithNetwork();
    const { proxies, failed } = await start(daemon, planOf(["docker.io", "ghcr.io"]));
    expect(failed).toEqual([]);
    expect(proxies.map(({ upstream, url }) => [upstream.name, url]).toSorted()).toEqual([
      ["docker.io", "http://shop-proxy-docker.io:5000"],
      ["ghcr.io", "http://shop-proxy-ghcr.io:5000"],
    ]);
    const joined = Object.values(daemon.networks.get("kind")?.containers ?? {}).map(({ name }) => name);
    expect(joined.toSorted()).toEqual(["shop-proxy-docker.io", "shop-proxy-ghcr.io"]);
    for (const { labels, image, ports } of daemon.containers.values())
      expect({ labels, image, ports }).toEqual({
        labels: { "kind-action.run": "run-1" },
        image: "registry:3",
        ports: {},
      });
  });

  it("replaces the colon of a port in container names", async () => {
    const daemon = await daemonWithNetwork();
    const { proxies } = await start(daemon, planOf(["registry.example:5000"]));
    expect(proxies.map(({ url }) => url)).toEqual(["http://shop-proxy-registry.example-5000:5000"]);
  });

  it.each([
    ["docker.io", "https://registry-1.docker.io"],
    ["ghcr.io", "https://ghcr.io"],
    ["ghcr.io=https://mirror.example", "https://mirror.example"],
  ])("uses the registry or its mirror as the upstream: %s", async (line, url) => {
    const daemon = await daemonWithNetwork();
    const { proxies } = await start(daemon, planOf([line]));
    const environment = environmentOf(daemon, proxies[0]?.container ?? "");
    expect(environment).toMatchObject({ REGISTRY_PROXY_REMOTEURL: url, REGISTRY_HTTP_ADDR: ":5000" });
  });

  it("disables the expiry of blobs, which would remove restored ones", async () => {
    const daemon = await daemonWithNetwork();
    const { proxies } = await start(daemon, planOf(["ghcr.io"]));
    expect(environmentOf(daemon, proxies[0]?.container ?? "")).toMatchObject({ REGISTRY_PROXY_TTL: "0" });
  });

  it("mounts folders of the job, with its user", async () => {
    const daemon = await daemonWithNetwork();
    const plan = planOf(["docker.io", "registry.example:5000"], foldersIn(temporaryFolder()));
    const { proxies } = await start(daemon, plan);
    for (const { upstream, container } of proxies) {
      const source = sharedFolders(plan).get(upstream.name) ?? "";
      expect((await stat(source)).isDirectory()).toBe(true);
      expect(daemon.containers.get(container)?.mounts).toEqual([
        { Type: "bind", Source: source, Destination: "/var/lib/registry" },
      ]);
      expect(daemon.containers.get(container)?.made?.User).toBe(
        `${process.getuid?.()}:${process.getgid?.()}`,
      );
    }
    expect(new Set(sharedFolders(plan).values()).size).toBe(2);
  });

  it("mounts nothing if the daemon runs on another machine", async () => {
    const daemon = await daemonWithNetwork();
    const plan = planOf(["docker.io"]);
    const { proxies } = await start(daemon, plan);
    const container = daemon.containers.get(proxies[0]?.container ?? "");
    expect([container?.mounts, container?.made?.User]).toEqual([[], ""]);
    expect(sharedFolders(plan)).toEqual(new Map());
  });

  it("assigns the given addresses", async () => {
    const daemon = await daemonWithNetwork();
    const addresses = ["172.18.255.199", "172.18.255.198"];
    await start(daemon, planOf(["docker.io", "ghcr.io", "quay.io"]), { addresses });
    const assigned = Object.values(daemon.networks.get("kind")?.containers ?? {}).map(({ name, ipv4 }) => [
      name,
      ipv4,
    ]);
    expect(assigned.toSorted()).toEqual([
      ["shop-proxy-docker.io", "172.18.255.199/16"],
      ["shop-proxy-ghcr.io", "172.18.255.198/16"],
      ["shop-proxy-quay.io", undefined],
    ]);
  });
});

describe("startProxies with credentials", () => {
  const login = { user: "me", password: '*secret: "#' };
  const logins = new Map([["ghcr.io", login]]);

  it("passes any credentials unchanged, and only to the proxy of their upstream", async () => {
    const daemon = await daemonWithNetwork();
    const { proxies } = await start(daemon, planOf(["docker.io", "ghcr.io"]), { logins });
    for (const { upstream, container, hasLogin } of proxies) {
      const { REGISTRY_PROXY_USERNAME: user = "null", REGISTRY_PROXY_PASSWORD: password = "null" } =
        environmentOf(daemon, container);
      expect(hasLogin).toBe(upstream.name === "ghcr.io");
      expect([JSON.parse(user), JSON.parse(password)]).toEqual(
        hasLogin ? ["me", '*secret: "#'] : [null, null],
      );
    }
  });

  it("mounts a folder of the run, which other clusters and the cache do not use", async () => {
    const daemon = await daemonWithNetwork();
    const folders = foldersIn(temporaryFolder());
    const { proxies } = await start(daemon, planOf(["ghcr.io"], folders), { logins });
    expect(daemon.containers.get(proxies[0]?.container ?? "")?.mounts).toMatchObject([
      { Source: join(folders.own, "ghcr.io"), Destination: "/var/lib/registry" },
    ]);
  });
});

describe("startProxies with a failing proxy", () => {
  it("returns the reason, and starts the others", async () => {
    const daemon = await daemonWithNetwork();
    daemon.printed = ({ id, name }) => {
      if (!name.endsWith("ghcr.io")) return listening;
      daemon.kill(id);
      return panicked;
    };
    const { proxies, failed } = await start(daemon, planOf(["docker.io", "ghcr.io", "quay.io"]));
    expect(proxies.map(({ upstream }) => upstream.name).toSorted()).toEqual(["docker.io", "quay.io"]);
    expect(failed.map(({ upstream, reason }) => [upstream.name, reason])).toEqual([
      [
        "ghcr.io",
        'The registry shop-proxy-ghcr.io exited: panic: Get "https://ghcr.io/v2/": dial tcp: lookup ghcr.io on 127.0.0.11:53: no such host',
      ],
    ]);
    expect([...daemon.containers.keys()].toSorted()).toEqual(["shop-proxy-docker.io", "shop-proxy-quay.io"]);
  });

  it("does not touch another container with the same name", async () => {
    const daemon = await daemonWithNetwork();
    daemon.containers.set("other", { id: "other", name: "shop-proxy-ghcr.io", labels: {} });
    const { proxies, failed } = await start(daemon, planOf(["ghcr.io"]));
    expect(proxies).toEqual([]);
    expect(failed).toMatchObject([{ reason: expect.stringContaining("is already in use by container") }]);
    expect([...daemon.containers.keys()]).toEqual(["other"]);
  });
});

describe("createProxiesFolder", () => {
  it("returns whether it created the folder", async () => {
    const folder = join(temporaryFolder(), "temp/proxies");
    expect(await createProxiesFolder(folder)).toBe(true);
    expect(await createProxiesFolder(folder)).toBe(false);
    expect((await stat(folder)).isDirectory()).toBe(true);
  });

  it("rejects if a parent is a file", async () => {
    const file = join(temporaryFolder(), "file");
    await writeFile(file, "");
    await expect(createProxiesFolder(join(file, "proxies"))).rejects.toThrow();
  });
});

describe("proxyHosts", () => {
  it("returns the proxy, then the mirror, and the registry itself last", async () => {
    const daemon = await daemonWithNetwork();
    const { proxies } = await start(daemon, planOf(["docker.io=https://mirror.example"]));
    expect(proxyHosts(proxies)).toEqual([
      {
        name: "docker.io",
        hosts: ["http://shop-proxy-docker.io:5000", "https://mirror.example"],
        server: "https://registry-1.docker.io",
      },
    ]);
  });
});
