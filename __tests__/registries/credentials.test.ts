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

// Programs take their time on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

const base64 = (text: string) => Buffer.from(text).toString("base64");

/** What a secret may be made of. */
const secret = fc.string({ minLength: 4, maxLength: 60, unit: "grapheme" });

describe("a line of `registry_credentials`", () => {
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
  ])("%s has a registry, a user and a password", (line, credentials) => {
    expect(parseCredentials(line)).toEqual(credentials);
  });

  it("keeps every password as it is", () => {
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

  it.each(["index.docker.io", "registry-1.docker.io"])("means Docker Hub by %s", (name) => {
    expect(parseCredentials(`${name}=jo:secret`)).toMatchObject({ registry: "docker.io" });
  });

  it("may have no password, as where a pull request from a fork gets no secrets", () => {
    expect(parseCredentials("ghcr.io=jo:")).toEqual({ registry: "ghcr.io", user: "jo", password: "" });
    expect(secretsOf({ user: "jo", password: "" })).toEqual([]);
  });

  it("may say that `docker login` was done before", () => {
    expect(parseCredentials("docker")).toBe("docker");
  });

  it.each([
    ["", "wants lines `REGISTRY=USER:PASSWORD`"],
    ["Docker", "wants lines"],
    ["ghcr.io", "wants lines"],
    ["jo:secret", "wants lines"],
    ["ghcr.io=secret", "wants lines"],
    ["=jo:secret", "wants lines"],
    ["https://ghcr.io=jo:secret", "wants lines"],
    ["ghcr.io/jo=jo:secret", "wants lines"],
    ["ghcr.io =jo:secret", "wants lines"],
    ["GHCR.io=jo:secret", "wants lines"],
    ["ghcr.io=:secret", "has no user"],
    ["ghcr.io=j\to:secret", "has control characters in the user"],
    ["ghcr.io=jo:sec\0ret", "or a NUL in the password"],
  ])("is none: %j", (line, problem) => {
    expect(parseCredentials(line)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it("is not in what is wrong with it", () => {
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
    // A text that were made of a line would be another one for each.
    expect(texts.size).toBeLessThanOrEqual(4);
  });
});

describe("what is to be masked of credentials", () => {
  const of = (password: string, user = "jo") => secretsOf({ user, password });

  it("is the password, and what registries and Docker's configuration have of it", () => {
    expect(of("s3cret")).toEqual(["s3cret", "am86czNjcmV0"]);
    expect(of("s3cre")).toEqual(["s3cre", "am86czNjcmU=", "am86czNjcmU"]);
  });

  it("is each form of it in a URL, as browsers and Go write them, and in JSON", () => {
    expect(of("a b'c/\"")).toEqual(
      expect.arrayContaining(["a b'c/\"", "a%20b'c%2F%22", "a%20b%27c%2F%22", "a+b%27c%2F%22", "a b'c/\\\""]),
    );
  });

  it("is each line of it, because logs are masked line by line", () => {
    expect(of("first line\r\nsecond line\n\n}")).toEqual(
      expect.arrayContaining(["first line\r\nsecond line\n\n}", "first line", "second line"]),
    );
  });

  it("is nothing that is so short that every log would be full of it", () => {
    expect(of("ab")).not.toContain("ab");
    expect(of("abc\n}\nde")).not.toContain("}");
  });

  it("is not the user", () => {
    expect(of("s3cret", "joanna")).not.toContain("joanna");
  });

  it("is said once each, never as nothing, whatever the password", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (password) => {
        const texts = of(password);
        expect(new Set(texts).size).toBe(texts.length);
        expect(texts.every((text) => text.length >= 3)).toBe(true);
        if (password.length >= 3) expect(texts).toContain(password);
        expect(texts).toContain(base64(`jo:${password}`));
      }),
    );
  });
});

describe("credentials", () => {
  const right = { user: "jo", password: "right" };
  const wrong = { user: "jo", password: "wrong" };
  const isRight = (given: string | undefined) => given === basicOf("jo", "right");
  const ok: RequestListener = (_, response) => response.end("{}");

  it.each<[string, RequestListener]>([
    ["Docker Hub and quay.io", tokenRegistry({ answer: ok, gives: isRight })],
    [
      "ghcr.io",
      tokenRegistry({ answer: ok, gives: isRight, refusal: 403, scope: "repository:user/image:pull" }),
    ],
    ["distribution with htpasswd", basicRegistry(basicOf("jo", "right"))],
  ])("are accepted or refused as by %s", async (_, registry) => {
    const { url, requests } = await serve(registry);
    expect(await checkCredentials(url, right)).toBe("accepted");
    expect(await checkCredentials(url, wrong)).toBe("refused");
    expect(requests.filter((request) => request.includes("scope"))).toEqual([]);
  });

  it("are refused where the registry does not take the token", async () => {
    const { url } = await serve((request, response) => {
      if (request.url?.startsWith("/token")) return response.end('{"token":"t"}');
      const challenge = `Bearer realm="http://${request.headers.host}/token"`;
      return response.writeHead(401, { "www-authenticate": challenge }).end();
    });
    expect(await checkCredentials(url, right)).toBe("refused");
  });

  it("are neither where nobody is asked who they are: they are not even sent", async () => {
    const heard: (string | undefined)[] = [];
    const { url } = await serve((request, response) => {
      heard.push(request.headers.authorization);
      response.end("{}");
    });
    expect(await checkCredentials(url, wrong)).toEqual({ unknown: `${url} asks nobody to log in` });
    expect(heard).toEqual([undefined]);
  });

  it.each<[string, RequestListener, RegExp]>([
    [
      "wants another kind of login",
      (_, response) => response.writeHead(401, { "www-authenticate": "Negotiate" }).end(),
      /^http:\S+ wants a login of a kind that is not supported$/,
    ],
    ["has trouble", (_, response) => response.writeHead(503).end(), /^http:\S+ answers with status 503$/],
    ["is no registry", (_, response) => response.writeHead(404).end(), /answers with status 404$/],
    [
      "sends for a token to another domain",
      (_, response) =>
        response.writeHead(401, { "www-authenticate": 'Bearer realm="https://auth.example/t"' }).end(),
      /auth\.example, which is of another domain/,
    ],
    [
      "has a place for tokens that has trouble",
      tokenRegistry({ answer: ok, gives: () => false, refusal: 500 }),
      /\/token should give a token for \S+, and answers with status 500/,
    ],
  ])("are neither where the registry %s", async (_, registry, unknown) => {
    const { url } = await serve(registry);
    expect(await checkCredentials(url, right)).toEqual({ unknown: expect.stringMatching(unknown) });
  });

  it("are neither where the registry is not there", async () => {
    const answer = await checkCredentials(`http://127.0.0.1:${await unusedPort()}`, right);
    expect(answer).toEqual({ unknown: expect.stringContaining("ECONNREFUSED") });
  });
});

describe("what `docker login` has left", () => {
  let folder: string;
  let run: RunProgram;
  beforeEach(() => {
    folder = temporaryFolder();
    vi.stubEnv("PATH", `${join(folder, "bin")}:${process.env.PATH}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    // Each test's own: what ends one test's helper in time may still look for it when the next one starts.
    const mark = `unit-${randomBytes(6).toString("hex")}`;
    run = createProgramRunner(mark, { PATH: process.env.PATH ?? "" });
    onTestFinished(async () => void (await killMarkedProcesses(mark, 0)));
  });

  /** Docker's configuration of somebody's, and what is found in it for a registry. */
  async function login(
    config: unknown,
    registry = "ghcr.io",
    on: { readonly dockerConfig?: string; readonly deadline?: number } = {},
  ) {
    const home = join(folder, "home");
    await mkdir(join(home, ".docker"), { recursive: true });
    const text = typeof config === "string" ? config : JSON.stringify(config);
    if (config !== undefined) await writeFile(join(home, ".docker", "config.json"), text);
    return await readDockerLogin(registry, { dockerConfig: undefined, ...on, home, run });
  }

  /** A credential helper. */
  async function helper(name: string, script: string): Promise<void> {
    const program = join(folder, "bin", `docker-credential-${name}`);
    await mkdir(join(folder, "bin"), { recursive: true });
    await writeFile(program, `#!/bin/sh\n${script}\n`);
    await chmod(program, 0o755);
  }

  const file = () => join(folder, "home", ".docker", "config.json");

  describe("in its file", () => {
    const auth = base64("jo:se:cret");

    it.each([
      ["ghcr.io", "ghcr.io"],
      ["registry.example:5000", "registry.example:5000"],
      ["docker.io", "https://index.docker.io/v1/"],
      ["docker.io", "index.docker.io"],
      ["ghcr.io", "https://ghcr.io"],
      ["ghcr.io", "https://ghcr.io/v1/"],
    ])("is found for %s under %s", async (registry, key) => {
      expect(
        await login({ auths: { "other.example": { auth: base64("a:b") }, [key]: { auth } } }, registry),
      ).toEqual({ user: "jo", password: "se:cret" });
    });

    it("is that of the registry rather than of what looks like it", async () => {
      const auths = { "https://ghcr.io/v1/": { auth: base64("old:old") }, "ghcr.io": { auth } };
      expect(await login({ auths })).toMatchObject({ user: "jo" });
    });

    it.each([
      ["without its end", { auth: base64("jo:secret\0\0") }],
      ["in the clear", { username: "jo", password: "secret" }],
    ])("may be written %s", async (_, entry) => {
      expect(await login({ auths: { "ghcr.io": entry } })).toEqual({ user: "jo", password: "secret" });
    });

    it("is in the folder that DOCKER_CONFIG names, if it does", async () => {
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
      ["much else", { currentContext: "a", plugins: { b: 1 }, HttpHeaders: { c: "d" }, proxies: {} }],
    ])("is nothing where there is %s", async (_, config) => {
      expect(await login(config)).toBeUndefined();
    });

    it.each([
      ["is no JSON", '{"auths":{"ghcr.io":{"auth":"hunter2', "is not a configuration of docker's"],
      ["is a list", '["hunter2"]', "is not a configuration of docker's"],
      ["is nothing", "null", "is not a configuration of docker's"],
      ["has auths that are none", { auths: "hunter2" }, "is not a configuration of docker's"],
      ["has a login that is a text", { auths: { "ghcr.io": "hunter2" } }, "is not a login of docker's"],
      ["has a login of numbers", { auths: { "ghcr.io": { auth: 7 } } }, "is not a login of docker's"],
      [
        "has a login without a user",
        { auths: { "ghcr.io": { auth: base64(":hunter2") } } },
        "is not a login",
      ],
      [
        "has a login without a colon",
        { auths: { "ghcr.io": { auth: base64("hunter2") } } },
        "is not a login",
      ],
    ])("cannot be known where it %s", async (_, config, reason) => {
      const found = await login(config);
      expect(found).toEqual({ reason: expect.stringContaining(reason) });
      expect(found).toEqual({ reason: expect.stringContaining(file()) });
      expect(JSON.stringify(found)).not.toContain("hunter2");
    });

    it("cannot be known where it cannot be read", async () => {
      await mkdir(file(), { recursive: true });
      expect(await login(undefined)).toEqual({ reason: `${file()} is a folder` });
    });

    it.each([{ identitytoken: "hunter2" }, { registrytoken: "hunter2" }])(
      "is of no use where it is a token of docker's own: %j",
      async (token) => {
        const found = await login({ auths: { "ghcr.io": { auth: base64("00000000:"), ...token } } });
        expect(found).toEqual({ reason: expect.stringContaining("a token in the place of a password") });
        expect(JSON.stringify(found)).not.toContain("hunter2");
      },
    );

    it("is not in what is told about it, wherever the file ends", async () => {
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
    /** Knows a login, and writes down how it was asked. */
    const knows = (user: string, password: string) =>
      `printf '%s|' "$@" > "$0.asked"; cat >> "$0.asked"; printf '%s' '${JSON.stringify({ ServerURL: "x", Username: user, Secret: password })}'`;

    it.each([
      ["ghcr.io", "ghcr.io"],
      ["registry.example:5000", "registry.example:5000"],
      ["docker.io", "https://index.docker.io/v1/"],
    ])("is asked for, %s as %s", async (registry, key) => {
      await helper("mine", knows("jo", "se cret"));
      expect(await login({ credsStore: "mine" }, registry)).toEqual({ user: "jo", password: "se cret" });
      const asked = await readFile(join(folder, "bin", "docker-credential-mine.asked"), "utf8");
      expect(asked).toBe(`get|${key}`);
    });

    it("is that of the registry's own helper, then of the one for all, and never of the file", async () => {
      await helper("one", knows("one", "secret"));
      await helper("all", knows("all", "secret"));
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
      ["knows none", "cat >/dev/null; echo credentials not found in native keychain; exit 1"],
      ["has an empty one", `cat >/dev/null; echo '{"ServerURL":"","Username":"","Secret":""}'`],
    ])("is nothing where it %s", async (_, script) => {
      await helper("mine", script);
      expect(await login({ credsStore: "mine" })).toBeUndefined();
    });

    it.each([
      [
        "fails",
        "echo hunter2; echo hunter2 >&2; exit 3",
        "`docker-credential-mine get` failed with exit code 3",
      ],
      ["says nothing", "exit 0", "does not answer as credential helpers do"],
      ["answers with a text", "echo hunter2", "does not answer as credential helpers do"],
      ["answers with a list", `echo '["hunter2"]'`, "does not answer as credential helpers do"],
      [
        "answers with numbers",
        `echo '{"Username":"jo","Secret":7}'`,
        "does not answer as credential helpers do",
      ],
      ["has a token", knows("<token>", "hunter2"), "a token in the place of a password"],
    ])("cannot be known where it %s", async (_, script, reason) => {
      await helper("mine", script);
      const found = await login({ credsStore: "mine" });
      expect(found).toEqual({ reason: expect.stringContaining(reason) });
      expect(JSON.stringify(found)).not.toContain("hunter2");
    });

    it("is not waited for where it does not answer", async () => {
      await helper("mine", "echo hunter2; exec sleep 60");
      expect(await login({ credsStore: "mine" }, "ghcr.io", { deadline: 200 })).toEqual({
        reason: "`docker-credential-mine get` did not answer within 0.2 s",
      });
    });

    it("cannot be known where there is no such program, or none that can be started", async () => {
      const reason = "docker-credential-mine is not on PATH, or cannot be started";
      expect(await login({ credsStore: "mine" })).toEqual({ reason });
      await helper("mine", "exit 0");
      await writeFile(join(folder, "bin", "docker-credential-mine"), "#!/nonexistent/interpreter\n");
      expect(await login({ credsStore: "mine" })).toEqual({ reason });
    });

    it.each(["../evil", "a b", "a;b", "/bin/sh"])("is no program of another name: %j", async (name) => {
      expect(await login({ credHelpers: { "ghcr.io": name } })).toEqual({
        reason: "docker's configuration names a credential helper that can be none",
      });
    });

    it("keeps every password as it is", async () => {
      await helper("mine", 'cat >/dev/null; cat "$0.json"');
      await fc.assert(
        fc.asyncProperty(secret, async (password) => {
          const answer = JSON.stringify({ Username: "jo", Secret: password });
          await writeFile(join(folder, "bin", "docker-credential-mine.json"), answer);
          expect(await login({ credsStore: "mine" })).toEqual({ user: "jo", password });
        }),
        { numRuns: 10 },
      );
    });
  });
});
