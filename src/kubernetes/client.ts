import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { text as readText } from "node:stream/consumers";
import { parse } from "yaml";
import * as z from "zod";

/** The URL of a cluster's API server, and the credentials, as PEM. */
export interface ApiAccess {
  readonly server: string;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

const base64 = z.string().transform((text) => Buffer.from(text, "base64").toString());

const kubeconfig = z.looseObject({
  clusters: z.array(
    z.looseObject({
      name: z.string(),
      cluster: z.looseObject({ server: z.string(), "certificate-authority-data": base64.optional() }),
    }),
  ),
  users: z.array(
    z.looseObject({
      name: z.string(),
      user: z.looseObject({
        "client-certificate-data": base64.optional(),
        "client-key-data": base64.optional(),
      }),
    }),
  ),
});

/** Reads the entries that kind wrote for a cluster from a kubeconfig. @throws when they are missing or incomplete */
export async function readAccess(file: string, context: string): Promise<ApiAccess> {
  const access = findAccess(await readFile(file, "utf8"), ({ name }) => name === context);
  if (access === undefined)
    throw new Error(`${file} does not have complete entries for the context ${context}.`);
  return access;
}

/** Parses a kubeconfig with one cluster and one user, as kubeadm writes it. @throws when it is invalid or incomplete */
export function parseAccess(text: string): ApiAccess {
  const access = findAccess(text, () => true);
  if (access === undefined) throw new Error("The kubeconfig of kubeadm is incomplete.");
  return access;
}

function findAccess(text: string, matches: (entry: { name: string }) => boolean): ApiAccess | undefined {
  const { clusters, users } = kubeconfig.parse(parse(text));
  const cluster = clusters.find(matches)?.cluster;
  const user = users.find(matches)?.user;
  const ca = cluster?.["certificate-authority-data"];
  const certificate = user?.["client-certificate-data"];
  const key = user?.["client-key-data"];
  if (cluster === undefined || ca === undefined || certificate === undefined || key === undefined)
    return undefined;
  return { server: cluster.server, ca, certificate, key };
}

/** The API server answered with an error status. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;

  /** @param call the method and the path */
  constructor(call: string, status: number, body: string) {
    super(`${call}: ${status} ${body.slice(0, 300)}`);
    this.status = status;
  }
}

/** The timeout of a watch, in seconds, so that a dead connection is detected. */
const watchSeconds = 30;
/** How long a watch may continue after its timeout until the client aborts it. */
const watchGraceMs = 10_000;

/**
 * A client of a cluster's API, over keep-alive connections. It costs less processor time than a kubectl for each
 * request.
 */
export class KubernetesApi {
  readonly #access: ApiAccess;
  readonly #agent: Agent;

  constructor(access: ApiAccess) {
    this.#access = access;
    this.#agent = new Agent({ keepAlive: true, ca: access.ca, cert: access.certificate, key: access.key });
  }

  /** Returns the JSON at a path such as `/api/v1/nodes`. @throws ApiError for an error status */
  get(path: string, timeoutMs = 10_000): Promise<unknown> {
    return this.#call("GET", path, undefined, timeoutMs);
  }

  /** Creates an object. @param path the path of the list of such objects @throws ApiError for an error status */
  async create(path: string, object: object, timeoutMs = 10_000): Promise<void> {
    await this.#call("POST", path, object, timeoutMs);
  }

  /**
   * Watches a list, and returns the events. It ends when the API server ends it, after at most half a minute: then the
   * list has to be read again.
   *
   * @param path the path of the list
   * @param version the resource version of the list after which the events begin
   * @throws ApiError for an error status, and the error of the connection when it is lost
   */
  async *watch(path: string, version: string, signal: AbortSignal): AsyncGenerator<unknown, void> {
    const query = new URLSearchParams({
      watch: "1",
      resourceVersion: version,
      timeoutSeconds: String(watchSeconds),
    });
    const timeout = AbortSignal.timeout(watchSeconds * 1000 + watchGraceMs);
    const response = await this.#send(
      "GET",
      `${path}${path.includes("?") ? "&" : "?"}${query}`,
      undefined,
      AbortSignal.any([signal, timeout]),
    );
    let rest = "";
    for await (const chunk of response.setEncoding("utf8")) {
      const lines = `${rest}${chunk}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line);
    }
  }

  async #call(method: string, path: string, body: object | undefined, timeoutMs: number): Promise<unknown> {
    return JSON.parse(await readText(await this.#send(method, path, body, AbortSignal.timeout(timeoutMs))));
  }

  /** Sends a request. @returns the response, whose body has not been read @throws ApiError for an error status */
  async #send(
    method: string,
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const call = request(
        new URL(path, this.#access.server),
        {
          method,
          agent: this.#agent,
          headers: { accept: "application/json", ...(body && { "content-type": "application/json" }) },
          signal,
        },
        resolve,
      );
      call.on("error", reject);
      call.end(body && JSON.stringify(body));
    });
    const status = response.statusCode ?? 0;
    if (status !== 200 && status !== 201)
      throw new ApiError(`${method} ${path}`, status, await readText(response));
    return response;
  }

  /** Closes the connections. */
  close(): void {
    this.#agent.destroy();
  }
}
