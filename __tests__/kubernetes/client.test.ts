import { writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { stringify } from "yaml";
import { ApiError, KubernetesApi, readAccess } from "../../src/kubernetes/client.ts";
import { type Certificate, makeCertificate } from "../fixtures/certificate.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { listen, unusedPort } from "../fixtures/web-server.ts";

/** An API server that requires a client certificate. */
async function apiServer(answer: RequestListener, identity = makeCertificate("IP:127.0.0.1")) {
  const { certificate, key } = identity;
  const server = createServer(
    { cert: certificate, key, ca: certificate, requestCert: true, rejectUnauthorized: true },
    answer,
  );
  let connections = 0;
  server.on("secureConnection", () => connections++);
  const url = `https://127.0.0.1:${await listen(server)}`;
  return { url, identity, connections: () => connections };
}

function client(server: string, { certificate, key }: Certificate, ca = certificate): KubernetesApi {
  const api = new KubernetesApi({ server, ca, certificate, key });
  onTestFinished(() => api.close());
  return api;
}

describe("KubernetesApi", () => {
  it("authenticates with the client certificate, over one connection", async () => {
    const { url, identity, connections } = await apiServer((request, response) =>
      response.end(JSON.stringify({ path: request.url })),
    );
    const api = client(url, identity);
    expect(await api.get("/api/v1/nodes")).toEqual({ path: "/api/v1/nodes" });
    expect(await api.get("/api/v1/events?limit=500")).toEqual({ path: "/api/v1/events?limit=500" });
    expect(connections()).toBe(1);
  });

  it("rejects a server whose certificate is not signed by the CA of the cluster", async () => {
    const { url, identity } = await apiServer((_, response) => response.end("{}"));
    const stranger = makeCertificate("IP:127.0.0.1");
    await expect(client(url, identity, stranger.certificate).get("/version")).rejects.toThrow(
      /self-signed certificate/,
    );
  });

  it("fails with an ApiError that has the status, and a message of limited length", async () => {
    const { url, identity } = await apiServer((_, response) =>
      response.writeHead(403).end(`forbidden${" ".repeat(9_000)}`),
    );
    const refused = client(url, identity).get("/api/v1/nodes");
    await expect(refused).rejects.toBeInstanceOf(ApiError);
    await expect(refused).rejects.toMatchObject({ status: 403 });
    await expect(refused).rejects.toThrow(/^GET \/api\/v1\/nodes: 403 forbidden/);
    expect(await refused.catch((error: Error) => error.message.length)).toBeLessThan(400);
  });

  it("fails if the response is not JSON", async () => {
    const { url, identity } = await apiServer((_, response) => response.end("<html>proxy</html>"));
    await expect(client(url, identity).get("/version")).rejects.toThrow("JSON");
  });

  it("fails if the connection breaks during the response", async () => {
    const { url, identity } = await apiServer((_, response) => {
      response.writeHead(200, { "content-length": "100" }).write("{");
      setImmediate(() => response.destroy());
    });
    await expect(client(url, identity).get("/version")).rejects.toThrow(/aborted|socket hang up/);
  });

  it("fails at the timeout", async () => {
    const { url, identity } = await apiServer(() => {});
    await expect(client(url, identity).get("/version", 50)).rejects.toThrow(/abort/);
  });

  it("fails if no server listens", async () => {
    const api = client(`https://127.0.0.1:${await unusedPort()}`, makeCertificate("IP:127.0.0.1"));
    await expect(api.get("/version")).rejects.toThrow("ECONNREFUSED");
  });
});

describe("KubernetesApi.watch", () => {
  const line = (name: string) => JSON.stringify({ type: "ADDED", object: { metadata: { name } } });
  const added = (name: string): unknown => JSON.parse(line(name));
  const noSignal = () => new AbortController().signal;
  const all = async (events: AsyncIterable<unknown>) => {
    const seen: unknown[] = [];
    for await (const event of events) seen.push(event);
    return seen;
  };

  it("requests the events of a list after a resource version", async () => {
    const requests: (string | undefined)[] = [];
    const { url, identity } = await apiServer((request, response) => {
      requests.push(request.url);
      response.end();
    });
    const api = client(url, identity);
    const selected = "/api/v1/namespaces/default/serviceaccounts?fieldSelector=metadata.name%3Ddefault";
    for (const path of ["/api/v1/nodes", selected])
      expect(await all(api.watch(path, "41", noSignal()))).toEqual([]);
    expect(requests).toEqual([
      "/api/v1/nodes?watch=1&resourceVersion=41&timeoutSeconds=30",
      `${selected}&watch=1&resourceVersion=41&timeoutSeconds=30`,
    ]);
  });

  it("returns each event when it arrives, in any chunks", async () => {
    const { promise: first, resolve: seen } = Promise.withResolvers<void>();
    const { url, identity } = await apiServer(async (_, response) => {
      response.write(`${line("a")}\n`);
      await first;
      const rest = Buffer.from(`${line("b")}\n${line("ü")}\n`);
      for (const byte of rest) {
        response.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
      response.end();
    });
    const changes = client(url, identity).watch("/api/v1/nodes", "1", noSignal());
    expect((await changes.next()).value).toEqual(added("a"));
    seen();
    expect(await all(changes)).toEqual([added("b"), added("ü")]);
  });

  it("fails with an ApiError for an error status", async () => {
    const { url, identity } = await apiServer((_, response) => response.writeHead(410).end("too old"));
    const changes = client(url, identity).watch("/api/v1/nodes", "1", noSignal());
    await expect(changes.next()).rejects.toMatchObject({ name: "ApiError", status: 410 });
  });

  it("fails if the connection breaks", async () => {
    const { url, identity } = await apiServer((_, response) => {
      response.write(`${line("a")}\n{"type":`);
      setImmediate(() => response.destroy());
    });
    const changes = client(url, identity).watch("/api/v1/nodes", "1", noSignal());
    await expect(all(changes)).rejects.toThrow(/aborted|socket hang up/);
  });

  it("closes the connection when the signal is aborted", async () => {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    const { url, identity } = await apiServer((_, response) => {
      response.on("close", close);
      response.write(`${line("a")}\n`);
    });
    const stop = new AbortController();
    const changes = client(url, identity).watch("/api/v1/nodes", "1", stop.signal);
    await changes.next();
    const next = changes.next();
    stop.abort();
    await expect(next).rejects.toThrow(/abort/);
    await closed;
  });
});

describe("readAccess", () => {
  const base64 = (text: string) => Buffer.from(text).toString("base64");

  async function kubeconfig(content: object): Promise<string> {
    const file = join(temporaryFolder(), "config");
    await writeFile(file, stringify(content));
    return file;
  }

  const complete = {
    clusters: [
      { name: "work", cluster: { server: "https://work", "insecure-skip-tls-verify": true } },
      {
        name: "kind-shop",
        cluster: { server: "https://127.0.0.1:40001", "certificate-authority-data": base64("CA") },
      },
    ],
    users: [
      { name: "work", user: { token: "t" } },
      {
        name: "kind-shop",
        user: { "client-certificate-data": base64("CERT"), "client-key-data": base64("KEY") },
      },
    ],
  };

  it("returns the entries of a context in a kubeconfig with other entries", async () => {
    expect(await readAccess(await kubeconfig(complete), "kind-shop")).toEqual({
      server: "https://127.0.0.1:40001",
      ca: "CA",
      certificate: "CERT",
      key: "KEY",
    });
  });

  it("fails if the entries are missing or incomplete", async () => {
    const file = await kubeconfig(complete);
    await expect(readAccess(file, "kind-other")).rejects.toThrow(
      `${file} does not have complete entries for the context kind-other.`,
    );
    await expect(readAccess(file, "work")).rejects.toThrow(
      `${file} does not have complete entries for the context work.`,
    );
  });
});
