import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { type ActionRun, type RunActionOptions, runAction } from "../harness/run-action.ts";
import { docker, removeClusters } from "./machine.ts";

const loadAction = resolve(import.meta.dirname, "../../load");

/** What the output `images` holds. */
const LoadedImages = z.array(
  z.strictObject({
    name: z.string(),
    id: z.string(),
    nodes: z.array(z.string()),
    bytes: z.int().nonnegative(),
    seconds: z.number().nonnegative(),
  }),
);
export type LoadedImages = z.infer<typeof LoadedImages>;

const Timings = z.object({
  tasks: z.array(z.object({ name: z.string(), start: z.number(), seconds: z.number() })),
});

export const loadedImages = ({ outputs }: Pick<ActionRun, "outputs">): LoadedImages =>
  LoadedImages.parse(JSON.parse(outputs.images ?? ""));

/** From when to when the tasks of main ran, in seconds. */
export function timingsOf({
  outputs,
}: Pick<ActionRun, "outputs">): Map<string, { start: number; end: number }> {
  const { tasks } = Timings.parse(JSON.parse(outputs.timings ?? ""));
  return new Map(tasks.map(({ name, start, seconds }) => [name, { start, end: start + seconds }]));
}

/** What a step that failed says why. */
export const errorOf = ({ annotations }: Pick<ActionRun, "annotations">): string =>
  annotations.find(({ level }) => level === "error")?.message ?? "";

/** A job that has made a cluster and goes on until it is told to end: its later steps are the test's. */
export class ClusterJob {
  readonly cluster: string;
  /** RUNNER_TEMP. */
  readonly temp: string;
  readonly #folder: string;
  readonly #home: string;
  readonly #workspace: string | undefined;
  readonly #finished: string;
  readonly #run: Promise<ActionRun>;
  #ofMain: readonly string[] = [];

  private constructor(cluster: string, folder: string, options: RunActionOptions) {
    this.cluster = cluster;
    this.#folder = folder;
    this.#workspace = options.workspace;
    this.temp = options.env?.RUNNER_TEMP ?? join(folder, "temp");
    this.#home = join(folder, "home");
    this.#finished = join(folder, "finished");
    this.#run = runAction({
      ...options,
      inputs: { ...options.inputs, cluster_name: cluster },
      env: { ...options.env, HOME: this.#home, RUNNER_TEMP: this.temp },
      // Ends with the test's process, too.
      command: ["sh", "-c", 'until test -e "$0" || ! kill -0 $PPID; do sleep 0.3; done', this.#finished],
    });
  }

  /** @returns when main is done @throws when main fails, with its log */
  static async start(cluster: string, options: RunActionOptions): Promise<ClusterJob> {
    const folder = await mkdtemp(join(tmpdir(), "job-"));
    const main = Promise.withResolvers<void>();
    const print = (line: string) => {
      options.print?.(line);
      if (line.startsWith("Run sh -c until")) main.resolve();
    };
    const job = new ClusterJob(cluster, folder, { ...options, print });
    try {
      await Promise.race([
        main.promise,
        job.#run.then(({ main: { log } }) => {
          throw new Error(`The cluster ${cluster} was not made:\n${log}`);
        }),
      ]);
      job.#ofMain = await readdir(job.temp);
      return job;
    } catch (error) {
      await job[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The next step: `uses: org/kind-action/load`. */
  load(inputs: Readonly<Record<string, string>>): Promise<ActionRun> {
    return runAction({
      action: loadAction,
      workspace: this.#workspace,
      inputs,
      // What main has left for the steps after it.
      env: {
        HOME: this.#home,
        RUNNER_TEMP: this.temp,
        KUBECONFIG: this.kubeconfig,
        KIND_CLUSTER_NAME: this.cluster,
      },
    });
  }

  /** Where main has left it, in the user's home. */
  get kubeconfig(): string {
    return join(this.#home, ".kube", "config");
  }

  /** The next step: `run: kubectl …`. @returns what it prints */
  async kubectl(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)("kubectl", ["--kubeconfig", this.kubeconfig, ...args]);
    return stdout;
  }

  /** The next step: `kubectl apply` of an object. */
  async apply(object: object): Promise<void> {
    const manifest = join(this.#folder, "object.json");
    await writeFile(manifest, JSON.stringify(object));
    await this.kubectl("apply", "--filename", manifest);
  }

  /**
   * Runs a pod from each image, which has to be in the nodes already.
   *
   * @param images by the pod's name
   * @returns by the pod's name, what each serves
   */
  async pages(images: Readonly<Record<string, string>>): Promise<Record<string, string>> {
    const names = Object.keys(images);
    const items = Object.entries(images).map(([name, image]) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "web",
            image,
            imagePullPolicy: "Never",
            readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          },
        ],
      },
    }));
    const manifest = join(this.#folder, "pods.json");
    await writeFile(manifest, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    await this.kubectl("create", "--filename", manifest);
    await this.kubectl(
      "wait",
      "--for=condition=Ready",
      "--timeout=90s",
      ...names.map((name) => `pod/${name}`),
    );
    const served = names.map(async (name) => {
      const page = await this.kubectl(
        "get",
        "--raw",
        `/api/v1/namespaces/default/pods/${name}:8080/proxy/index.html`,
      );
      return [name, page.trim()] as const;
    });
    return Object.fromEntries(await Promise.all(served));
  }

  /** @returns when a later step begins to write into the nodes */
  async linking(): Promise<void> {
    const filters = ["--filter", "event=start", "--filter", `label=${this.#label}`];
    const events = spawn("docker", ["events", ...filters], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(events.stdout, "data", { signal: AbortSignal.timeout(60_000) });
    } finally {
      events.kill();
    }
  }

  /** What steps after main have left behind: containers, and folders for temporary files. */
  async leftovers(): Promise<string[]> {
    const labels = ["--all", "--filter", "label=kind-action.run", "--filter", `label=${this.#label}`];
    const [containers, folders] = await Promise.all([
      docker("ps", ...labels, "--format", "{{.Names}}"),
      readdir(this.temp),
    ]);
    return [...containers, ...folders.filter((name) => !this.#ofMain.includes(name))];
  }

  get #label(): string {
    return `kind-action.cluster=${this.cluster}`;
  }

  /** Ends the job: post runs. */
  async end(): Promise<ActionRun> {
    await writeFile(this.#finished, "");
    return await this.#run;
  }

  /** Ends the job if it goes on still, and sees that nothing of it is left, whatever went wrong. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => {});
    await removeClusters(this.cluster);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
