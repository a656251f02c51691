import type { Engine } from "../../docker/engine.ts";
import { ShellSessionError } from "../../docker/shell-session.ts";
import { ApiError, KubernetesApi, parseAccess } from "../../kubernetes/client.ts";
import { errorMessage } from "../../lib/errors.ts";
import { poll } from "../../lib/poll.ts";
import { formatTimeout } from "../../lib/units.ts";
import type { NodeSessions } from "../../node/sessions.ts";
import { type ApiObject, cniManifestPath, parseCniManifest } from "./kindnet-manifest.ts";
import type { CniPlan } from "./plan.ts";

/**
 * Reads the objects of the CNI from the node image.
 *
 * @param names the name of each image in the Docker daemon, where it differs from the reference
 * @param labels labels of the temporary container from which the file is copied
 * @returns undefined if kind or the user creates the CNI
 */
export async function readCniManifest(
  plan: CniPlan | undefined,
  names: ReadonlyMap<string, string>,
  engine: Engine,
  labels: Readonly<{ [label: string]: string }>,
): Promise<ApiObject[] | undefined> {
  if (plan === undefined) return undefined;
  const image = names.get(plan.image) ?? plan.image;
  const manifest = await engine.images.readFile(image, cniManifestPath, labels).catch(() => undefined);
  return manifest && parseCniManifest(manifest.toString(), plan);
}

/**
 * Creates the objects of the CNI as soon as the API server accepts them, while kind is still running: nodes are not
 * Ready without it, and kind would create it after kubeadm.
 *
 * @param cluster.controlPlane the name of the first control plane
 * @throws when the API server does not accept them in time, or rejects one as invalid
 */
export async function applyCni(
  engine: Engine,
  sessions: NodeSessions,
  cluster: { name: string; controlPlane: string },
  objects: readonly ApiObject[],
  timeoutMs: number,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  const remainingMs = () => Math.max(0, deadlineMs - performance.now());
  const nodes = await sessions.waitFor([cluster.controlPlane], timeoutMs);
  const node = nodes.find(({ name }) => name === cluster.controlPlane);
  const kubeconfig = await poll(
    async () => (await node?.session.run(["kubeconfig"], remainingMs()).catch(ifShellFailed)) || undefined,
    { intervalMs: 100, timeoutMs: remainingMs() },
  );
  if (kubeconfig === undefined)
    throw new Error(
      `kubeadm did not write a kubeconfig in ${cluster.controlPlane} within ${formatTimeout(timeoutMs)}.`,
    );
  const server = await findApiServer(engine, cluster.name);
  const api = new KubernetesApi({ ...parseAccess(kubeconfig), server });
  try {
    await Promise.all(objects.map((object) => create(api, object, remainingMs())));
  } finally {
    api.close();
  }
}

/** Other tasks share the shell, and a command of theirs may have ended it: the next call gets another. */
function ifShellFailed(error: unknown): undefined {
  if (!(error instanceof ShellSessionError)) throw error;
}

/**
 * Returns the URL of a cluster's API server for this machine: the published port of the load balancer, or of the
 * control plane.
 */
async function findApiServer(engine: Engine, cluster: string): Promise<string> {
  const containers = await engine.containers.listNodes(cluster);
  const apiContainer =
    containers.find(({ role }) => role === "external-load-balancer") ??
    containers.find(({ role }) => role === "control-plane");
  const address = (await engine.containers.inspect(apiContainer?.id ?? ""))?.ports.get("6443/tcp");
  if (address === undefined)
    throw new Error(
      `The container ${apiContainer?.name ?? cluster} does not publish the port 6443 of the API server.`,
    );
  return `https://${address}`;
}

/** Creates an object unless it exists. Retries while the API server is starting. */
async function create(api: KubernetesApi, { path, body }: ApiObject, timeoutMs: number): Promise<void> {
  let reason: unknown;
  const created = await poll(
    async () => {
      try {
        await api.create(path, body);
        return true;
      } catch (error) {
        const status = error instanceof ApiError ? error.status : undefined;
        if (status === 409) return true;
        if (status === 400 || status === 422) throw cniError(error);
        reason = error;
        return undefined;
      }
    },
    { intervalMs: 100, timeoutMs },
  );
  if (created === undefined) throw cniError(reason);
}

const cniError = (reason: unknown) =>
  new Error(`Could not create the CNI: ${errorMessage(reason)}`, { cause: reason });
