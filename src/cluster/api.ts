import { readFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { parse } from "yaml";
import { z } from "zod";

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

/** Reads from a cluster's API over one kept connection: a program started for every look would cost the node more. */
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

  #call(method: string, path: string, body: object | undefined, deadline: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = request(
        new URL(path, this.#access.server),
        {
          method,
          agent: this.#agent,
          headers: { accept: "application/json", ...(body && { "content-type": "application/json" }) },
          signal: AbortSignal.timeout(deadline),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString();
            const status = response.statusCode ?? 0;
            try {
              if (status !== 200 && status !== 201) throw new ApiError(`${method} ${path}`, status, text);
              resolve(JSON.parse(text));
            } catch (error) {
              reject(error);
            }
          });
        },
      );
      call.on("error", reject);
      call.end(body && JSON.stringify(body));
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
