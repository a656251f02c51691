import type { IncomingMessage, RequestListener } from "node:http";
import { createServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect, type Socket } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { LoginRefusedError, RegistryClient, registryUrl } from "../../src/oci/registry-client.ts";
import { makeCertificate } from "../fixtures/certificate.ts";
import { authorizationOf, basicOf, basicRegistry, tokenRegistry } from "../fixtures/registry.ts";
import { files, listen, serve, unusedPort } from "../fixtures/web-server.ts";

const credentials = { user: "jo", password: "pass:w=örd" };
const authorization = basicOf("jo", "pass:w=örd");
const path = "/v2/library/web/manifests/1";

const says =
  (text: string): RequestListener =>
  (_, response) =>
    response.end(text);

/** Answers 401, and nothing but. */
const challenging =
  (challenge: string): RequestListener =>
  (_, response) =>
    response.writeHead(401, { "www-authenticate": challenge }).end();

const textOf = async (answer: Promise<{ readonly body: Buffer }>) => (await answer).body.toString();

describe("the address of a registry", () => {
  it.each([
    ["docker.io", "https://registry-1.docker.io"],
    ["ghcr.io", "https://ghcr.io"],
    ["registry.example:5000", "https://registry.example:5000"],
    ["localhost:5000", "http://localhost:5000"],
    ["127.0.0.1:5000", "http://127.0.0.1:5000"],
    ["127.8.9.1:5000", "http://127.8.9.1:5000"],
    ["[::1]:5000", "http://[::1]:5000"],
    ["localhost", "https://localhost"],
    ["localhost.example:5000", "https://localhost.example:5000"],
    ["127.example:5000", "https://127.example:5000"],
  ])("%s is %s", (name, url) => {
    expect(registryUrl(name)).toBe(url);
  });
});

describe("a registry that lets everybody in", () => {
  it("answers with a status, headers and bytes", async () => {
    const bytes = Buffer.from([0, 255, 1, 254]);
    const { url, requests } = await serve((_, response) =>
      response.writeHead(200, { "x-a": "b" }).end(bytes),
    );
    expect(await new RegistryClient(url).get(path)).toMatchObject({
      status: 200,
      headers: { "x-a": "b" },
      body: bytes,
      authorized: false,
    });
    expect(requests).toEqual([`GET ${path}`]);
  });

  it("is told what is understood, and gets no credentials that it did not ask for", async () => {
    const heard: IncomingMessage["headers"][] = [];
    const { url } = await serve((request, response) => {
      heard.push(request.headers);
      response.end();
    });
    await new RegistryClient(url, credentials).get(path, ["a/b", "c/d"]);
    expect(heard).toMatchObject([{ accept: "a/b, c/d" }]);
    expect(heard[0]).not.toHaveProperty("authorization");
  });

  it("may lack what it is asked for: that is an answer", async () => {
    const { url } = await serve(files({}));
    expect(await new RegistryClient(url).get(path)).toMatchObject({ status: 404 });
  });

  it.each(["registry.example", "ftp://registry.example", "", "http://"])(
    "has a URL of HTTP, which %j is not",
    (url) => {
      expect(() => new RegistryClient(url)).toThrow(`${JSON.stringify(url)} is not the URL of a registry`);
    },
  );
});

describe("a registry that gives tokens", () => {
  const scope = "repository:library/web:pull";

  it.each(["token", "access_token"] as const)("is asked with one, which it calls %s", async (token) => {
    const { url, requests } = await serve(tokenRegistry({ answer: says("found"), scope, token }));
    const answer = await new RegistryClient(url).get(path);
    expect(answer).toMatchObject({ status: 200, authorized: true });
    expect(answer.body.toString()).toBe("found");
    expect(requests).toEqual([
      `GET ${path}`,
      `GET /token?service=the+registry&scope=${encodeURIComponent(scope)}`,
      `GET ${path}`,
    ]);
  });

  it("gives it to who has credentials, and gets these at no other place", async () => {
    const seen: (string | undefined)[] = [];
    const registry = tokenRegistry({
      answer: says("found"),
      gives: (given) => given === authorization,
      scope,
    });
    const { url } = await serve((request, response) => {
      seen.push(authorizationOf(request));
      registry(request, response);
    });
    expect(await textOf(new RegistryClient(url, credentials).get(path))).toBe("found");
    expect(seen).toEqual([undefined, authorization, `Bearer for_${scope}`]);
  });

  it("gives one for all that is asked later", async () => {
    const { url, requests } = await serve(tokenRegistry({ answer: says("found"), scope }));
    const client = new RegistryClient(url);
    await client.get(path);
    expect(await textOf(client.get("/v2/library/web/blobs/x"))).toBe("found");
    expect(requests).toHaveLength(4);
  });

  it("is asked for another when one is too old", async () => {
    let old = false;
    const registry = tokenRegistry({ answer: says("found"), scope });
    const { url, requests } = await serve((request, response) => {
      if (old && authorizationOf(request) !== undefined) delete request.headers.authorization;
      old = false;
      registry(request, response);
    });
    const client = new RegistryClient(url);
    await client.get(path);
    old = true;
    expect(await client.get(path)).toMatchObject({ status: 200 });
    expect(requests.filter((request) => request.startsWith("GET /token"))).toHaveLength(2);
  });

  it("is asked for several scopes one by one, and at its root for none: what it names there is an example", async () => {
    const { url, requests } = await serve(
      tokenRegistry({ answer: says("{}"), scope: "repository:a:pull repository:b:pull" }),
    );
    await new RegistryClient(url).get(path);
    await new RegistryClient(url).get("/v2/");
    expect(requests.filter((request) => request.startsWith("GET /token"))).toEqual([
      "GET /token?service=the+registry&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull",
      "GET /token?service=the+registry",
    ]);
  });

  it.each([401, 403])(
    "refuses with %s: that is another error than all that can go wrong",
    async (refusal) => {
      const { url } = await serve(tokenRegistry({ answer: says("found"), gives: () => false, refusal }));
      const { host } = new URL(url);
      const anonymous = new RegistryClient(url).get(path);
      await expect(anonymous).rejects.toBeInstanceOf(LoginRefusedError);
      await expect(anonymous).rejects.toThrow(
        `${host} gives no token for ${host} without a login (status ${refusal}).`,
      );
      const wrong = new RegistryClient(url, credentials).get(path);
      await expect(wrong).rejects.toBeInstanceOf(LoginRefusedError);
      await expect(wrong).rejects.toThrow(
        `${host} does not accept the credentials for ${host} (status ${refusal}).`,
      );
    },
  );

  it.each([
    ["an error", 500, '{"token":"t"}'],
    ["what is not JSON", 200, "<html>"],
    ["a list", 200, '["t"]'],
    ["nothing", 200, "null"],
    ["no token", 200, "{}"],
    ["an empty token", 200, '{"token":""}'],
    ["a token that is a number", 200, '{"token":1}'],
    ["a token that no header can hold", 200, '{"token":"a\\r\\nx-b: c"}'],
    ["another place", 302, ""],
  ])("may answer with %s instead", async (_, status, body) => {
    const { url } = await serve((request, response) => {
      const realm = `http://${request.headers.host}/token?a=1`;
      if (request.url?.startsWith("/token")) response.writeHead(status, { location: "/elsewhere" }).end(body);
      else challenging(`Bearer realm="${realm}"`)(request, response);
    });
    const asked = new RegistryClient(url, credentials).get(path);
    await expect(asked).rejects.toThrow(
      `${url}/token should give a token for ${new URL(url).host}, and answers with status ${status}.`,
    );
    await expect(asked).rejects.not.toBeInstanceOf(LoginRefusedError);
  });

  it("is believed once: who is still not let in has an answer", async () => {
    const { url, requests } = await serve((request, response) => {
      if (request.url?.startsWith("/token")) response.end('{"token":"useless"}');
      else challenging(`Bearer realm="http://${request.headers.host}/token"`)(request, response);
    });
    expect(await new RegistryClient(url).get(path)).toMatchObject({ status: 401, authorized: true });
    expect(requests).toEqual([`GET ${path}`, "GET /token", `GET ${path}`]);
  });

  it.each([
    ["another domain", "https://auth.example.org/token", "auth.example.org, which is of another domain"],
    ["another port", "https://127.0.0.1:1/token", "127.0.0.1:1, which is of another domain"],
    [
      "a place without TLS",
      "http://auth.example.org/token?a=b",
      "http://auth.example.org/token, which is not",
    ],
    ["a place that is none", "javascript:alert(1)", "javascript://alert(1), which is not"],
    ["nowhere", "over there", "and does not say where"],
    ["no place", "", "and does not say where"],
  ])("gets no credentials when it sends for a token to %s", async (_, realm, says) => {
    const { url } = await serve(challenging(`Bearer realm="${realm}"`));
    await expect(new RegistryClient(url, credentials).get(path)).rejects.toThrow(says);
  });

  it("gets none either by another way that it offers beside it", async () => {
    const { url, requests } = await serve(
      challenging('Basic realm="x", Bearer realm="https://auth.example.org/token"'),
    );
    await expect(new RegistryClient(url, credentials).get(path)).rejects.toThrow("of another domain");
    expect(requests).toHaveLength(1);
  });

  it("may send who has no credentials anywhere that has TLS", async () => {
    const { url } = await serve(
      challenging(`Bearer realm="https://127.0.0.1:${await unusedPort()}/token?a=b",service="s"`),
    );
    await expect(new RegistryClient(url).get(path)).rejects.toThrow(/127.0.0.1:\d+\/token cannot be read: /);
  });
});

describe("a registry with a list of its users", () => {
  it("is told the credentials, when it asks for them", async () => {
    const { url, requests } = await serve(basicRegistry(authorization, says("found")));
    const client = new RegistryClient(url, credentials);
    const answer = await client.get(path);
    expect(answer).toMatchObject({ status: 200, authorized: true });
    expect(await textOf(client.get(path))).toBe("found");
    expect(requests).toHaveLength(3);
  });

  it("lets nobody in who has others, or none", async () => {
    const { url, requests } = await serve(basicRegistry(authorization));
    const wrong = new RegistryClient(url, { user: "jo", password: "wrong" });
    expect(await wrong.get(path)).toMatchObject({ status: 401, authorized: true });
    expect(await new RegistryClient(url).get(path)).toMatchObject({ status: 401, authorized: false });
    expect(requests).toHaveLength(3);
  });

  it("may want what nobody has", async () => {
    const { url } = await serve(challenging("Negotiate"));
    const asked = new RegistryClient(url, credentials).get(path);
    expect(await asked).toMatchObject({ status: 401, authorized: false });
  });
});

describe("what is elsewhere", () => {
  /** A registry that knows its users and leads on to a place that remembers with what it was asked. */
  async function leadingTo(answer: RequestListener) {
    const heard: (string | undefined)[] = [];
    const elsewhere = await serve((request, response) => {
      heard.push(authorizationOf(request));
      answer(request, response);
    });
    const location = `${elsewhere.url}/blob?signature=s3cret`;
    const { url } = await serve(
      basicRegistry(authorization, (_, response) => response.writeHead(307, { location }).end()),
    );
    return { client: new RegistryClient(url, credentials), heard, elsewhere };
  }

  it("is fetched, and gets no credentials: neither unasked nor asked for", async () => {
    const kind = await leadingTo(says("found"));
    expect(await textOf(kind.client.get(path))).toBe("found");
    const greedy = await leadingTo(challenging('Basic realm="give me"'));
    expect(await greedy.client.get(path)).toMatchObject({ status: 401 });
    const sly = await leadingTo(challenging('Bearer realm="http://127.0.0.1:1/token"'));
    expect(await sly.client.get(path)).toMatchObject({ status: 401 });
    expect([...kind.heard, ...greedy.heard, ...sly.heard]).toEqual([undefined, undefined, undefined]);
  });

  it("is not asked again when it asks who asks, and the registry did not", async () => {
    const greedy = await serve(challenging('Basic realm="give me"'));
    const { url, requests } = await serve((_, response) =>
      response.writeHead(307, { location: `${greedy.url}/blob` }).end(),
    );
    expect(await new RegistryClient(url, credentials).get(path)).toMatchObject({
      status: 401,
      authorized: false,
    });
    expect([...requests, ...greedy.requests]).toEqual([`GET ${path}`, "GET /blob"]);
  });

  it("has an address that stays secret", async () => {
    const { client, elsewhere } = await leadingTo((_, response) => response.destroy());
    const asked = client.get(path);
    await expect(asked).rejects.toThrow(`${elsewhere.url}/blob cannot be read: `);
    await expect(asked).rejects.not.toThrow("s3cret");
  });

  it("may be in the registry itself", async () => {
    const { url } = await serve((request, response) => {
      if (request.url === "/there") says("found")(request, response);
      else response.writeHead(302, { location: "../../../../there" }).end();
    });
    expect(await textOf(new RegistryClient(url).get(path))).toBe("found");
  });

  it("is not looked for on and on", async () => {
    const { url, requests } = await serve((request, response) =>
      response.writeHead(302, { location: `${request.url}x` }).end(),
    );
    await expect(new RegistryClient(url).get(path)).rejects.toThrow(`${url}${path} leads on and on.`);
    expect(requests).toHaveLength(6);
  });

  it.each(["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "data:,found"])(
    "is not looked for at %s",
    async (location) => {
      const { url } = await serve((_, response) => response.writeHead(302, { location }).end());
      await expect(new RegistryClient(url).get(path)).rejects.toThrow(`${url}${path} leads on to something`);
    },
  );
});

describe("a registry that behaves badly", () => {
  const soon = { deadline: 150 };

  it.each<[string, RequestListener]>([
    ["does not answer", () => {}],
    ["does not end", (_, response) => response.writeHead(200).write("{")],
    [
      "does not stop",
      (_, response) => {
        const timer = setInterval(() => response.write("x"), 10);
        response.on("close", () => clearInterval(timer));
      },
    ],
    [
      "gives no token",
      (request, response) => {
        if (!request.url?.startsWith("/token"))
          challenging(`Bearer realm="http://${request.headers.host}/token"`)(request, response);
      },
    ],
  ])("and %s is not waited for", async (_, answer) => {
    const { url } = await serve(answer);
    const began = performance.now();
    await expect(new RegistryClient(url, credentials, soon).get(path)).rejects.toThrow(
      /cannot be read: there was no whole answer in time$/,
    );
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it("and is slow each time has no more time for all together", async () => {
    const { url } = await serve((request, response) =>
      setTimeout(() => response.writeHead(302, { location: `${request.url}x` }).end(), 60),
    );
    await expect(new RegistryClient(url, undefined, soon).get(path)).rejects.toThrow(
      "no whole answer in time",
    );
  });

  it("has its connection closed", async () => {
    const closed = Promise.withResolvers<void>();
    const { url } = await serve((_, response) => response.on("close", closed.resolve));
    await expect(new RegistryClient(url, undefined, soon).get(path)).rejects.toThrow("in time");
    await closed.promise;
  });

  it("and sends without end is not listened to", async () => {
    const piece = Buffer.alloc(64 * 1024);
    let sent = 0;
    const { url } = await serve((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(piece)) sent += piece.length;
      };
      response.on("drain", more);
      more();
    });
    await expect(new RegistryClient(url).get(path)).rejects.toThrow(
      `${url}${path} cannot be read: the answer has more than 4194304 bytes`,
    );
    expect(sent).toBeLessThan(32 * 1024 ** 2);
  });

  it("and breaks off has not answered", async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { "content-length": "10" }).write("half");
      setTimeout(() => response.destroy(), 20);
    });
    await expect(new RegistryClient(url).get(path)).rejects.toThrow(`${url}${path} cannot be read: `);
  });

  it("is told apart from one that is not there", async () => {
    const port = await unusedPort();
    for (const host of ["127.0.0.1", "localhost"])
      await expect(new RegistryClient(`http://${host}:${port}`).get(path)).rejects.toThrow(
        /cannot be read: .*ECONNREFUSED/,
      );
  });

  it("leaves nothing secret in an error, whatever it does with what it was told", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 4, maxLength: 40, unit: "grapheme" }).map((text) => `s3cr3t${text}`),
        fc.constantFrom(200, 400, 401, 403, 404, 500),
        async (password, status) => {
          // Gives back whatever it was told.
          const { url } = await serve(async (request, response) => {
            const told = `${authorizationOf(request)}/${request.url}`;
            const realm = `http://${request.headers.host}/token`;
            const refused = request.url?.startsWith("/token") || authorizationOf(request) !== undefined;
            response.writeHead(refused ? status : 401, {
              "www-authenticate": `Bearer realm="${realm}",service="${told}"`,
              location: `ftp://${told}`,
            });
            response.end(told);
          });
          const failed = await new RegistryClient(url, { user: "jo", password }).get(path).then(
            () => "",
            (error: unknown) => `${error} ${error instanceof Error ? error.cause : ""}`,
          );
          for (const secret of [password, basicOf("jo", password).slice(6), encodeURIComponent(password)])
            expect(failed).not.toContain(secret);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("Docker Hub behind a proxy", () => {
  const hub = ["registry-1.docker.io", "auth.docker.io", "production.cloudfront.docker.com"];

  /** A proxy as the variables name one, behind which there is one server for all names. */
  async function proxied(answer: RequestListener) {
    const { certificate, key } = makeCertificate(hub.map((name) => `DNS:${name}`).join(","));
    const trusted = getCACertificates("default");
    setDefaultCACertificates([certificate]);
    onTestFinished(() => setDefaultCACertificates(trusted));
    const port = await listen(createHttpsServer({ cert: certificate, key }, answer));
    const targets: string[] = [];
    const proxy = createServer();
    proxy.on("connect", (request: IncomingMessage, client: Socket) => {
      targets.push(request.url ?? "");
      const server = connect(port, "127.0.0.1", () => client.write("HTTP/1.1 200 OK\r\n\r\n"));
      for (const side of [client, server]) side.on("error", () => {});
      server.pipe(client).pipe(server);
    });
    vi.stubEnv("https_proxy", `http://127.0.0.1:${await listen(proxy)}`);
    vi.stubEnv("no_proxy", "");
    vi.stubEnv("NO_PROXY", "");
    onTestFinished(() => void vi.unstubAllEnvs());
    return targets;
  }

  it("is asked through it, with a token from its own domain, for a blob that is on another", async () => {
    const heard: string[] = [];
    const targets = await proxied((request, response) => {
      const { host, authorization: given = "nothing" } = request.headers;
      heard.push(`${host} ${given}`);
      if (host === "auth.docker.io") response.end('{"token":"t0ken"}');
      else if (host === "production.cloudfront.docker.com") response.end("blob");
      else if (given === "Bearer t0ken")
        response.writeHead(307, { location: "https://production.cloudfront.docker.com/blob" }).end();
      else
        challenging(
          'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/web:pull"',
        )(request, response);
    });
    const client = new RegistryClient(registryUrl("docker.io"), credentials);
    expect(await textOf(client.get("/v2/library/web/blobs/x"))).toBe("blob");
    expect(heard).toEqual([
      "registry-1.docker.io nothing",
      `auth.docker.io ${authorization}`,
      "registry-1.docker.io Bearer t0ken",
      "production.cloudfront.docker.com nothing",
    ]);
    expect(targets).toEqual([
      "registry-1.docker.io:443",
      "auth.docker.io:443",
      "registry-1.docker.io:443",
      "production.cloudfront.docker.com:443",
    ]);
  });

  it("is not asked where its certificate is not to be trusted", async () => {
    const heard: string[] = [];
    await proxied((request, response) => {
      heard.push(String(request.headers.host));
      response.end();
    });
    setDefaultCACertificates([makeCertificate("DNS:registry-1.docker.io").certificate]);
    await expect(new RegistryClient("https://registry-1.docker.io", credentials).get(path)).rejects.toThrow(
      "https://registry-1.docker.io/v2/library/web/manifests/1 cannot be read: ",
    );
    expect(heard).toEqual([]);
  });

  it("never leads on to where there is no TLS", async () => {
    await proxied((_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end());
    await expect(new RegistryClient("https://registry-1.docker.io").get(path)).rejects.toThrow(
      "leads on to something that is not to be had over HTTPS",
    );
  });
});
