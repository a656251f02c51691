import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Runs the docker CLI. @returns the lines it prints */
export async function docker(...args: string[]): Promise<string[]> {
  const { stdout } = await run("docker", args, { maxBuffer: 50_000_000 });
  return stdout.split("\n").filter(Boolean);
}

/** Everything on the machine that a run could leave behind. */
export interface Machine {
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
  readonly networks: readonly string[];
  /** Programs that carry the mark of a run, in a job. */
  readonly processes: readonly string[];
}

/** What is there now. */
export async function machineNow(): Promise<Machine> {
  const [containers, volumes, networks, processes] = await Promise.all([
    docker("ps", "--all", "--format", "{{.Names}}"),
    docker("volume", "ls", "--quiet"),
    docker("network", "ls", "--format", "{{.Name}}"),
    markedProcesses(),
  ]);
  return { containers, volumes, networks, processes };
}

/** What is there now and was not before. */
export async function leftSince(before: Machine): Promise<Machine> {
  const now = await machineNow();
  const added = (kind: keyof Machine) => now[kind].filter((name) => !before[kind].includes(name));
  return {
    containers: added("containers"),
    volumes: added("volumes"),
    networks: added("networks"),
    processes: added("processes"),
  };
}

export const nothing: Machine = { containers: [], volumes: [], networks: [], processes: [] };

/** Removes the clusters of tests that went wrong, by the names they were given. */
export async function removeClusters(...names: string[]): Promise<void> {
  for (const name of names) {
    const labelled = (label: string) =>
      docker("ps", "--all", "--quiet", "--filter", `label=${label}=${name}`);
    const containers = await labelled("io.x-k8s.kind.cluster");
    const helpers = await labelled("kind-action.cluster");
    // A node that is just starting a pod may have it frozen (cgroup v1), and what is frozen cannot be killed.
    const quiet = (node: string) => docker("exec", node, "systemctl", "stop", "kubelet").catch(() => []);
    await Promise.all(containers.map(quiet));
    const all = [...containers, ...helpers];
    if (all.length > 0) await docker("rm", "--force", "--volumes", ...all);
    await docker("volume", "rm", "--force", `kind-action.${name}`);
  }
}

async function markedProcesses(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
  const commands = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
      const variables = environment.split("\0");
      const marked = variables.some((variable) => variable.startsWith("KIND_ACTION_PROCESS="));
      if (!marked || !variables.includes("GITHUB_ACTIONS=true")) return [];
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      return command === "" ? [] : [`${pid} ${command.replaceAll("\0", " ").trim()}`];
    }),
  );
  return commands.flat();
}
