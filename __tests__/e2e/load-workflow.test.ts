import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runWorkflow } from "../harness/act.ts";
import { type ResultsService, startResultsService } from "../harness/results-service/server.ts";
import { labInputs } from "../lab/inputs.ts";
import { readLab } from "../lab/lab.ts";
import { removeImages } from "./image-archive.ts";
import { docker, removeClusters } from "./machine.ts";
import { makeWorkflowRepository } from "./workflow-repository.ts";

const cluster = "e2e-load-act";
const image = "e2e-load/web:dev";
/** On every image that is built: the first one has no name when it has been built again. */
const label = "kind-action-e2e=load";

/** Asks every pod what it serves, through the API server. */
const ask = `for pod in $(kubectl get pods --selector app=web --field-selector status.phase=Running --output name); do
            kubectl get --raw "/api/v1/namespaces/default/pods/\${pod#pod/}:8080/proxy/index.html"
          done`;

/** The development loop that people have today with \`kind load docker-image\` and \`kubectl rollout\`. */
const workflow = (testImage: string, inputs: Readonly<Record<string, string>>) => `
name: development loop
on: push
permissions: {}
jobs:
  loop:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v6
      - name: 1. create the cluster
        uses: ./
        with:
          cluster_name: ${cluster}
          node_image: ${inputs.node_image}
          version: ${inputs.version}
          kubectl_version: ${inputs.kubectl_version}
          checksums: |
${(inputs.checksums ?? "").replace(/^/gm, " ".repeat(12))}
      - name: 2. build the application
        run: |
          mkdir web
          echo 'first page' >web/index.html
          printf 'FROM ${testImage}\\nLABEL ${label}\\nCOPY index.html /www/\\nCMD ["httpd", "-f", "-p", "8080", "-h", "/www"]\\n' >web/Dockerfile
          DOCKER_BUILDKIT=0 docker build --tag ${image} web
      - name: 3. load it
        uses: ./load
        with:
          load_images: ${image}
      - name: 4. apply the manifests
        run: |
          kubectl apply --filename - <<'END'
          apiVersion: apps/v1
          kind: Deployment
          metadata:
            name: web
          spec:
            replicas: 2
            selector:
              matchLabels:
                app: web
            template:
              metadata:
                labels:
                  app: web
              spec:
                terminationGracePeriodSeconds: 0
                containers:
                  - name: web
                    image: ${image}
                    ports:
                      - containerPort: 8080
                    readinessProbe:
                      periodSeconds: 1
                      tcpSocket:
                        port: 8080
          END
          kubectl rollout status deployment/web --timeout=120s
          ${ask}
      - name: 5. change the code, build again
        run: |
          echo 'second page' >web/index.html
          DOCKER_BUILDKIT=0 docker build --tag ${image} web
      - name: 6. and 7. load it again, restart the deployment, and wait for it
        id: again
        uses: ./load
        with:
          load_images: ${image}
          restart: deployment/web
          wait: 2m
      - name: What is served now
        run: |
          echo '\${{ steps.again.outputs.images }}'
          ${ask}
`;

describe("a workflow with uses: ./ and uses: ./load", () => {
  let folder: string;
  let service: ResultsService;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "workflow-"));
    service = await startResultsService({ dir: join(folder, "results") });
    await makeWorkflowRepository(join(folder, "repository"), ["action.yml", "load", "dist"], {
      file: "loop.yml",
      text: workflow(readLab().testImage, labInputs()),
    });
  });
  afterAll(async () => {
    await removeClusters(cluster);
    await removeImages(image);
    await docker("image", "prune", "--force", "--filter", `label=${label}`);
    await service[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it("builds an image, loads it, changes it, and loads it again", async () => {
    const { exitCode, log } = await runWorkflow({
      workflow: ".github/workflows/loop.yml",
      workspace: join(folder, "repository"),
      resultsService: service,
    });
    expect(exitCode, log).toBe(0);
    expect(pages(log)).toEqual(["first page", "first page", "second page", "second page"]);
    expect(log).toContain(`"name":"docker.io/${image}"`);
    const left = ["--all", "--filter", `name=${cluster}`, "--format", "{{.Names}}"];
    expect(await docker("ps", ...left)).toEqual([]);
    expect(await docker("volume", "ls", "--quiet", "--filter", `name=${cluster}`)).toEqual([]);
  });
});

/** What the pods served, in the order in which they were asked. */
const pages = (log: string) => [...log.matchAll(/\| (\w+ page)$/gm)].map(([, page]) => page);
