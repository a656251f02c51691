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
  const { clusters, users } = kubeconfig.parse(parse(await readFile(file, "utf8")));
  const cluster = clusters.find(({ name }) => name === context)?.cluster;
  const user = users.find(({ name }) => name === context)?.user;
  const ca = cluster?.["certificate-authority-data"];
  const certificate = user?.["client-certificate-data"];
  const key = user?.["client-key-data"];
  if (cluster === undefined || ca === undefined || certificate === undefined || key === undefined) {
    throw new Error(`${file} has no complete entry for ${context}`);
  }
  return { server: cluster.server, ca, certificate, key };
}

/** The cluster's API does not have what it was asked for, or refuses it. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;

  constructor(path: string, status: number, body: string) {
    super(`GET ${path}: ${status} ${body.slice(0, 300)}`);
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
    return new Promise((resolve, reject) => {
      const call = request(
        new URL(path, this.#access.server),
        {
          agent: this.#agent,
          headers: { accept: "application/json" },
          signal: AbortSignal.timeout(deadline),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const body = Buffer.concat(chunks).toString();
            try {
              if (response.statusCode !== 200) throw new ApiError(path, response.statusCode ?? 0, body);
              resolve(JSON.parse(body));
            } catch (error) {
              reject(error);
            }
          });
        },
      );
      call.on("error", reject);
      call.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
