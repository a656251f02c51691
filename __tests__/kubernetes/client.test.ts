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

/** An API that nobody reads from who does not show its certificate. */
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

describe("a cluster's API", () => {
  it("is read with the client's certificate, over one connection", async () => {
    const { url, identity, connections } = await apiServer((request, response) =>
      response.end(JSON.stringify({ path: request.url })),
    );
    const api = client(url, identity);
    expect(await api.get("/api/v1/nodes")).toEqual({ path: "/api/v1/nodes" });
    expect(await api.get("/api/v1/events?limit=500")).toEqual({ path: "/api/v1/events?limit=500" });
    expect(connections()).toBe(1);
  });

  it("is not read from a server that the cluster's authority did not sign", async () => {
    const { url, identity } = await apiServer((_, response) => response.end("{}"));
    const stranger = makeCertificate("IP:127.0.0.1");
    await expect(client(url, identity, stranger.certificate).get("/version")).rejects.toThrow(
      /self-signed certificate/,
    );
  });

  it("refuses with a status that can be asked for, and words that can be read", async () => {
    const { url, identity } = await apiServer((_, response) =>
      response.writeHead(403).end(`forbidden${" ".repeat(9_000)}`),
    );
    const refused = client(url, identity).get("/api/v1/nodes");
    await expect(refused).rejects.toBeInstanceOf(ApiError);
    await expect(refused).rejects.toMatchObject({ status: 403 });
    await expect(refused).rejects.toThrow(/^GET \/api\/v1\/nodes: 403 forbidden/);
    expect(await refused.catch((error: Error) => error.message.length)).toBeLessThan(400);
  });

  it("is an error when it answers with something else than JSON", async () => {
    const { url, identity } = await apiServer((_, response) => response.end("<html>proxy</html>"));
    await expect(client(url, identity).get("/version")).rejects.toThrow("JSON");
  });

  it("is an error when it breaks off in the middle", async () => {
    const { url, identity } = await apiServer((_, response) => {
      response.writeHead(200, { "content-length": "100" }).write("{");
      setImmediate(() => response.destroy());
    });
    await expect(client(url, identity).get("/version")).rejects.toThrow(/aborted|socket hang up/);
  });

  it("is an error when it takes longer than the deadline", async () => {
    const { url, identity } = await apiServer(() => {});
    await expect(client(url, identity).get("/version", 50)).rejects.toThrow(/abort/);
  });

  it("is an error when nobody is there", async () => {
    const api = client(`https://127.0.0.1:${await unusedPort()}`, makeCertificate("IP:127.0.0.1"));
    await expect(api.get("/version")).rejects.toThrow("ECONNREFUSED");
  });
});

describe("the changes of a list", () => {
  const told = (name: string) => JSON.stringify({ type: "ADDED", object: { metadata: { name } } });
  const added = (name: string): unknown => JSON.parse(told(name));
  const untilTheEnd = () => new AbortController().signal;
  const all = async (changes: AsyncIterable<unknown>) => {
    const come: unknown[] = [];
    for await (const change of changes) come.push(change);
    return come;
  };

  it("are asked for from a version on, of the same list", async () => {
    const asked: (string | undefined)[] = [];
    const { url, identity } = await apiServer((request, response) => {
      asked.push(request.url);
      response.end();
    });
    const api = client(url, identity);
    const selected = "/api/v1/namespaces/default/serviceaccounts?fieldSelector=metadata.name%3Ddefault";
    for (const path of ["/api/v1/nodes", selected])
      expect(await all(api.watch(path, "41", untilTheEnd()))).toEqual([]);
    expect(asked).toEqual([
      "/api/v1/nodes?watch=1&resourceVersion=41&timeoutSeconds=30",
      `${selected}&watch=1&resourceVersion=41&timeoutSeconds=30`,
    ]);
  });

  it("come as they happen, however the connection cuts them into pieces", async () => {
    const { promise: first, resolve: seen } = Promise.withResolvers<void>();
    const { url, identity } = await apiServer(async (_, response) => {
      response.write(`${told("a")}\n`);
      await first;
      const rest = Buffer.from(`${told("b")}\n${told("ü")}\n`);
      for (const byte of rest) {
        response.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
      response.end();
    });
    const changes = client(url, identity).watch("/api/v1/nodes", "1", untilTheEnd());
    expect((await changes.next()).value).toEqual(added("a"));
    seen();
    expect(await all(changes)).toEqual([added("b"), added("ü")]);
  });

  it("are refused like everything else", async () => {
    const { url, identity } = await apiServer((_, response) => response.writeHead(410).end("too old"));
    const changes = client(url, identity).watch("/api/v1/nodes", "1", untilTheEnd());
    await expect(changes.next()).rejects.toMatchObject({ name: "ApiError", status: 410 });
  });

  it("are an error when they break off in the middle", async () => {
    const { url, identity } = await apiServer((_, response) => {
      response.write(`${told("a")}\n{"type":`);
      setImmediate(() => response.destroy());
    });
    const changes = client(url, identity).watch("/api/v1/nodes", "1", untilTheEnd());
    await expect(all(changes)).rejects.toThrow(/aborted|socket hang up/);
  });

  it("end when nobody wants them any more, and so does the conversation", async () => {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    const { url, identity } = await apiServer((_, response) => {
      response.on("close", close);
      response.write(`${told("a")}\n`);
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

describe("the access to a cluster", () => {
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

  it("is read from among what else is in the kubeconfig", async () => {
    expect(await readAccess(await kubeconfig(complete), "kind-shop")).toEqual({
      server: "https://127.0.0.1:40001",
      ca: "CA",
      certificate: "CERT",
      key: "KEY",
    });
  });

  it("is an error when the cluster is not in there, or not wholly", async () => {
    const file = await kubeconfig(complete);
    await expect(readAccess(file, "kind-other")).rejects.toThrow(
      `${file} has no complete entry for kind-other`,
    );
    await expect(readAccess(file, "work")).rejects.toThrow(`${file} has no complete entry for work`);
  });
});
