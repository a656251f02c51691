import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { text as wholeText } from "node:stream/consumers";
import { parse } from "yaml";
import * as z from "zod";

/** Where a cluster's API is, and what proves that we may use it. PEM texts. */
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

/** Reads from a kubeconfig what kind wrote there of a cluster. @throws when it is not in there */
export async function readAccess(file: string, context: string): Promise<ApiAccess> {
  const access = accessIn(await readFile(file, "utf8"), ({ name }) => name === context);
  if (access === undefined) throw new Error(`${file} has no complete entry for ${context}`);
  return access;
}

/** Reads a kubeconfig of one cluster and one user, as kubeadm writes them. @throws when it is none */
export function parseAccess(text: string): ApiAccess {
  const access = accessIn(text, () => true);
  if (access === undefined) throw new Error("kubeadm's kubeconfig has no complete entry");
  return access;
}

function accessIn(text: string, wanted: (entry: { name: string }) => boolean): ApiAccess | undefined {
  const { clusters, users } = kubeconfig.parse(parse(text));
  const cluster = clusters.find(wanted)?.cluster;
  const user = users.find(wanted)?.user;
  const ca = cluster?.["certificate-authority-data"];
  const certificate = user?.["client-certificate-data"];
  const key = user?.["client-key-data"];
  if (cluster === undefined || ca === undefined || certificate === undefined || key === undefined)
    return undefined;
  return { server: cluster.server, ca, certificate, key };
}

/** The cluster's API does not have what it was asked for, or refuses it. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;

  constructor(call: string, status: number, body: string) {
    super(`${call}: ${status} ${body.slice(0, 300)}`);
    this.status = status;
  }
}

/** How long the API is asked to follow a list, in seconds: one whose connection died unnoticed is found out by then. */
const followed = 30;

/** Reads from a cluster's API over kept connections: a program started for every look would cost the node more. */
export class KubernetesApi {
  readonly #access: ApiAccess;
  readonly #agent: Agent;

  constructor(access: ApiAccess) {
    this.#access = access;
    this.#agent = new Agent({ keepAlive: true, ca: access.ca, cert: access.certificate, key: access.key });
  }

  /** The JSON at a path such as `/api/v1/nodes`. @throws {ApiError} for a status that is not 200 */
  get(path: string, deadline = 10_000): Promise<unknown> {
    return this.#call("GET", path, undefined, deadline);
  }

  /** Makes an object. @param path of its kind, as of a list @throws {ApiError} when it is refused */
  async create(path: string, object: object, deadline = 10_000): Promise<void> {
    await this.#call("POST", path, object, deadline);
  }

  /**
   * Each change of a list as it happens, as the API tells it. It ends when the API ends it, after half a minute at the
   * latest: then the list is to be read again.
   *
   * @param path of the list
   * @param version which of the list's the changes begin after
   * @throws {ApiError} when the API refuses, and with the connection's own error when that is lost
   */
  async *watch(path: string, version: string, signal: AbortSignal): AsyncGenerator<unknown, void> {
    const query = new URLSearchParams({
      watch: "1",
      resourceVersion: version,
      timeoutSeconds: String(followed),
    });
    const late = AbortSignal.timeout((followed + 10) * 1000);
    const response = await this.#send(
      "GET",
      `${path}${path.includes("?") ? "&" : "?"}${query}`,
      undefined,
      AbortSignal.any([signal, late]),
    );
    let rest = "";
    for await (const chunk of response.setEncoding("utf8")) {
      const lines = `${rest}${chunk}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line);
    }
  }

  async #call(method: string, path: string, body: object | undefined, deadline: number): Promise<unknown> {
    return JSON.parse(await wholeText(await this.#send(method, path, body, AbortSignal.timeout(deadline))));
  }

  /** @returns the answer, whose body is yet to come */
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
      throw new ApiError(`${method} ${path}`, status, await wholeText(response));
    return response;
  }

  close(): void {
    this.#agent.destroy();
  }
}
