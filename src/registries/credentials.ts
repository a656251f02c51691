import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { describeFileError, errorMessage } from "../lib/errors.ts";
import { ProgramError, type RunProgram } from "../lib/subprocess.ts";
import { formatTimeout } from "../lib/units.ts";
import { type Credentials, LoginRefusedError, RegistryClient } from "../oci/registry-client.ts";

/** The credentials for a registry. */
export interface RegistryCredentials extends Credentials {
  /** The registry, as in image names: `docker.io`. */
  readonly registry: string;
}

const registryPattern = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/;

/**
 * Parses a line of `registry_credentials`: `REGISTRY=USER:PASSWORD`, or `docker` for the credentials of `docker login`.
 * The password may be empty, because secrets are empty in a pull request from a fork.
 *
 * @returns the credentials, or a problem that does not quote the line; callers must not show the line either
 */
export function parseCredentials(
  line: string,
): RegistryCredentials | "docker" | { readonly problem: string } {
  if (line === "docker") return line;
  const [, name, user = "", password = ""] = /^([^=]*)=([^:]*):(.*)$/s.exec(line) ?? [];
  if (name === undefined || !registryPattern.test(name))
    return {
      problem:
        "must have lines `REGISTRY=USER:PASSWORD`, with a registry such as ghcr.io, or the line `docker`",
    };
  if (user === "") return { problem: "has no user between `=` and `:`" };
  if (/\p{Cc}/u.test(user) || password.includes("\0"))
    return { problem: "has a control character in the user, or a NUL in the password" };
  return { registry: hubNames.includes(name) ? "docker.io" : name, user, password };
}

/** Other host names of Docker Hub. */
const hubNames = ["index.docker.io", "registry-1.docker.io"];

/** The runner masks each occurrence of a secret. Masking shorter texts would make logs unreadable. */
const minMaskedLength = 3;

/** Returns all texts from which the password can be read, for masking. The user name is not a secret. */
export function secretsOf({ user, password }: Credentials): string[] {
  if (password === "") return [];
  const basic = Buffer.from(`${user}:${password}`).toString("base64");
  const encoded = encodeURIComponent(password.toWellFormed());
  // The encodings of Go and of RFC 3986.
  const strict = encoded.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
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
  return [...new Set(texts)].filter((text) => text.length >= minMaskedLength);
}

/**
 * Checks credentials as `docker login` does: it requests `/v2/` and responds to the authentication challenge.
 *
 * - Docker Hub, ghcr.io, quay.io and most others refer to a token server. It rejects wrong credentials (Docker Hub and
 *   quay.io with 401, ghcr.io with 403); `/v2/` then accepts the token. The token has no repository scope, so this does
 *   not check which images the user may pull.
 * - distribution with htpasswd, and private ECR, accept credentials at `/v2/` itself, and respond 401 to wrong ones.
 * - If `/v2/` sends no challenge (registry.k8s.io, mcr.microsoft.com), credentials are not sent and cannot be checked.
 */
export async function checkCredentials(
  url: string,
  credentials: Credentials,
  client: Pick<RegistryClient, "get"> = new RegistryClient(url, credentials),
): Promise<"accepted" | "refused" | { readonly unknown: string }> {
  try {
    const { status, authorized } = await client.get("/v2/");
    if (status === 200 && authorized) return "accepted";
    if (status === 200) return { unknown: `${url} does not ask for credentials` };
    if (status === 401 && authorized) return "refused";
    if (status === 401) return { unknown: `${url} uses an authentication scheme that is not supported` };
    return { unknown: `${url} responded with status ${status}` };
  } catch (error) {
    return error instanceof LoginRefusedError ? "refused" : { unknown: errorMessage(error) };
  }
}

/** The fields of Docker's config.json that contain logins: https://docs.docker.com/reference/cli/docker/login/ */
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
const helperResponse = z.object({ Username: z.string(), Secret: z.string() });

/** The user name with which credential helpers mark an identity token (docker/cli, native_store.go). */
const tokenUser = "<token>";
/** The output of credential helpers that have no credentials for a registry. */
const notFound = "credentials not found in native keychain";

/**
 * Reads the credentials of `docker login` for a registry, as the docker CLI does: from a credential helper if one is
 * configured, otherwise from config.json.
 *
 * @param options.dockerConfig the value of DOCKER_CONFIG
 * @param options.timeoutMs the milliseconds that a credential helper may take
 * @returns undefined if there are none; a reason without secrets if they cannot be read, or are a token for docker only
 */
export async function readDockerLogin(
  registry: string,
  options: {
    readonly home: string;
    readonly dockerConfig: string | undefined;
    readonly runProgram: RunProgram;
    readonly timeoutMs?: number;
  },
): Promise<Credentials | { readonly reason: string } | undefined> {
  const file = join(options.dockerConfig || join(options.home, ".docker"), "config.json");
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return missing ? undefined : { reason: `${file} ${describeFileError(error)}` };
  }
  const config = parseJson(text, dockerConfigFile);
  if (config === undefined) return { reason: `${file} is not a valid Docker configuration` };
  const key = registry === "docker.io" ? "https://index.docker.io/v1/" : registry;
  const helper = new Map(Object.entries(config.credHelpers ?? {})).get(key) ?? config.credsStore;
  if (helper) return await readFromHelper(helper, key, options.runProgram, options.timeoutMs ?? 10_000);
  const entries = Object.entries(config.auths ?? {});
  // Old versions of Docker used URLs as keys.
  const [, entry] =
    entries.find(([name]) => name === key) ?? entries.find(([name]) => hostOf(name) === hostOf(key)) ?? [];
  return entry === undefined ? undefined : readLogin(entry, `${file} has for ${registry}`);
}

const hostOf = (key: string) => key.replace(/^https?:\/\//, "").replace(/\/.*$/s, "");

/** @param prefix the beginning of a reason: `FILE has for REGISTRY` */
function readLogin(entry: unknown, prefix: string): Credentials | { reason: string } | undefined {
  const parsed = login.safeParse(entry);
  const decoded = Buffer.from(parsed.data?.auth ?? "", "base64")
    .toString()
    .replace(/\0+$/, "");
  const [, user = parsed.data?.username, password = parsed.data?.password] =
    /^([^:]+):(.*)$/s.exec(decoded) ?? [];
  if (!parsed.success || (decoded !== "" && user === undefined))
    return { reason: `${prefix} an invalid login` };
  if (parsed.data.identitytoken || parsed.data.registrytoken) return { reason: `${prefix} ${identityToken}` };
  return user && password ? { user, password } : undefined;
}

const identityToken = "an identity token instead of a password, which only docker can use";

/** Reads credentials from a credential helper: https://github.com/docker/docker-credential-helpers#development */
async function readFromHelper(
  name: string,
  key: string,
  runProgram: RunProgram,
  timeoutMs: number,
): Promise<Credentials | { reason: string } | undefined> {
  const program = `docker-credential-${name}`;
  if (!/^[\w.-]+$/.test(name))
    return { reason: "the Docker configuration has an invalid credential helper name" };
  try {
    const { exitCode, stdout } = await runProgram(program, ["get"], { input: key, mayFail: true, timeoutMs });
    if (stdout.trim() === notFound) return undefined;
    // The output is not quoted, because it may contain the credentials.
    if (exitCode !== 0) return { reason: `\`${program} get\` failed with exit code ${exitCode}` };
    const response = parseJson(stdout, helperResponse);
    if (response === undefined) return { reason: `\`${program} get\` printed no valid credentials` };
    const { Username: user, Secret: password } = response;
    if (user === tokenUser) return { reason: `\`${program} get\` returned ${identityToken}` };
    return user && password ? { user, password } : undefined;
  } catch (error) {
    return error instanceof ProgramError
      ? { reason: `\`${program} get\` did not exit within ${formatTimeout(timeoutMs)}` }
      : { reason: `${program} is not on PATH, or could not be started` };
  }
}

/** Parses JSON without throwing: the errors of JSON.parse and zod would quote secrets. */
function parseJson<T>(text: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
