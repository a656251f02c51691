import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import fc from "fast-check";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { createProgramRunner, killMarkedProcesses, type RunProgram } from "../../src/lib/subprocess.ts";
import {
  checkCredentials,
  parseCredentials,
  readDockerLogin,
  secretsOf,
} from "../../src/registries/credentials.ts";
import { basicOf, basicRegistry, tokenRegistry } from "../fixtures/registry.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { serve, unusedPort } from "../fixtures/web-server.ts";

// Programs start slowly on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

const base64 = (text: string) => Buffer.from(text).toString("base64");

/** Texts that can be secrets. */
const secret = fc.string({ minLength: 4, maxLength: 60, unit: "grapheme" });

describe("parseCredentials", () => {
  it.each([
    ["ghcr.io=jo:secret", { registry: "ghcr.io", user: "jo", password: "secret" }],
    ["docker.io=jo:dckr_pat_x", { registry: "docker.io", user: "jo", password: "dckr_pat_x" }],
    [
      "registry.example:5000=jo:secret",
      { registry: "registry.example:5000", user: "jo", password: "secret" },
    ],
    ["localhost:5000=jo:secret", { registry: "localhost:5000", user: "jo", password: "secret" }],
    ["quay.io=org+robot:a=b:c==", { registry: "quay.io", user: "org+robot", password: "a=b:c==" }],
    ['gcr.io=_json_key:{"a": "b"}', { registry: "gcr.io", user: "_json_key", password: '{"a": "b"}' }],
    [
      "ghcr.io=jo@example.com: pass # word ",
      { registry: "ghcr.io", user: "jo@example.com", password: " pass # word " },
    ],
    ["ghcr.io=jö:größe", { registry: "ghcr.io", user: "jö", password: "größe" }],
    ["ghcr.io=a=b:c", { registry: "ghcr.io", user: "a=b", password: "c" }],
  ])("parses registry, user and password of %s", (line, credentials) => {
    expect(parseCredentials(line)).toEqual(credentials);
  });

  it("does not change any password", () => {
    fc.assert(
      fc.property(secret, (password) => {
        fc.pre(!password.includes("\0"));
        expect(parseCredentials(`ghcr.io=jo:${password}`)).toEqual({
          registry: "ghcr.io",
          user: "jo",
          password,
        });
      }),
    );
  });

  it.each(["index.docker.io", "registry-1.docker.io"])("recognizes Docker Hub by %s", (name) => {
    expect(parseCredentials(`${name}=jo:secret`)).toMatchObject({ registry: "docker.io" });
  });

  it("accepts an empty password, as in pull requests from forks", () => {
    expect(parseCredentials("ghcr.io=jo:")).toEqual({ registry: "ghcr.io", user: "jo", password: "" });
    expect(secretsOf({ user: "jo", password: "" })).toEqual([]);
  });

  it("accepts `docker` for the credentials of `docker login`", () => {
    expect(parseCredentials("docker")).toBe("docker");
  });

  it.each([
    ["", "must have lines `REGISTRY=USER:PASSWORD`"],
    ["Docker", "must have lines"],
    ["ghcr.io", "must have lines"],
    ["jo:secret", "must have lines"],
    ["ghcr.io=secret", "must have lines"],
    ["=jo:secret", "must have lines"],
    ["https://ghcr.io=jo:secret", "must have lines"],
    ["ghcr.io/jo=jo:secret", "must have lines"],
    ["ghcr.io =jo:secret", "must have lines"],
    ["GHCR.io=jo:secret", "must have lines"],
    ["ghcr.io=:secret", "has no user"],
    ["ghcr.io=j\to:secret", "has a control character in the user"],
    ["ghcr.io=jo:sec\0ret", "or a NUL in the password"],
  ])("rejects %j", (line, problem) => {
    expect(parseCredentials(line)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it("never quotes the line in a problem", () => {
    const texts = new Set<string>();
    const part = fc.constantFrom("ghcr.io", "=", ":", " ", "\0", "hunter2", "jo", "\n", "docker", "https://");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(part, { maxLength: 8 }).map((parts) => parts.join("")),
          secret,
        ),
        (line) => {
          const parsed = parseCredentials(line);
          if (typeof parsed === "object" && "problem" in parsed) texts.add(parsed.problem);
        },
      ),
      { numRuns: 1_000 },
    );
    // Problems that quote lines would all be different.
    expect(texts.size).toBeLessThanOrEqual(4);
  });
});

describe("secretsOf", () => {
  const secrets = (password: string, user = "jo") => secretsOf({ user, password });

  it("contains the password, and the encodings in HTTP headers and in Docker's configuration", () => {
    expect(secrets("s3cret")).toEqual(["s3cret", "am86czNjcmV0"]);
    expect(secrets("s3cre")).toEqual(["s3cre", "am86czNjcmU=", "am86czNjcmU"]);
  });

  it("contains the encodings of the password in URLs and JSON", () => {
    expect(secrets("a b'c/\"")).toEqual(
      expect.arrayContaining(["a b'c/\"", "a%20b'c%2F%22", "a%20b%27c%2F%22", "a+b%27c%2F%22", "a b'c/\\\""]),
    );
  });

  it("contains each line of the password, because logs are masked by line", () => {
    expect(secrets("first line\r\nsecond line\n\n}")).toEqual(
      expect.arrayContaining(["first line\r\nsecond line\n\n}", "first line", "second line"]),
    );
  });

  it("does not contain very short texts, which occur in every log", () => {
    expect(secrets("ab")).not.toContain("ab");
    expect(secrets("abc\n}\nde")).not.toContain("}");
  });

  it("does not contain the user", () => {
    expect(secrets("s3cret", "joanna")).not.toContain("joanna");
  });

  it("contains no duplicates and no empty texts, for any password", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (password) => {
        const texts = secrets(password);
        expect(new Set(texts).size).toBe(texts.length);
        expect(texts.every((text) => text.length >= 3)).toBe(true);
        if (password.length >= 3) expect(texts).toContain(password);
        expect(texts).toContain(base64(`jo:${password}`));
      }),
    );
  });
});

describe("checkCredentials", () => {
  const right = { user: "jo", password: "right" };
  const wrong = { user: "jo", password: "wrong" };
  const isRight = (authorization: string | undefined) => authorization === basicOf("jo", "right");
  const ok: RequestListener = (_, response) => response.end("{}");

  it.each<[string, RequestListener]>([
    ["Docker Hub and quay.io", tokenRegistry({ answer: ok, gives: isRight })],
    [
      "ghcr.io",
      tokenRegistry({ answer: ok, gives: isRight, refusal: 403, scope: "repository:user/image:pull" }),
    ],
    ["distribution with htpasswd", basicRegistry(basicOf("jo", "right"))],
  ])("accepts right and refuses wrong credentials of a registry like %s", async (_, registry) => {
    const { url, requests } = await serve(registry);
    expect(await checkCredentials(url, right)).toBe("accepted");
    expect(await checkCredentials(url, wrong)).toBe("refused");
    expect(requests.filter((request) => request.includes("scope"))).toEqual([]);
  });

  it("refuses credentials whose token the registry rejects", async () => {
    const { url } = await serve((request, response) => {
      if (request.url?.startsWith("/token")) return response.end('{"token":"t"}');
      const challenge = `Bearer realm="http://${request.headers.host}/token"`;
      return response.writeHead(401, { "www-authenticate": challenge }).end();
    });
    expect(await checkCredentials(url, right)).toBe("refused");
  });

  it("does not send credentials to a registry without authentication, and cannot check them", async () => {
    const headers: (string | undefined)[] = [];
    const { url } = await serve((request, response) => {
      headers.push(request.headers.authorization);
      response.end("{}");
    });
    expect(await checkCredentials(url, wrong)).toEqual({ unknown: `${url} does not ask for credentials` });
    expect(headers).toEqual([undefined]);
  });

  it.each<[string, RequestListener, RegExp]>([
    [
      "uses another authentication scheme",
      (_, response) => response.writeHead(401, { "www-authenticate": "Negotiate" }).end(),
      /^http:\S+ uses an authentication scheme that is not supported$/,
    ],
    ["fails", (_, response) => response.writeHead(503).end(), /^http:\S+ responded with status 503$/],
    ["is not a registry", (_, response) => response.writeHead(404).end(), /responded with status 404$/],
    [
      "has a token server in another domain",
      (_, response) =>
        response.writeHead(401, { "www-authenticate": 'Bearer realm="https://auth.example/t"' }).end(),
      /auth\.example, which is in another domain/,
    ],
    [
      "has a failing token server",
      tokenRegistry({ answer: ok, gives: () => false, refusal: 500 }),
      /\/token returned no token for \S+ \(status 500\)/,
    ],
  ])("cannot check credentials if the registry %s", async (_, registry, unknown) => {
    const { url } = await serve(registry);
    expect(await checkCredentials(url, right)).toEqual({ unknown: expect.stringMatching(unknown) });
  });

  it("cannot check credentials if the registry does not respond", async () => {
    const result = await checkCredentials(`http://127.0.0.1:${await unusedPort()}`, right);
    expect(result).toEqual({ unknown: expect.stringContaining("ECONNREFUSED") });
  });
});

describe("readDockerLogin", () => {
  let folder: string;
  let runProgram: RunProgram;
  beforeEach(() => {
    folder = temporaryFolder();
    vi.stubEnv("PATH", `${join(folder, "bin")}:${process.env.PATH}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    // A mark for each test: killing the helper of one test must not affect the next test.
    const mark = `unit-${randomBytes(6).toString("hex")}`;
    runProgram = createProgramRunner(mark, { PATH: process.env.PATH ?? "" });
    onTestFinished(async () => void (await killMarkedProcesses(mark, 0)));
  });

  /** Reads the login for a registry from a Docker configuration. */
  async function login(
    config: unknown,
    registry = "ghcr.io",
    options: { readonly dockerConfig?: string; readonly timeoutMs?: number } = {},
  ) {
    const home = join(folder, "home");
    await mkdir(join(home, ".docker"), { recursive: true });
    const text = typeof config === "string" ? config : JSON.stringify(config);
    if (config !== undefined) await writeFile(join(home, ".docker", "config.json"), text);
    return await readDockerLogin(registry, { dockerConfig: undefined, ...options, home, runProgram });
  }

  /** Writes a credential helper. */
  async function helper(name: string, script: string): Promise<void> {
    const program = join(folder, "bin", `docker-credential-${name}`);
    await mkdir(join(folder, "bin"), { recursive: true });
    await writeFile(program, `#!/bin/sh\n${script}\n`);
    await chmod(program, 0o755);
  }

  const file = () => join(folder, "home", ".docker", "config.json");

  describe("with config.json", () => {
    const auth = base64("jo:se:cret");

    it.each([
      ["ghcr.io", "ghcr.io"],
      ["registry.example:5000", "registry.example:5000"],
      ["docker.io", "https://index.docker.io/v1/"],
      ["docker.io", "index.docker.io"],
      ["ghcr.io", "https://ghcr.io"],
      ["ghcr.io", "https://ghcr.io/v1/"],
    ])("finds the login for %s under the key %s", async (registry, key) => {
      expect(
        await login({ auths: { "other.example": { auth: base64("a:b") }, [key]: { auth } } }, registry),
      ).toEqual({ user: "jo", password: "se:cret" });
    });

    it("prefers the exact name of the registry", async () => {
      const auths = { "https://ghcr.io/v1/": { auth: base64("old:old") }, "ghcr.io": { auth } };
      expect(await login({ auths })).toMatchObject({ user: "jo" });
    });

    it.each([
      ["with trailing NULs", { auth: base64("jo:secret\0\0") }],
      ["in plain text", { username: "jo", password: "secret" }],
    ])("accepts a login %s", async (_, entry) => {
      expect(await login({ auths: { "ghcr.io": entry } })).toEqual({ user: "jo", password: "secret" });
    });

    it("reads the folder in DOCKER_CONFIG, if it is set", async () => {
      const dockerConfig = join(folder, "elsewhere");
      await mkdir(dockerConfig);
      await writeFile(join(dockerConfig, "config.json"), JSON.stringify({ auths: { "ghcr.io": { auth } } }));
      expect(await login({ auths: {} }, "ghcr.io", { dockerConfig })).toMatchObject({ user: "jo" });
      expect(await login({ auths: {} }, "ghcr.io", { dockerConfig: "" })).toBeUndefined();
    });

    it.each([
      ["no file", undefined],
      ["an empty object", {}],
      ["nothing for the registry", { auths: { "quay.io": { auth } } }],
      ["an entry without a login", { auths: { "ghcr.io": {} } }],
      ["nulls", { auths: null, credHelpers: null, credsStore: null }],
      ["other settings", { currentContext: "a", plugins: { b: 1 }, HttpHeaders: { c: "d" }, proxies: {} }],
    ])("returns undefined with %s", async (_, config) => {
      expect(await login(config)).toBeUndefined();
    });

    it.each([
      ["is not JSON", '{"auths":{"ghcr.io":{"auth":"hunter2', "is not a valid Docker configuration"],
      ["is a list", '["hunter2"]', "is not a valid Docker configuration"],
      ["is null", "null", "is not a valid Docker configuration"],
      ["has invalid auths", { auths: "hunter2" }, "is not a valid Docker configuration"],
      ["has a login that is a string", { auths: { "ghcr.io": "hunter2" } }, "an invalid login"],
      ["has a login of numbers", { auths: { "ghcr.io": { auth: 7 } } }, "an invalid login"],
      [
        "has a login without a user",
        { auths: { "ghcr.io": { auth: base64(":hunter2") } } },
        "an invalid login",
      ],
      [
        "has a login without a colon",
        { auths: { "ghcr.io": { auth: base64("hunter2") } } },
        "an invalid login",
      ],
    ])("returns a reason if the file %s", async (_, config, reason) => {
      const found = await login(config);
      expect(found).toEqual({ reason: expect.stringContaining(reason) });
      expect(found).toEqual({ reason: expect.stringContaining(file()) });
      expect(JSON.stringify(found)).not.toContain("hunter2");
    });

    it("returns a reason if the file cannot be read", async () => {
      await mkdir(file(), { recursive: true });
      expect(await login(undefined)).toEqual({ reason: `${file()} is a directory` });
    });

    it.each([{ identitytoken: "hunter2" }, { registrytoken: "hunter2" }])(
      "returns a reason for an identity token: %j",
      async (token) => {
        const found = await login({ auths: { "ghcr.io": { auth: base64("00000000:"), ...token } } });
        expect(found).toEqual({ reason: expect.stringContaining("an identity token instead of a password") });
        expect(JSON.stringify(found)).not.toContain("hunter2");
      },
    );

    it("never quotes the login in a reason, wherever the file is cut off", async () => {
      const text = JSON.stringify({
        auths: { "ghcr.io": { auth: base64("jo:hunter2"), password: "hunter2" } },
      });
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: text.length - 1 }), fc.string(), async (end, more) => {
          const found = await login(text.slice(0, end) + more);
          if (found === undefined || "user" in found) return;
          expect(found.reason).not.toContain("hunter2");
          expect(found.reason).not.toContain(base64("jo:hunter2").slice(0, 8));
        }),
        { numRuns: 50 },
      );
    });
  });

  describe("with a credential helper", () => {
    /** A helper that returns a login, and records its arguments and input. */
    const returns = (user: string, password: string) =>
      `printf '%s|' "$@" > "$0.input"; cat >> "$0.input"; printf '%s' '${JSON.stringify({ ServerURL: "x", Username: user, Secret: password })}'`;

    it.each([
      ["ghcr.io", "ghcr.io"],
      ["registry.example:5000", "registry.example:5000"],
      ["docker.io", "https://index.docker.io/v1/"],
    ])("requests %s as %s", async (registry, key) => {
      await helper("mine", returns("jo", "se cret"));
      expect(await login({ credsStore: "mine" }, registry)).toEqual({ user: "jo", password: "se cret" });
      const input = await readFile(join(folder, "bin", "docker-credential-mine.input"), "utf8");
      expect(input).toBe(`get|${key}`);
    });

    it("prefers the helper of the registry, then the default helper, then the file", async () => {
      await helper("one", returns("one", "secret"));
      await helper("all", returns("all", "secret"));
      const config = {
        credsStore: "all",
        credHelpers: { "ghcr.io": "one" },
        auths: { "quay.io": { auth: base64("file:secret") } },
      };
      expect(await login(config, "ghcr.io")).toMatchObject({ user: "one" });
      expect(await login(config, "quay.io")).toMatchObject({ user: "all" });
      expect(await login({ ...config, credsStore: "" }, "quay.io")).toMatchObject({ user: "file" });
    });

    it.each([
      ["has no login", "cat >/dev/null; echo credentials not found in native keychain; exit 1"],
      ["has an empty login", `cat >/dev/null; echo '{"ServerURL":"","Username":"","Secret":""}'`],
    ])("returns undefined if the helper %s", async (_, script) => {
      await helper("mine", script);
      expect(await login({ credsStore: "mine" })).toBeUndefined();
    });

    it.each([
      [
        "fails",
        "echo hunter2; echo hunter2 >&2; exit 3",
        "`docker-credential-mine get` failed with exit code 3",
      ],
      ["prints nothing", "exit 0", "printed no valid credentials"],
      ["prints text", "echo hunter2", "printed no valid credentials"],
      ["prints a list", `echo '["hunter2"]'`, "printed no valid credentials"],
      ["prints an invalid password", `echo '{"Username":"jo","Secret":7}'`, "printed no valid credentials"],
      ["has a token", returns("<token>", "hunter2"), "an identity token instead of a password"],
    ])("returns a reason if the helper %s", async (_, script, reason) => {
      await helper("mine", script);
      const found = await login({ credsStore: "mine" });
      expect(found).toEqual({ reason: expect.stringContaining(reason) });
      expect(JSON.stringify(found)).not.toContain("hunter2");
    });

    it("returns a reason if the helper does not exit in time", async () => {
      await helper("mine", "echo hunter2; exec sleep 60");
      expect(await login({ credsStore: "mine" }, "ghcr.io", { timeoutMs: 200 })).toEqual({
        reason: "`docker-credential-mine get` did not exit within 0.2 s",
      });
    });

    it("returns a reason if the helper is missing or cannot be started", async () => {
      const reason = "docker-credential-mine is not on PATH, or could not be started";
      expect(await login({ credsStore: "mine" })).toEqual({ reason });
      await helper("mine", "exit 0");
      await writeFile(join(folder, "bin", "docker-credential-mine"), "#!/nonexistent/interpreter\n");
      expect(await login({ credsStore: "mine" })).toEqual({ reason });
    });

    it.each(["../evil", "a b", "a;b", "/bin/sh"])("rejects an invalid helper name: %j", async (name) => {
      expect(await login({ credHelpers: { "ghcr.io": name } })).toEqual({
        reason: "the Docker configuration has an invalid credential helper name",
      });
    });

    it("does not change any password", async () => {
      await helper("mine", 'cat >/dev/null; cat "$0.json"');
      await fc.assert(
        fc.asyncProperty(secret, async (password) => {
          const response = JSON.stringify({ Username: "jo", Secret: password });
          await writeFile(join(folder, "bin", "docker-credential-mine.json"), response);
          expect(await login({ credsStore: "mine" })).toEqual({ user: "jo", password });
        }),
        { numRuns: 10 },
      );
    });
  });
});
