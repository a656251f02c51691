import { createServer } from "node:https";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { applyCni } from "../../../src/cluster/fast-start/apply-cni.ts";
import { makeCertificate } from "../../fixtures/certificate.ts";
import type { StartedProgram } from "../../fixtures/container-programs.ts";
import { dockerDaemon, nodeContainer } from "../../fixtures/docker-daemon.ts";
import { bytesOf, listen } from "../../fixtures/web-server.ts";

const cluster = { name: "shop", controlPlane: "shop-control-plane" };
const objects = [
  { path: "/api/v1/namespaces/kube-system/serviceaccounts", body: { metadata: { name: "kindnet" } } },
  { path: "/apis/apps/v1/namespaces/kube-system/daemonsets", body: { metadata: { name: "kindnet" } } },
];

/** A cluster whose API answers each call with the next status for its path, and then with 201. */
async function startingCluster(statuses: Readonly<Record<string, number[]>> = {}) {
  const { certificate, key } = makeCertificate("IP:127.0.0.1");
  const made: { path: string; body: unknown }[] = [];
  const server = createServer(
    { cert: certificate, key, ca: certificate, requestCert: true, rejectUnauthorized: true },
    async (request, response) => {
      const path = request.url ?? "";
      const body: unknown = JSON.parse((await bytesOf(request)).toString());
      const status = statuses[path]?.shift() ?? 201;
      if (status === 201) made.push({ path, body });
      response.writeHead(status).end(JSON.stringify({ status }));
    },
  );
  const port = await listen(server);
  const daemon = await dockerDaemon();
  const ports = { "6443/tcp": [{ HostIp: "127.0.0.1", HostPort: String(port) }] };
  const controlPlane = { ...nodeContainer("shop", "control-plane"), ports };
  daemon.containers.set(controlPlane.id, controlPlane);
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  // As kubeadm writes it: with an address for nodes, which this machine does not know.
  const kubeconfig = stringify({
    clusters: [
      {
        name: "shop",
        cluster: {
          server: "https://shop-control-plane:6443",
          "certificate-authority-data": base64(certificate),
        },
      },
    ],
    users: [
      {
        name: "kubernetes-super-admin",
        user: { "client-certificate-data": base64(certificate), "client-key-data": base64(key) },
      },
    ],
  });
  daemon.program = async ({ stdin, stdout }: StartedProgram) => {
    for await (const _ of stdin) stdout.write(`${kubeconfig}\u00040\n`);
  };
  return { daemon, made, controlPlane };
}

describe("a cluster's network", () => {
  it("is made through the port that this machine reaches, with kubeadm's credentials", async () => {
    const { daemon, made } = await startingCluster();
    await applyCni(daemon.engine, cluster, objects, 5_000);
    expect(made.toSorted((a, b) => a.path.localeCompare(b.path))).toEqual(objects);
    await expect.poll(() => daemon.running).toEqual([]);
  });

  it("is tried until the API is ready for it, and what is there already is left alone", async () => {
    const { daemon, made } = await startingCluster({
      "/api/v1/namespaces/kube-system/serviceaccounts": [500, 403, 404],
      "/apis/apps/v1/namespaces/kube-system/daemonsets": [409],
    });
    await applyCni(daemon.engine, cluster, objects, 5_000);
    expect(made).toEqual([objects[0]]);
  });

  it("goes through the load balancer of several control planes", async () => {
    const { daemon, made, controlPlane } = await startingCluster();
    daemon.containers.set(controlPlane.id, { ...controlPlane, ports: {} });
    const balancer = { ...nodeContainer("shop", "external-load-balancer"), ports: controlPlane.ports };
    daemon.containers.set(balancer.id, balancer);
    await applyCni(daemon.engine, cluster, objects, 5_000);
    expect(made).toHaveLength(2);
  });

  it("fails at once when the API says that it is wrong", async () => {
    const { daemon } = await startingCluster({
      "/apis/apps/v1/namespaces/kube-system/daemonsets": [422],
    });
    await expect(applyCni(daemon.engine, cluster, objects, 60_000)).rejects.toThrow(
      'The cluster\'s network cannot be made: POST /apis/apps/v1/namespaces/kube-system/daemonsets: 422 {"status":422}',
    );
    await expect.poll(() => daemon.running).toEqual([]);
  });

  it("is given up when its time is over, with what the API said last", async () => {
    const { daemon } = await startingCluster({
      "/api/v1/namespaces/kube-system/serviceaccounts": Array.from({ length: 1_000 }, () => 503),
    });
    await expect(applyCni(daemon.engine, cluster, objects, 300)).rejects.toThrow(
      "The cluster's network cannot be made: POST /api/v1/namespaces/kube-system/serviceaccounts: 503",
    );
  });

  it("cannot be made where the API has no port on this machine, and that is said", async () => {
    const { daemon, controlPlane } = await startingCluster();
    daemon.containers.set(controlPlane.id, { ...controlPlane, ports: {} });
    await expect(applyCni(daemon.engine, cluster, objects, 5_000)).rejects.toThrow(
      "shop-control-plane publishes no port for its API.",
    );
  });
});
