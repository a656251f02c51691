import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../../docker/engine.ts";
import { ShellSession } from "../../docker/shell-session.ts";
import { ApiError, KubernetesApi, parseAccess } from "../../kubernetes/client.ts";
import { errorMessage } from "../../lib/errors.ts";
import { waitForNodeContainers } from "../../node/nodes.ts";
import type { CniPlan } from "../../plan/plan.ts";
import { type ApiObject, cniManifestPath, parseCniManifest } from "./kindnet-manifest.ts";

/** What the node image's network add-on consists of; undefined where kind has to make it, or the user does. */
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

/** Runs in a control plane. It waits without starting a program, and ends when nobody listens any more. */
const answers = `
while read -r command; do
  cd /etc/kubernetes || exit
  # The last one that kubeadm writes.
  until [[ -s scheduler.conf ]]; do
    read -rt 0.1
    (( $? > 128 )) || exit 1
  done
  # From Kubernetes 1.29 on, admin.conf is allowed nothing until kubeadm has bound it to a role.
  if [[ -s super-admin.conf ]]; then cat super-admin.conf; else cat admin.conf; fi
  printf '\\004%d\\n' $?
done
`;

/** How often an API that does not answer yet is tried, in milliseconds. */
const interval = 100;

/**
 * Makes the objects of a cluster's network as soon as its API answers, while kind still works: nodes are not Ready
 * without it, and kind makes it when kubeadm is done.
 *
 * @param cluster.controlPlane the name of the first one
 * @param deadline milliseconds
 * @throws when the API has not taken them in time, or says that they are wrong
 */
export async function applyCni(
  engine: Engine,
  cluster: { name: string; controlPlane: string },
  objects: readonly ApiObject[],
  deadline: number,
): Promise<void> {
  const until = performance.now() + deadline;
  const nodes = await waitForNodeContainers(engine, cluster.name, [cluster.controlPlane], deadline);
  const node = nodes.find(({ name }) => name === cluster.controlPlane);
  const program = await engine.containers.exec(node?.container.id ?? "", ["bash", "-c", answers]);
  const conversation = new ShellSession(program, cluster.controlPlane);
  try {
    const credentials = await conversation.run(["credentials"], until - performance.now());
    const api = new KubernetesApi({
      ...parseAccess(credentials),
      server: await serverOf(engine, cluster.name),
    });
    try {
      await Promise.all(objects.map((object) => create(api, object, until)));
    } finally {
      api.close();
    }
  } finally {
    conversation.close();
  }
}

/** Where this machine reaches a cluster's API: at its load balancer, if it has one. */
async function serverOf(engine: Engine, cluster: string): Promise<string> {
  const containers = await engine.containers.listNodes(cluster);
  const entrance =
    containers.find(({ role }) => role === "external-load-balancer") ??
    containers.find(({ role }) => role === "control-plane");
  const published = (await engine.containers.inspect(entrance?.id ?? ""))?.ports.get("6443/tcp");
  if (published === undefined) throw new Error(`${entrance?.name ?? cluster} publishes no port for its API.`);
  return `https://${published}`;
}

async function create(api: KubernetesApi, { path, body }: ApiObject, until: number): Promise<void> {
  for (;;) {
    try {
      return await api.create(path, body);
    } catch (error) {
      const status = error instanceof ApiError ? error.status : undefined;
      if (status === 409) return;
      if (status === 400 || status === 422 || performance.now() > until)
        throw new Error(`The cluster's network cannot be made: ${errorMessage(error)}`, { cause: error });
      await sleep(interval);
    }
  }
}
