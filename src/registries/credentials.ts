import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { describeFileError, errorMessage } from "../lib/errors.ts";
import { ProgramError, type RunProgram } from "../lib/subprocess.ts";
import { type Credentials, LoginRefusedError, RegistryClient } from "../oci/registry-client.ts";

/** Credentials, and what for. */
export interface RegistryCredentials extends Credentials {
  /** As names of images begin with it: `docker.io`. */
  readonly registry: string;
}

const registryPattern = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/;

/**
 * Reads a line of `registry_credentials`: `REGISTRY=USER:PASSWORD`, or `docker` for what `docker login` has left. The
 * password may be empty: a pull request from a fork gets no secrets.
 *
 * @returns a problem without anything of the line in it: whoever tells it must not show the line either
 */
export function parseCredentials(
  line: string,
): RegistryCredentials | "docker" | { readonly problem: string } {
  if (line === "docker") return line;
  const [, name, user = "", password = ""] = /^([^=]*)=([^:]*):(.*)$/s.exec(line) ?? [];
  if (name === undefined || !registryPattern.test(name))
    return {
      problem: "wants lines `REGISTRY=USER:PASSWORD`, with a registry such as ghcr.io, or the word `docker`",
    };
  if (user === "") return { problem: "has no user between `=` and `:`" };
  if (/\p{Cc}/u.test(user) || password.includes("\0"))
    return { problem: "has control characters in the user, or a NUL in the password" };
  return { registry: hubNames.includes(name) ? "docker.io" : name, user, password };
}

/** Other names of Docker Hub. */
const hubNames = ["index.docker.io", "registry-1.docker.io"];

/** The runner masks every appearance of a secret: less than this would mask half of the log. */
const shortest = 3;

/** Every text that shows the password, or from which it can be had. The user's name is no secret. */
export function secretsOf({ user, password }: Credentials): string[] {
  if (password === "") return [];
  const basic = Buffer.from(`${user}:${password}`).toString("base64");
  const encoded = encodeURIComponent(password.toWellFormed());
  // As Go writes it, and RFC 3986.
  const strict = encoded.replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
  const texts = [
    password,
    ...password.split(/[\r\n]+/),
    basic,
    basic.replace(/=+$/, ""),
    encoded,
    strict,
    strict.replaceAll("%20", "+"),
    JSON.stringify(password).slice(1, -1),
  ];
  return [...new Set(texts)].filter((text) => text.length >= shortest);
}

/**
 * Finds out whether credentials are right, as `docker login` does: `/v2/` is asked for, and what it challenges to is done.
 *
 * - Docker Hub, ghcr.io, quay.io and most others send to a place that gives tokens. It refuses wrong credentials (Docker
 *   Hub and quay.io with 401, ghcr.io with 403); with a token `/v2/` then answers. No repository is asked for: what the
 *   user may pull is not looked at.
 * - distribution with htpasswd, and private ECR, take them at `/v2/` itself, and answer 401 to wrong ones.
 * - Where `/v2/` asks nobody who they are (registry.k8s.io, mcr.microsoft.com), nothing is known: they were not sent.
 */
export async function checkCredentials(
  url: string,
  credentials: Credentials,
  client: Pick<RegistryClient, "get"> = new RegistryClient(url, credentials),
): Promise<"accepted" | "refused" | { readonly unknown: string }> {
  try {
    const { status, authorized } = await client.get("/v2/");
    if (status === 200 && authorized) return "accepted";
    if (status === 200) return { unknown: `${url} asks nobody to log in` };
    if (status === 401 && authorized) return "refused";
    if (status === 401) return { unknown: `${url} wants a login of a kind that is not supported` };
    return { unknown: `${url} answers with status ${status}` };
  } catch (error) {
    return error instanceof LoginRefusedError ? "refused" : { unknown: errorMessage(error) };
  }
}

/** What of Docker's config.json counts here: https://docs.docker.com/reference/cli/docker/login/ */
const dockerConfigFile = z.object({
  auths: z.record(z.string(), z.unknown()).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});
const optionalText = z.string().nullish();
const login = z.object({
  auth: optionalText,
  username: optionalText,
  password: optionalText,
  identitytoken: optionalText,
  registrytoken: optionalText,
});
const helperAnswer = z.object({ Username: z.string(), Secret: z.string() });

/** The user that stands for an identity token in the place of the password (docker/cli, native_store.go). */
const tokenUser = "<token>";
const notFound = "credentials not found in native keychain";

/**
 * Finds what `docker login` has left for a registry, as the docker CLI does: from a credential helper if one is set, else
 * from the file.
 *
 * @param on.dockerConfig what DOCKER_CONFIG says
 * @param on.deadline how long a helper may take, in milliseconds
 * @returns undefined where nobody has logged in; a reason, without anything secret in it, where that cannot be known or
 * the login is of no use to others than docker
 */
export async function readDockerLogin(
  registry: string,
  on: {
    readonly home: string;
    readonly dockerConfig: string | undefined;
    readonly run: RunProgram;
    readonly deadline?: number;
  },
): Promise<Credentials | { readonly reason: string } | undefined> {
  const file = join(on.dockerConfig || join(on.home, ".docker"), "config.json");
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return missing ? undefined : { reason: `${file} ${describeFileError(error)}` };
  }
  const config = parsed(text, dockerConfigFile);
  if (config === undefined) return { reason: `${file} is not a configuration of docker's` };
  const key = registry === "docker.io" ? "https://index.docker.io/v1/" : registry;
  const helper = new Map(Object.entries(config.credHelpers ?? {})).get(key) ?? config.credsStore;
  if (helper) return await askHelper(helper, key, on.run, on.deadline ?? 10_000);
  const entries = Object.entries(config.auths ?? {});
  // Older versions wrote URLs for all registries.
  const [, entry] =
    entries.find(([name]) => name === key) ?? entries.find(([name]) => hostOf(name) === hostOf(key)) ?? [];
  return entry === undefined ? undefined : readLogin(entry, `${file} has for ${registry}`);
}

const hostOf = (key: string) => key.replace(/^https?:\/\//, "").replace(/\/.*$/s, "");

function readLogin(entry: unknown, whatFileHas: string): Credentials | { reason: string } | undefined {
  const read = login.safeParse(entry);
  const decoded = Buffer.from(read.data?.auth ?? "", "base64")
    .toString()
    .replace(/\0+$/, "");
  const [, user = read.data?.username, password = read.data?.password] =
    /^([^:]+):(.*)$/s.exec(decoded) ?? [];
  if (!read.success || (decoded !== "" && user === undefined))
    return { reason: `${whatFileHas} something that is not a login of docker's` };
  if (read.data.identitytoken || read.data.registrytoken) return { reason: `${whatFileHas} ${tokenIsNoUse}` };
  return user && password ? { user, password } : undefined;
}

const tokenIsNoUse = "a token in the place of a password, with which only docker can log in";

/** https://github.com/docker/docker-credential-helpers#development */
async function askHelper(
  name: string,
  key: string,
  run: RunProgram,
  deadline: number,
): Promise<Credentials | { reason: string } | undefined> {
  const program = `docker-credential-${name}`;
  if (!/^[\w.-]+$/.test(name))
    return { reason: "docker's configuration names a credential helper that can be none" };
  try {
    const { exitCode, stdout } = await run(program, ["get"], { input: key, mayFail: true, deadline });
    if (stdout.trim() === notFound) return undefined;
    // What it says may hold what it was asked for.
    if (exitCode !== 0) return { reason: `\`${program} get\` failed with exit code ${exitCode}` };
    const answer = parsed(stdout, helperAnswer);
    if (answer === undefined)
      return { reason: `\`${program} get\` does not answer as credential helpers do` };
    const { Username: user, Secret: password } = answer;
    if (user === tokenUser) return { reason: `\`${program} get\` has ${tokenIsNoUse}` };
    return user && password ? { user, password } : undefined;
  } catch (error) {
    return error instanceof ProgramError
      ? { reason: `\`${program} get\` did not answer within ${deadline / 1_000} s` }
      : { reason: `${program} is not on PATH, or cannot be started` };
  }
}

/** An error of JSON.parse or zod would quote what is secret: there is none. */
function parsed<T>(text: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
