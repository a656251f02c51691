import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runWorkflow } from "../harness/act.ts";
import { type ResultsService, startResultsService } from "../harness/results-service/server.ts";
import { labInputs } from "../lab/inputs.ts";
import { readLab } from "../lab/lab.ts";
import { leftSince, machineNow, nothing, removeClusters } from "./machine.ts";
import { makeWorkflowRepository } from "./workflow-repository.ts";

/** A build job hands an image to a matrix of clusters, as the README shows it. */
const workflow = (lab: Awaited<ReturnType<typeof readLab>>, inputs: Record<string, string>) => `
name: hand-off
on: push
permissions: {}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: |
          mkdir -p context images
          head -c 100000 /dev/urandom >context/unique
          printf 'FROM ${lab.testImage}\\nCOPY unique /unique\\nCMD ["sleep", "3600"]\\n' >context/Dockerfile
          DOCKER_BUILDKIT=0 docker build --tag e2e/handed-over:1 context
          docker save --output images/app.tar e2e/handed-over:1
          docker rmi e2e/handed-over:1
      - uses: actions/upload-artifact@v7
        with:
          name: images
          path: images/app.tar
  cluster:
    needs: build
    runs-on: ubuntu-latest
    strategy:
      matrix:
        node:
          - { name: current, image: "${lab.nodeImages.current.image}", kubernetes: "${lab.nodeImages.current.kubernetes}" }
          - { name: old, image: "${lab.nodeImages.old.image}", kubernetes: "${lab.nodeImages.old.kubernetes}" }
    steps:
      - uses: actions/checkout@v6
      - uses: actions/download-artifact@v8
        with:
          name: images
          path: images
      - uses: ./
        id: kind
        with:
          cluster_name: e2e-act-\${{ matrix.node.name }}
          node_image: \${{ matrix.node.image }}
          version: ${inputs.version}
          kubectl_version: ${inputs.kubectl_version}
          checksums: |
${(inputs.checksums ?? "").replace(/^/gm, " ".repeat(12))}
          load_archives: images/*.tar
      - run: |
          kubectl run app --image=e2e/handed-over:1 --image-pull-policy=Never
          kubectl wait --for=condition=Ready pod/app --timeout=120s
          echo "context $(kubectl config current-context) runs \${{ steps.kind.outputs.kubernetes_version }}"
          test "\${{ steps.kind.outputs.kubernetes_version }}" = "\${{ matrix.node.kubernetes }}"
`;

describe("a workflow with uses: ./", () => {
  let folder: string;
  let service: ResultsService;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "workflow-"));
    service = await startResultsService({ dir: join(folder, "results") });
    await makeWorkflowRepository(join(folder, "repository"), ["action.yml", "dist"], {
      file: "handoff.yml",
      text: workflow(readLab(), labInputs()),
    });
  });
  afterAll(async () => {
    await removeClusters("e2e-act-current", "e2e-act-old");
    await service[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it("runs a pod from the image of a build job in each cluster of a matrix", async () => {
    const before = await machineNow();
    const { exitCode, log } = await runWorkflow({
      workflow: ".github/workflows/handoff.yml",
      workspace: join(folder, "repository"),
      // Both jobs run on one machine at once: as on a self-hosted runner, each has a kubeconfig of its own.
      env: { RUNNER_ENVIRONMENT: "self-hosted" },
      resultsService: service,
    });
    expect(exitCode, log).toBe(0);
    const { current, old } = readLab().nodeImages;
    expect(log).toContain(`context kind-e2e-act-current runs ${current.kubernetes}`);
    expect(log).toContain(`context kind-e2e-act-old runs ${old.kubernetes}`);
    expect(await leftSince(before)).toEqual(nothing);
  });
});
