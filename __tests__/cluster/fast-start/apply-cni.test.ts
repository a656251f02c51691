import { createServer } from "node:https";
import { describe, expect, it, onTestFinished } from "vitest";
import { stringify } from "yaml";
import { applyCni } from "../../../src/cluster/fast-start/apply-cni.ts";
import { NodeSessions } from "../../../src/node/sessions.ts";
import { makeCertificate } from "../../fixtures/certificate.ts";
import type { StartedProgram } from "../../fixtures/container-programs.ts";
import { dockerDaemon, nodeContainer } from "../../fixtures/docker-daemon.ts";
import { bytesOf, listen } from "../../fixtures/web-server.ts";

const cluster = { name: "shop", controlPlane: "shop-control-plane" };
const objects = [
  { path: "/api/v1/namespaces/kube-system/serviceaccounts", body: { metadata: { name: "kindnet" } } },
  { path: "/apis/apps/v1/namespaces/kube-system/daemonsets", body: { metadata: { name: "kindnet" } } },
];

/**
 * A cluster whose API answers with the given statuses for each path in turn, and then with 201.
 *
 * @param attempts the number of attempts to read the kubeconfig that are too early
 */
async function startingCluster(statuses: Readonly<Record<string, number[]>> = {}, attempts = 0) {
  const { certificate, key } = makeCertificate("IP:127.0.0.1");
  const created: { path: string; body: unknown }[] = [];
  const server = createServer(
    { cert: certificate, key, ca: certificate, requestCert: true, rejectUnauthorized: true },
    async (request, response) => {
      const path = request.url ?? "";
      const body: unknown = JSON.parse((await bytesOf(request)).toString());
      const status = statuses[path]?.shift() ?? 201;
      if (status === 201) created.push({ path, body });
      response.writeHead(status).end(JSON.stringify({ status }));
    },
  );
  const port = await listen(server);
  const daemon = await dockerDaemon();
  const ports = { "6443/tcp": [{ HostIp: "127.0.0.1", HostPort: String(port) }] };
  const controlPlane = { ...nodeContainer("shop", "control-plane"), ports };
  daemon.containers.set(controlPlane.id, controlPlane);
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  // As kubeadm writes it: with the address for nodes, which this machine cannot resolve.
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
  const commands: string[] = [];
  daemon.program = async ({ stdin, stdout }: StartedProgram) => {
    for await (const command of stdin) {
      commands.push(String(command).trim());
      stdout.write(`${commands.length > attempts ? kubeconfig : ""}\u00040\n`);
    }
  };
  const sessions = new NodeSessions(daemon.engine, "shop");
  onTestFinished(() => sessions.close());
  const apply = (timeoutMs: number) => applyCni(daemon.engine, sessions, cluster, objects, timeoutMs);
  return { daemon, created, controlPlane, commands, apply };
}

describe("applyCni", () => {
  it("creates the objects through the published port of the API, with the credentials of kubeadm", async () => {
    const { created, apply } = await startingCluster();
    await apply(5_000);
    expect(created.toSorted((a, b) => a.path.localeCompare(b.path))).toEqual(objects);
  });

  it("waits until kubeadm has written the kubeconfig", async () => {
    const { created, commands, apply } = await startingCluster({}, 2);
    await apply(5_000);
    expect(commands).toEqual(["kubeconfig", "kubeconfig", "kubeconfig"]);
    expect(created).toHaveLength(2);
  });

  it("opens another shell in the node if the one that it shares with other tasks ends", async () => {
    const { daemon, created, commands, apply } = await startingCluster();
    const { program } = daemon;
    daemon.program = async (started) => {
      daemon.program = program;
      started.stdin.once("data", () => started.stdout.end());
    };
    await apply(5_000);
    expect(commands).toEqual(["kubeconfig"]);
    expect(created).toHaveLength(2);
  });

  it("fails if kubeadm does not write the kubeconfig in time", async () => {
    const { apply } = await startingCluster({}, 1_000);
    await expect(apply(300)).rejects.toThrow(
      "kubeadm did not write a kubeconfig in shop-control-plane within 0.3 s.",
    );
  });

  it("retries until the API accepts an object, and accepts objects that exist", async () => {
    const { created, apply } = await startingCluster({
      "/api/v1/namespaces/kube-system/serviceaccounts": [500, 403, 404],
      "/apis/apps/v1/namespaces/kube-system/daemonsets": [409],
    });
    await apply(5_000);
    expect(created).toEqual([objects[0]]);
  });

  it("uses the load balancer of several control planes", async () => {
    const { daemon, created, controlPlane, apply } = await startingCluster();
    daemon.containers.set(controlPlane.id, { ...controlPlane, ports: {} });
    const balancer = { ...nodeContainer("shop", "external-load-balancer"), ports: controlPlane.ports };
    daemon.containers.set(balancer.id, balancer);
    await apply(5_000);
    expect(created).toHaveLength(2);
  });

  it("fails without retries if the API rejects an object as invalid", async () => {
    const { apply } = await startingCluster({
      "/apis/apps/v1/namespaces/kube-system/daemonsets": [422],
    });
    await expect(apply(60_000)).rejects.toThrow(
      'Could not create the CNI: POST /apis/apps/v1/namespaces/kube-system/daemonsets: 422 {"status":422}',
    );
  });

  it("fails at the timeout with the last error of the API", async () => {
    const { apply } = await startingCluster({
      "/api/v1/namespaces/kube-system/serviceaccounts": Array.from({ length: 1_000 }, () => 503),
    });
    await expect(apply(300)).rejects.toThrow(
      "Could not create the CNI: POST /api/v1/namespaces/kube-system/serviceaccounts: 503",
    );
  });

  it("fails if the port of the API is not published", async () => {
    const { daemon, controlPlane, apply } = await startingCluster();
    daemon.containers.set(controlPlane.id, { ...controlPlane, ports: {} });
    await expect(apply(5_000)).rejects.toThrow(
      "The container shop-control-plane does not publish the port 6443 of the API server.",
    );
  });
});
