import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { completedByLab } from "../lab/inputs.ts";
import { pinnedNodeImage } from "../lab/upstream/pinned-node-image.ts";
import { type ActionRun, type RunActionOptions, runAction } from "./run-action.ts";

const usage = `Runs an action's main, then a command, then always the action's post, as GitHub's runner does in a job.

usage: script/run-action [options] [-- COMMAND…]

  --action DIR            the folder of the action.yml (default: this repository)
  -i, --input NAME=VALUE  an input, as under "with:"; for this repository's action, script/bootstrap's kind, kubectl and
                          node image are filled in unless others are asked for
  --env NAME=VALUE        a variable of the job; GITHUB_* and RUNNER_* replace the runner's own
  --workspace DIR         GITHUB_WORKSPACE (default: the current directory)
  --cache-dir DIR         serves caches and artifacts from this folder, and keeps them there. As on a runner that is new,
                          Docker does not have the node image: unless one is asked for, it is in a registry on loopback,
                          and named by its digest
  --cancel-after SECONDS  cancels the job so long after main has started, as Ctrl-C does at any time
  --outputs FILE          writes the action's outputs there, as JSON
  --summary FILE          writes the job's summary there
  -h, --help

The exit code is main's, else the command's, else post's; 130 for a job that was cancelled and ended well.`;

/** What is wrong with the command line. */
class UsageError extends Error {}

/** @returns undefined when help was asked for */
function readCommandLine(args: readonly string[]) {
  const end = args.indexOf("--");
  const { values } = parseArgs({
    args: end < 0 ? [...args] : args.slice(0, end),
    options: {
      action: { type: "string" },
      input: { type: "string", short: "i", multiple: true, default: [] },
      env: { type: "string", multiple: true, default: [] },
      workspace: { type: "string" },
      "cache-dir": { type: "string" },
      "cancel-after": { type: "string" },
      outputs: { type: "string" },
      summary: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return undefined;
  const command = end < 0 ? [] : args.slice(end + 1);
  const inputs = pairs("--input", values.input);
  const run: RunActionOptions = {
    action: values.action,
    inputs: values.action === undefined ? completedByLab(inputs) : inputs,
    env: pairs("--env", values.env),
    workspace: values.workspace,
    cacheDir: values["cache-dir"],
    cancelAfter: seconds("--cancel-after", values["cancel-after"]),
    command: command.length > 0 ? command : undefined,
  };
  return {
    run,
    /** Whether Docker is to have no node image, but a registry. */
    newRunner:
      values["cache-dir"] !== undefined &&
      (values.action ?? inputs.node_image ?? inputs.kubernetes_version) === undefined,
    outputs: values.outputs,
    summary: values.summary,
  };
}

function pairs(option: string, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((value) => {
      const equals = value.indexOf("=");
      if (equals < 1) throw new UsageError(`${option} wants NAME=VALUE, not '${value}'`);
      return [value.slice(0, equals), value.slice(equals + 1)];
    }),
  );
}

function seconds(option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value.trim() === "" || !(number >= 0)) {
    throw new UsageError(`${option} wants a number of seconds, not '${value}'`);
  }
  return number;
}

/** A signal to the harness cancels the job. Post still runs, so a second signal changes nothing. */
function cancelOnSignal(): AbortSignal {
  const cancelled = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (!cancelled.signal.aborted) console.log("The job is cancelled; its post step comes now.");
      cancelled.abort();
    });
  }
  return cancelled.signal;
}

async function main(): Promise<number> {
  const commandLine = readCommandLine(process.argv.slice(2));
  if (commandLine === undefined) {
    console.log(usage);
    return 0;
  }
  const signal = cancelOnSignal();
  await using nodeImage = commandLine.newRunner ? await pinnedNodeImage("new-runner") : undefined;
  await nodeImage?.forget();
  const run: ActionRun = await runAction({
    ...commandLine.run,
    inputs: { ...commandLine.run.inputs, ...(nodeImage && { node_image: nodeImage.reference }) },
    signal,
    inheritStdio: true,
    print: (line) => console.log(line),
  });
  if (commandLine.outputs !== undefined) {
    await writeFile(commandLine.outputs, `${JSON.stringify(run.outputs, null, 2)}\n`);
  }
  if (commandLine.summary !== undefined) await writeFile(commandLine.summary, run.summary);
  return run.exitCode;
}

// Whoever reads the log may stop reading (`| head`). The job goes on: its post step has work to do.
process.stdout.on("error", () => undefined);

try {
  process.exitCode = await main();
} catch (error) {
  const usageError = error instanceof UsageError || (error instanceof TypeError && "code" in error);
  console.error(`run-action: ${error instanceof Error ? error.message : error}`);
  if (usageError) console.error("\nTry script/run-action --help");
  process.exitCode = usageError ? 2 : 1;
}
