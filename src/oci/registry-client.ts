import * as z from "zod";
import { type HttpLimits, type HttpResponse, httpGet, withoutQuery } from "../lib/http.ts";
import { type Challenge, parseChallenges } from "./auth-challenge.ts";
import { maxManifestBytes } from "./limits.ts";
import { isRealmAllowed } from "./token-realm.ts";

/** The credentials of a registry user. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface RegistryResponse extends HttpResponse {
  /** Whether the request had credentials or a token, including an anonymous token. */
  readonly authorized: boolean;
}

/** A response with the origin that sent it. */
interface OriginResponse extends RegistryResponse {
  /** Whether it is a response of the registry, not of a server that the registry redirected to. */
  readonly fromRegistry: boolean;
}

/** The registry issued no token: the credentials are wrong, or missing. */
export class LoginRefusedError extends Error {
  override readonly name = "LoginRefusedError";
}

/** Returns the URL of the registry in an image name. Docker Hub has another hostname than its images. */
export function registryUrl(name: string): string {
  if (name === "docker.io") return "https://registry-1.docker.io";
  // Docker uses HTTP for registries on loopback, which have no certificate.
  const isLocal = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]):\d+$/.test(name);
  return `${isLocal ? "http" : "https"}://${name}`;
}

const maxRedirects = 5;

/** A client for pulling: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull */
export class RegistryClient {
  readonly #url: URL;
  readonly #credentials: Credentials | undefined;
  readonly #timeoutMs: number;
  #authorization: string | undefined;

  /**
   * @param url of the registry, without a path
   * @param credentials for the registry and its token server; they are sent nowhere else
   * @param options.timeoutMs milliseconds for a response, including redirects and token requests
   * @throws Error when the URL is not an HTTP or HTTPS URL
   */
  constructor(url: string, credentials?: Credentials, { timeoutMs = 10_000 } = {}) {
    const parsed = URL.parse(url);
    if (parsed === null || !/^https?:$/.test(parsed.protocol))
      throw new Error(`${JSON.stringify(url)} is not a registry URL.`);
    this.#url = new URL(parsed.origin);
    this.#credentials = credentials;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Gets a path, at most {@link maxManifestBytes}. Repeats the request with credentials or a token if the registry requires
   * them.
   *
   * @param accept media types
   * @returns the response, whatever its status
   * @throws LoginRefusedError when the token server rejects the credentials
   * @throws Error when there is no response in time, or a redirect or token realm is not allowed
   */
  async get(path: `/${string}`, accept: readonly string[] = []): Promise<RegistryResponse> {
    const limits = { maxBytes: maxManifestBytes, deadlineMs: performance.now() + this.#timeoutMs };
    const url = new URL(`${this.#url.origin}${path}`);
    const response = await this.#follow(url, accept, limits);
    if (response.status !== 401 || !response.fromRegistry) return response;
    const challenges = parseChallenges(response.headers["www-authenticate"] ?? "");
    // At the root, the scope is only an example: that of ghcr.io is `repository:user/image:pull`.
    const authorization = await this.#authorize(challenges, path !== "/v2/", limits);
    if (authorization === undefined) return response;
    this.#authorization = authorization;
    return await this.#follow(url, accept, limits);
  }

  /** Follows redirects: many registries store layers and configs on another server. */
  async #follow(start: URL, accept: readonly string[], limits: HttpLimits): Promise<OriginResponse> {
    let url = start;
    for (let redirects = 0; ; redirects++) {
      const fromRegistry = url.origin === this.#url.origin;
      const authorization = fromRegistry ? this.#authorization : undefined;
      const response = await httpGet(
        url,
        {
          ...(accept.length === 0 ? {} : { accept: accept.join(", ") }),
          ...(authorization === undefined ? {} : { authorization }),
        },
        limits,
      );
      const { location } = response.headers;
      if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined)
        return { ...response, fromRegistry, authorized: authorization !== undefined };
      const next = URL.parse(location, url.href);
      if (next === null || (next.protocol !== "https:" && next.protocol !== url.protocol))
        throw new Error(`${withoutQuery(url)} redirects to a location without HTTPS.`);
      if (redirects === maxRedirects)
        throw new Error(`${withoutQuery(start)} has too many redirects (more than ${maxRedirects}).`);
      url = next;
    }
  }

  /** Returns the `Authorization` header for the next request; undefined if no challenge can be met. */
  async #authorize(
    challenges: readonly Challenge[],
    scoped: boolean,
    limits: HttpLimits,
  ): Promise<string | undefined> {
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    if (bearer !== undefined) return `Bearer ${await this.#fetchToken(bearer, scoped, limits)}`;
    if (challenges.some(({ scheme }) => scheme === "basic") && this.#credentials !== undefined)
      return basic(this.#credentials);
    return undefined;
  }

  /** https://distribution.github.io/distribution/spec/auth/token/ */
  async #fetchToken({ parameters }: Challenge, scoped: boolean, limits: HttpLimits): Promise<string> {
    const { host } = this.#url;
    const url = this.#realm(parameters.get("realm") ?? "");
    const service = parameters.get("service");
    if (service !== undefined) url.searchParams.append("service", service);
    const scopes = scoped ? (parameters.get("scope") ?? "").split(" ").filter(Boolean) : [];
    for (const scope of scopes) url.searchParams.append("scope", scope);
    const authorization = this.#credentials && basic(this.#credentials);
    const { status, body } = await httpGet(url, authorization === undefined ? {} : { authorization }, limits);
    if (status === 401 || status === 403)
      throw new LoginRefusedError(
        this.#credentials === undefined
          ? `${url.host} issues no token for ${host} without credentials (status ${status}).`
          : `${url.host} rejected the credentials for ${host} (status ${status}).`,
      );
    const token = status === 200 ? parseToken(body) : undefined;
    if (token === undefined)
      throw new Error(`${withoutQuery(url)} returned no token for ${host} (status ${status}).`);
    return token;
  }

  /** Checks the realm of a challenge: the URL of the token server. */
  #realm(realm: string): URL {
    const { host } = this.#url;
    const url = URL.parse(realm);
    if (url === null)
      throw new Error(`${host} requires a token, but the realm of its challenge is not a URL.`);
    if (url.protocol !== "https:" && url.origin !== this.#url.origin)
      throw new Error(`${host} requires a token from ${withoutQuery(url)}, which does not use HTTPS.`);
    if (this.#credentials !== undefined && !isRealmAllowed(url, this.#url))
      throw new Error(
        `${host} requires a token from ${url.host}, which is in another domain: the credentials for ${host} are not sent there.`,
      );
    return url;
  }
}

const basic = ({ user, password }: Credentials): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

/** The characters of a header value. */
const tokenText = z
  .string()
  .regex(/^[!-~]{1,65536}$/)
  .optional();
const tokenResponse = z.object({ token: tokenText, access_token: tokenText });

function parseToken(body: Buffer): string | undefined {
  try {
    const { token, access_token } = tokenResponse.parse(JSON.parse(body.toString()));
    return token ?? access_token;
  } catch {
    return undefined;
  }
}
