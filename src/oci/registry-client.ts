import * as z from "zod";
import { type HttpLimits, type HttpResponse, httpGet, withoutQuery } from "../lib/http.ts";
import { type Challenge, parseChallenges } from "./auth-challenge.ts";
import { isRealmAllowed } from "./token-realm.ts";

/** Who asks. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface RegistryResponse extends HttpResponse {
  /** Whether it wanted to know who asks, and was told: by credentials, or by a token that was had for them or for none. */
  readonly authorized: boolean;
}

/** Those who ask were not given a token: their credentials are wrong, or a login is wanted. */
export class LoginRefusedError extends Error {
  override readonly name = "LoginRefused";
}

/** Where the registry is that names of images begin with: Docker Hub is not under its own name. */
export function registryUrl(name: string): string {
  if (name === "docker.io") return "https://registry-1.docker.io";
  // Docker takes these for registries of the machine, which have no certificates.
  const isLocal = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]):\d+$/.test(name);
  return `${isLocal ? "http" : "https"}://${name}`;
}

/** What registries have to accept of a manifest (OCI distribution-spec, "Pushing Manifests"). */
const mostBytes = 4 * 1024 ** 2;
const mostRedirects = 5;

/** Asks a registry: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull */
export class RegistryClient {
  readonly #url: URL;
  readonly #credentials: Credentials | undefined;
  readonly #deadline: number;
  #authorization: string | undefined;

  /**
   * @param url of the registry, without a path
   * @param credentials for it and for the place where it gives its tokens; they go nowhere else
   * @param on.deadline how long an answer may take with all that is asked on the way to it, in milliseconds
   */
  constructor(url: string, credentials?: Credentials, { deadline = 10_000 } = {}) {
    const parsed = URL.parse(url);
    if (parsed === null || !/^https?:$/.test(parsed.protocol))
      throw new Error(`${JSON.stringify(url)} is not the URL of a registry.`);
    this.#url = new URL(parsed.origin);
    this.#credentials = credentials;
    this.#deadline = deadline;
  }

  /**
   * Gets what is at a path, at most 4 MB of it. Where the registry wants to know who asks, it is told, and asked again.
   * A status that is no success is an answer, too.
   *
   * @param accept media types
   * @throws LoginRefused when there is no token to be had
   * @throws when there is no answer in time, or the way to it leads where it must not
   */
  async get(path: `/${string}`, accept: readonly string[] = []): Promise<RegistryResponse> {
    const limits = { bytes: mostBytes, until: performance.now() + this.#deadline };
    const url = new URL(`${this.#url.origin}${path}`);
    const first = await this.#follow(url, accept, limits);
    if (first.status !== 401 || !first.own) return first;
    const challenges = parseChallenges(first.headers["www-authenticate"] ?? "");
    // At the root, a scope is no more than an example: ghcr.io's is `repository:user/image:pull`.
    const authorization = await this.#answerTo(challenges, path !== "/v2/", limits);
    if (authorization === undefined) return first;
    this.#authorization = authorization;
    return await this.#follow(url, accept, limits);
  }

  /** Layers and configs of many registries are elsewhere. */
  async #follow(
    start: URL,
    accept: readonly string[],
    limits: HttpLimits,
  ): Promise<RegistryResponse & { readonly own: boolean }> {
    let url = start;
    for (let redirects = 0; ; redirects++) {
      const own = url.origin === this.#url.origin;
      const authorization = own ? this.#authorization : undefined;
      const answer = await httpGet(
        url,
        {
          ...(accept.length === 0 ? {} : { accept: accept.join(", ") }),
          ...(authorization === undefined ? {} : { authorization }),
        },
        limits,
      );
      const { location } = answer.headers;
      if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined)
        return { ...answer, own, authorized: authorization !== undefined };
      const next = URL.parse(location, url.href);
      if (next === null || (next.protocol !== "https:" && next.protocol !== url.protocol))
        throw new Error(`${withoutQuery(url)} leads on to something that is not to be had over HTTPS.`);
      if (redirects === mostRedirects) throw new Error(`${withoutQuery(start)} leads on and on.`);
      url = next;
    }
  }

  /** What to send with the next request; undefined where there is nothing to send. */
  async #answerTo(
    challenges: readonly Challenge[],
    scoped: boolean,
    limits: HttpLimits,
  ): Promise<string | undefined> {
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    if (bearer !== undefined) return `Bearer ${await this.#token(bearer, scoped, limits)}`;
    if (challenges.some(({ scheme }) => scheme === "basic") && this.#credentials !== undefined)
      return basic(this.#credentials);
    return undefined;
  }

  /** https://distribution.github.io/distribution/spec/auth/token/ */
  async #token({ parameters }: Challenge, scoped: boolean, limits: HttpLimits): Promise<string> {
    const { host } = this.#url;
    const url = URL.parse(parameters.get("realm") ?? "");
    if (url === null) throw new Error(`${host} asks for a token, and does not say where to get one.`);
    if (url.protocol !== "https:" && url.origin !== this.#url.origin)
      throw new Error(
        `${host} asks for a token from ${withoutQuery(url)}, which is not to be had over HTTPS.`,
      );
    if (this.#credentials !== undefined && !isRealmAllowed(url, this.#url))
      throw new Error(
        `${host} asks for a token from ${url.host}, which is of another domain: it does not get the credentials for ${host}.`,
      );
    const service = parameters.get("service");
    if (service !== undefined) url.searchParams.append("service", service);
    const scopes = scoped ? (parameters.get("scope") ?? "").split(" ").filter(Boolean) : [];
    for (const scope of scopes) url.searchParams.append("scope", scope);
    const authorization = this.#credentials && basic(this.#credentials);
    const { status, body } = await httpGet(url, authorization === undefined ? {} : { authorization }, limits);
    if (status === 401 || status === 403)
      throw new LoginRefusedError(
        this.#credentials === undefined
          ? `${url.host} gives no token for ${host} without a login (status ${status}).`
          : `${url.host} does not accept the credentials for ${host} (status ${status}).`,
      );
    const token = status === 200 ? parseToken(body) : undefined;
    if (token === undefined)
      throw new Error(
        `${withoutQuery(url)} should give a token for ${host}, and answers with status ${status}.`,
      );
    return token;
  }
}

const basic = ({ user, password }: Credentials): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

/** What a header can hold. */
const tokenText = z
  .string()
  .regex(/^[!-~]{1,65536}$/)
  .optional();
const tokenAnswer = z.object({ token: tokenText, access_token: tokenText });

function parseToken(body: Buffer): string | undefined {
  try {
    const { token, access_token } = tokenAnswer.parse(JSON.parse(body.toString()));
    return token ?? access_token;
  } catch {
    return undefined;
  }
}
