import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
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

/** Proxies for such lines of `registry_proxies`. */
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

/** A daemon with a cluster's network, whose registries take requests as soon as they are started. */
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
  more: { addresses?: readonly string[]; logins?: ReadonlyMap<string, Credentials> } = {},
) =>
  startProxies(engine, plan, {
    image: "registry:3",
    cluster: "shop",
    network: "kind",
    labels: { "kind-action.run": "run-1" },
    addresses: more.addresses ?? [],
    logins: more.logins ?? new Map(),
  });

/** A proxy's variables, as distribution reads them: each is YAML. */
function environmentOf(daemon: Daemon, container: string): Record<string, string> {
  const variables = daemon.containers.get(container)?.made?.Env ?? [];
  return Object.fromEntries(
    variables.map((variable) => z.tuple([z.string(), z.string()]).parse(variable.split(/=(.*)/s, 2))),
  );
}

describe("the proxies of a cluster", () => {
  it("are one for each registry, on its network, by names that nobody else's cluster has", async () => {
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

  it("may be for a registry with a port, which no container can have in its name", async () => {
    const daemon = await daemonWithNetwork();
    const { proxies } = await start(daemon, planOf(["registry.example:5000"]));
    expect(proxies.map(({ url }) => url)).toEqual(["http://shop-proxy-registry.example-5000:5000"]);
  });

  it.each([
    ["docker.io", "https://registry-1.docker.io"],
    ["ghcr.io", "https://ghcr.io"],
    ["ghcr.io=https://mirror.example", "https://mirror.example"],
  ])("ask the registry for what they lack, or the mirror that the user names: %s", async (line, url) => {
    const daemon = await daemonWithNetwork();
    const { proxies } = await start(daemon, planOf([line]));
    const environment = environmentOf(daemon, proxies[0]?.container ?? "");
    expect(environment).toMatchObject({ REGISTRY_PROXY_REMOTEURL: url, REGISTRY_HTTP_ADDR: ":5000" });
  });

  it("keep what they have however old it is: what comes from a cache would be gone at once", async () => {
    const daemon = await daemonWithNetwork();
    const { proxies } = await start(daemon, planOf(["ghcr.io"]));
    expect(environmentOf(daemon, proxies[0]?.container ?? "")).toMatchObject({ REGISTRY_PROXY_TTL: "0" });
  });

  it("keep it in folders of the job, as its user: so that it can be saved, and removed", async () => {
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

  it("keep it in themselves where the daemon runs on another machine, as the image's own user", async () => {
    const daemon = await daemonWithNetwork();
    const plan = planOf(["docker.io"]);
    const { proxies } = await start(daemon, plan);
    const container = daemon.containers.get(proxies[0]?.container ?? "");
    expect([container?.mounts, container?.made?.User]).toEqual([[], ""]);
    expect(sharedFolders(plan)).toEqual(new Map());
  });

  it("have addresses of their own as far as there are some", async () => {
    const daemon = await daemonWithNetwork();
    const addresses = ["172.18.255.199", "172.18.255.198"];
    await start(daemon, planOf(["docker.io", "ghcr.io", "quay.io"]), { addresses });
    const given = Object.values(daemon.networks.get("kind")?.containers ?? {}).map(({ name, ipv4 }) => [
      name,
      ipv4,
    ]);
    expect(given.toSorted()).toEqual([
      ["shop-proxy-docker.io", "172.18.255.199/16"],
      ["shop-proxy-ghcr.io", "172.18.255.198/16"],
      ["shop-proxy-quay.io", undefined],
    ]);
  });
});

describe("a proxy with credentials", () => {
  const login = { user: "me", password: '*geheim: "#' };
  const logins = new Map([["ghcr.io", login]]);

  it("gives them to its upstream, whatever is in them, and no other proxy gets them", async () => {
    const daemon = await daemonWithNetwork();
    const { proxies } = await start(daemon, planOf(["docker.io", "ghcr.io"]), { logins });
    for (const { upstream, container, hasLogin } of proxies) {
      const { REGISTRY_PROXY_USERNAME: user = "null", REGISTRY_PROXY_PASSWORD: password = "null" } =
        environmentOf(daemon, container);
      expect(hasLogin).toBe(upstream.name === "ghcr.io");
      expect([JSON.parse(user), JSON.parse(password)]).toEqual(
        hasLogin ? ["me", '*geheim: "#'] : [null, null],
      );
    }
  });

  it("keeps apart what it pulls: no other cluster of the job sees that, and no cache", async () => {
    const daemon = await daemonWithNetwork();
    const folders = foldersIn(temporaryFolder());
    const { proxies } = await start(daemon, planOf(["ghcr.io"], folders), { logins });
    expect(daemon.containers.get(proxies[0]?.container ?? "")?.mounts).toMatchObject([
      { Source: join(folders.own, "ghcr.io"), Destination: "/var/lib/registry" },
    ]);
  });
});

describe("a proxy that cannot be started", () => {
  it("is told of with the reason, and the others run", async () => {
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
        'The registry shop-proxy-ghcr.io ended: panic: Get "https://ghcr.io/v2/": dial tcp: lookup ghcr.io on 127.0.0.11:53: no such host',
      ],
    ]);
    expect([...daemon.containers.keys()].toSorted()).toEqual(["shop-proxy-docker.io", "shop-proxy-quay.io"]);
  });

  it("leaves alone what has its name", async () => {
    const daemon = await daemonWithNetwork();
    daemon.containers.set("theirs", { id: "theirs", name: "shop-proxy-ghcr.io", labels: {} });
    const { proxies, failed } = await start(daemon, planOf(["ghcr.io"]));
    expect(proxies).toEqual([]);
    expect(failed).toMatchObject([{ reason: expect.stringContaining("is already in use by container") }]);
    expect([...daemon.containers.keys()]).toEqual(["theirs"]);
  });
});

describe("the folder of the proxies", () => {
  it("is made by the first cluster of a job, and found by the later ones: the first has to remove it", async () => {
    const folder = join(temporaryFolder(), "temp/proxies");
    expect(await createProxiesFolder(folder)).toBe(true);
    expect(await createProxiesFolder(folder)).toBe(false);
    expect((await stat(folder)).isDirectory()).toBe(true);
  });

  it("cannot be made where there is a file instead of a folder above it", async () => {
    const file = join(temporaryFolder(), "file");
    await writeFile(file, "");
    await expect(createProxiesFolder(join(file, "proxies"))).rejects.toThrow();
  });
});

describe("what nodes are told of proxies", () => {
  it("is to ask the proxy, then the mirror, and the registry itself in the end", async () => {
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
