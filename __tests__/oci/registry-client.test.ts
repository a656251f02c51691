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

const respondWith =
  (text: string): RequestListener =>
  (_, response) =>
    response.end(text);

/** Responds with 401 and a challenge. */
const challenging =
  (challenge: string): RequestListener =>
  (_, response) =>
    response.writeHead(401, { "www-authenticate": challenge }).end();

const textOf = async (response: Promise<{ readonly body: Buffer }>) => (await response).body.toString();

describe("registryUrl", () => {
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
  ])("of %s is %s", (name, url) => {
    expect(registryUrl(name)).toBe(url);
  });
});

describe("RegistryClient without authentication", () => {
  it("returns status, headers and body", async () => {
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

  it("sends the accepted media types, and no credentials without a challenge", async () => {
    const received: IncomingMessage["headers"][] = [];
    const { url } = await serve((request, response) => {
      received.push(request.headers);
      response.end();
    });
    await new RegistryClient(url, credentials).get(path, ["a/b", "c/d"]);
    expect(received).toMatchObject([{ accept: "a/b, c/d" }]);
    expect(received[0]).not.toHaveProperty("authorization");
  });

  it("returns a response with an error status", async () => {
    const { url } = await serve(files({}));
    expect(await new RegistryClient(url).get(path)).toMatchObject({ status: 404 });
  });

  it.each(["registry.example", "ftp://registry.example", "", "http://"])("rejects the URL %j", (url) => {
    expect(() => new RegistryClient(url)).toThrow(`${JSON.stringify(url)} is not a registry URL`);
  });
});

describe("RegistryClient of a registry with tokens", () => {
  const scope = "repository:library/web:pull";

  it.each(["token", "access_token"] as const)("fetches a token from the field %s", async (token) => {
    const { url, requests } = await serve(tokenRegistry({ answer: respondWith("found"), scope, token }));
    const answer = await new RegistryClient(url).get(path);
    expect(answer).toMatchObject({ status: 200, authorized: true });
    expect(answer.body.toString()).toBe("found");
    expect(requests).toEqual([
      `GET ${path}`,
      `GET /token?service=the+registry&scope=${encodeURIComponent(scope)}`,
      `GET ${path}`,
    ]);
  });

  it("sends the credentials to the token server only", async () => {
    const received: (string | undefined)[] = [];
    const registry = tokenRegistry({
      answer: respondWith("found"),
      gives: (given) => given === authorization,
      scope,
    });
    const { url } = await serve((request, response) => {
      received.push(authorizationOf(request));
      registry(request, response);
    });
    expect(await textOf(new RegistryClient(url, credentials).get(path))).toBe("found");
    expect(received).toEqual([undefined, authorization, `Bearer for_${scope}`]);
  });

  it("uses a token for later requests", async () => {
    const { url, requests } = await serve(tokenRegistry({ answer: respondWith("found"), scope }));
    const client = new RegistryClient(url);
    await client.get(path);
    expect(await textOf(client.get("/v2/library/web/blobs/x"))).toBe("found");
    expect(requests).toHaveLength(4);
  });

  it("fetches another token when one has expired", async () => {
    let expired = false;
    const registry = tokenRegistry({ answer: respondWith("found"), scope });
    const { url, requests } = await serve((request, response) => {
      if (expired && authorizationOf(request) !== undefined) delete request.headers.authorization;
      expired = false;
      registry(request, response);
    });
    const client = new RegistryClient(url);
    await client.get(path);
    expired = true;
    expect(await client.get(path)).toMatchObject({ status: 200 });
    expect(requests.filter((request) => request.startsWith("GET /token"))).toHaveLength(2);
  });

  it("requests each scope of a challenge, and none at the root, where the scope is an example", async () => {
    const { url, requests } = await serve(
      tokenRegistry({ answer: respondWith("{}"), scope: "repository:a:pull repository:b:pull" }),
    );
    await new RegistryClient(url).get(path);
    await new RegistryClient(url).get("/v2/");
    expect(requests.filter((request) => request.startsWith("GET /token"))).toEqual([
      "GET /token?service=the+registry&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull",
      "GET /token?service=the+registry",
    ]);
  });

  it.each([401, 403])(
    "fails with LoginRefusedError when the token server responds with %s",
    async (refusal) => {
      const { url } = await serve(
        tokenRegistry({ answer: respondWith("found"), gives: () => false, refusal }),
      );
      const { host } = new URL(url);
      const anonymous = new RegistryClient(url).get(path);
      await expect(anonymous).rejects.toBeInstanceOf(LoginRefusedError);
      await expect(anonymous).rejects.toThrow(
        `${host} issues no token for ${host} without credentials (status ${refusal}).`,
      );
      const wrong = new RegistryClient(url, credentials).get(path);
      await expect(wrong).rejects.toBeInstanceOf(LoginRefusedError);
      await expect(wrong).rejects.toThrow(
        `${host} rejected the credentials for ${host} (status ${refusal}).`,
      );
    },
  );

  it.each([
    ["an error", 500, '{"token":"t"}'],
    ["invalid JSON", 200, "<html>"],
    ["a list", 200, '["t"]'],
    ["nothing", 200, "null"],
    ["no token", 200, "{}"],
    ["an empty token", 200, '{"token":""}'],
    ["a token that is a number", 200, '{"token":1}'],
    ["a token that no header can hold", 200, '{"token":"a\\r\\nx-b: c"}'],
    ["a redirect", 302, ""],
  ])("fails when the token server responds with %s", async (_, status, body) => {
    const { url } = await serve((request, response) => {
      const realm = `http://${request.headers.host}/token?a=1`;
      if (request.url?.startsWith("/token")) response.writeHead(status, { location: "/elsewhere" }).end(body);
      else challenging(`Bearer realm="${realm}"`)(request, response);
    });
    const response = new RegistryClient(url, credentials).get(path);
    await expect(response).rejects.toThrow(
      `${url}/token returned no token for ${new URL(url).host} (status ${status}).`,
    );
    await expect(response).rejects.not.toBeInstanceOf(LoginRefusedError);
  });

  it("returns the response when the registry rejects the token", async () => {
    const { url, requests } = await serve((request, response) => {
      if (request.url?.startsWith("/token")) response.end('{"token":"useless"}');
      else challenging(`Bearer realm="http://${request.headers.host}/token"`)(request, response);
    });
    expect(await new RegistryClient(url).get(path)).toMatchObject({ status: 401, authorized: true });
    expect(requests).toEqual([`GET ${path}`, "GET /token", `GET ${path}`]);
  });

  it.each([
    ["another domain", "https://auth.example.org/token", "auth.example.org, which is in another domain"],
    ["another port", "https://127.0.0.1:1/token", "127.0.0.1:1, which is in another domain"],
    [
      "a realm without TLS",
      "http://auth.example.org/token?a=b",
      "http://auth.example.org/token, which does not use HTTPS",
    ],
    ["another scheme", "javascript:alert(1)", "javascript://alert(1), which does not use HTTPS"],
    ["an invalid URL", "over there", "but the realm of its challenge is not a URL"],
    ["an empty realm", "", "but the realm of its challenge is not a URL"],
  ])("sends no credentials to %s", async (_, realm, message) => {
    const { url } = await serve(challenging(`Bearer realm="${realm}"`));
    await expect(new RegistryClient(url, credentials).get(path)).rejects.toThrow(message);
  });

  it("does not fall back to another challenge when the realm is not allowed", async () => {
    const { url, requests } = await serve(
      challenging('Basic realm="x", Bearer realm="https://auth.example.org/token"'),
    );
    await expect(new RegistryClient(url, credentials).get(path)).rejects.toThrow("in another domain");
    expect(requests).toHaveLength(1);
  });

  it("fetches an anonymous token from any realm with TLS", async () => {
    const { url } = await serve(
      challenging(`Bearer realm="https://127.0.0.1:${await unusedPort()}/token?a=b",service="s"`),
    );
    await expect(new RegistryClient(url).get(path)).rejects.toThrow(
      /^Could not read https:\/\/127.0.0.1:\d+\/token: /,
    );
  });
});

describe("RegistryClient of a registry with basic authentication", () => {
  it("sends the credentials after a challenge", async () => {
    const { url, requests } = await serve(basicRegistry(authorization, respondWith("found")));
    const client = new RegistryClient(url, credentials);
    const answer = await client.get(path);
    expect(answer).toMatchObject({ status: 200, authorized: true });
    expect(await textOf(client.get(path))).toBe("found");
    expect(requests).toHaveLength(3);
  });

  it("returns the response when the credentials are wrong or missing", async () => {
    const { url, requests } = await serve(basicRegistry(authorization));
    const wrong = new RegistryClient(url, { user: "jo", password: "wrong" });
    expect(await wrong.get(path)).toMatchObject({ status: 401, authorized: true });
    expect(await new RegistryClient(url).get(path)).toMatchObject({ status: 401, authorized: false });
    expect(requests).toHaveLength(3);
  });

  it("returns the response when the scheme is not supported", async () => {
    const { url } = await serve(challenging("Negotiate"));
    const response = new RegistryClient(url, credentials).get(path);
    expect(await response).toMatchObject({ status: 401, authorized: false });
  });
});

describe("RegistryClient after a redirect", () => {
  /** A registry with basic authentication that redirects to another server, which records the credentials it receives. */
  async function redirectingTo(respond: RequestListener) {
    const received: (string | undefined)[] = [];
    const elsewhere = await serve((request, response) => {
      received.push(authorizationOf(request));
      respond(request, response);
    });
    const location = `${elsewhere.url}/blob?signature=s3cret`;
    const { url } = await serve(
      basicRegistry(authorization, (_, response) => response.writeHead(307, { location }).end()),
    );
    return { client: new RegistryClient(url, credentials), received, elsewhere };
  }

  it("sends no credentials to the other server, not even after a challenge", async () => {
    const plain = await redirectingTo(respondWith("found"));
    expect(await textOf(plain.client.get(path))).toBe("found");
    const basic = await redirectingTo(challenging('Basic realm="give me"'));
    expect(await basic.client.get(path)).toMatchObject({ status: 401 });
    const bearer = await redirectingTo(challenging('Bearer realm="http://127.0.0.1:1/token"'));
    expect(await bearer.client.get(path)).toMatchObject({ status: 401 });
    expect([...plain.received, ...basic.received, ...bearer.received]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("does not repeat the request when the other server requires authentication", async () => {
    const other = await serve(challenging('Basic realm="give me"'));
    const { url, requests } = await serve((_, response) =>
      response.writeHead(307, { location: `${other.url}/blob` }).end(),
    );
    expect(await new RegistryClient(url, credentials).get(path)).toMatchObject({
      status: 401,
      authorized: false,
    });
    expect([...requests, ...other.requests]).toEqual([`GET ${path}`, "GET /blob"]);
  });

  it("omits the query of the location from errors", async () => {
    const { client, elsewhere } = await redirectingTo((_, response) => response.destroy());
    const response = client.get(path);
    await expect(response).rejects.toThrow(`Could not read ${elsewhere.url}/blob: `);
    await expect(response).rejects.not.toThrow("s3cret");
  });

  it("resolves a relative location", async () => {
    const { url } = await serve((request, response) => {
      if (request.url === "/there") respondWith("found")(request, response);
      else response.writeHead(302, { location: "../../../../there" }).end();
    });
    expect(await textOf(new RegistryClient(url).get(path))).toBe("found");
  });

  it("fails after five redirects", async () => {
    const { url, requests } = await serve((request, response) =>
      response.writeHead(302, { location: `${request.url}x` }).end(),
    );
    await expect(new RegistryClient(url).get(path)).rejects.toThrow(
      `${url}${path} has too many redirects (more than 5).`,
    );
    expect(requests).toHaveLength(6);
  });

  it.each(["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "data:,found"])(
    "rejects the location %s",
    async (location) => {
      const { url } = await serve((_, response) => response.writeHead(302, { location }).end());
      await expect(new RegistryClient(url).get(path)).rejects.toThrow(
        `${url}${path} redirects to a location without HTTPS.`,
      );
    },
  );
});

describe("RegistryClient of a faulty registry", () => {
  const short = { timeoutMs: 150 };

  it.each<[string, RequestListener]>([
    ["does not respond", () => {}],
    ["does not end its response", (_, response) => response.writeHead(200).write("{")],
    [
      "sends slowly without an end",
      (_, response) => {
        const timer = setInterval(() => response.write("x"), 10);
        response.on("close", () => clearInterval(timer));
      },
    ],
    [
      "does not respond to a token request",
      (request, response) => {
        if (!request.url?.startsWith("/token"))
          challenging(`Bearer realm="http://${request.headers.host}/token"`)(request, response);
      },
    ],
  ])("times out when it %s", async (_, answer) => {
    const { url } = await serve(answer);
    await expect(new RegistryClient(url, credentials, short).get(path)).rejects.toThrow(
      /^Could not read \S+: no complete response in time$/,
    );
  });

  it("times out when all redirects together take too long", async () => {
    const { url } = await serve((request, response) =>
      setTimeout(() => response.writeHead(302, { location: `${request.url}x` }).end(), 60),
    );
    await expect(new RegistryClient(url, undefined, short).get(path)).rejects.toThrow(
      "no complete response in time",
    );
  });

  it("closes the connection after a timeout", async () => {
    const closed = Promise.withResolvers<void>();
    const { url } = await serve((_, response) => response.on("close", closed.resolve));
    await expect(new RegistryClient(url, undefined, short).get(path)).rejects.toThrow("in time");
    await closed.promise;
  });

  it("fails when the response is too large", async () => {
    const chunk = Buffer.alloc(64 * 1024);
    let sent = 0;
    const { url } = await serve((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length;
      };
      response.on("drain", more);
      more();
    });
    await expect(new RegistryClient(url).get(path)).rejects.toThrow(
      `Could not read ${url}${path}: the response is larger than 4194304 bytes`,
    );
    expect(sent).toBeLessThan(32 * 1024 ** 2);
  });

  it("fails when the response is cut off", async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { "content-length": "10" }).write("half");
      setTimeout(() => response.destroy(), 20);
    });
    await expect(new RegistryClient(url).get(path)).rejects.toThrow(`Could not read ${url}${path}: `);
  });

  it("fails with the error of the connection", async () => {
    const port = await unusedPort();
    for (const host of ["127.0.0.1", "localhost"])
      await expect(new RegistryClient(`http://${host}:${port}`).get(path)).rejects.toThrow(
        /^Could not read \S+: .*ECONNREFUSED/,
      );
  });

  it("never puts secrets into an error, whatever the registry does with them", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 4, maxLength: 40, unit: "grapheme" }).map((text) => `s3cr3t${text}`),
        fc.constantFrom(200, 400, 401, 403, 404, 500),
        async (password, status) => {
          // Returns all that it received.
          const { url } = await serve(async (request, response) => {
            const echo = `${authorizationOf(request)}/${request.url}`;
            const realm = `http://${request.headers.host}/token`;
            const refused = request.url?.startsWith("/token") || authorizationOf(request) !== undefined;
            response.writeHead(refused ? status : 401, {
              "www-authenticate": `Bearer realm="${realm}",service="${echo}"`,
              location: `ftp://${echo}`,
            });
            response.end(echo);
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

describe("RegistryClient of Docker Hub behind a proxy", () => {
  const hub = ["registry-1.docker.io", "auth.docker.io", "production.cloudfront.docker.com"];

  /** A proxy in the environment, with one server for all hostnames. */
  async function startProxy(respond: RequestListener) {
    const { certificate, key } = makeCertificate(hub.map((name) => `DNS:${name}`).join(","));
    const trusted = getCACertificates("default");
    setDefaultCACertificates([certificate]);
    onTestFinished(() => setDefaultCACertificates(trusted));
    const port = await listen(createHttpsServer({ cert: certificate, key }, respond));
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

  it("fetches a token and a redirected blob through the proxy", async () => {
    const received: string[] = [];
    const targets = await startProxy((request, response) => {
      const { host, authorization: given = "nothing" } = request.headers;
      received.push(`${host} ${given}`);
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
    expect(received).toEqual([
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

  it("sends nothing to a server with an untrusted certificate", async () => {
    const received: string[] = [];
    await startProxy((request, response) => {
      received.push(String(request.headers.host));
      response.end();
    });
    setDefaultCACertificates([makeCertificate("DNS:registry-1.docker.io").certificate]);
    await expect(new RegistryClient("https://registry-1.docker.io", credentials).get(path)).rejects.toThrow(
      "Could not read https://registry-1.docker.io/v2/library/web/manifests/1: ",
    );
    expect(received).toEqual([]);
  });

  it("rejects a redirect to a location without HTTPS", async () => {
    await startProxy((_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end());
    await expect(new RegistryClient("https://registry-1.docker.io").get(path)).rejects.toThrow(
      "redirects to a location without HTTPS",
    );
  });
});
