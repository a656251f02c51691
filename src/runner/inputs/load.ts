import { parseWorkload, type Workload } from "../../kubernetes/rollout.ts";
import type { LoadInputs } from "../../plan/inputs.ts";
import { readImageInputs } from "./images.ts";
import { InputReader } from "./reader.ts";

/** Reads the inputs of load/action.yml, and collects all problems. Parameters as in readInputs of the main action. */
export async function readLoadInputs(
  input: (name: string) => string,
  workspace: string,
): Promise<LoadInputs> {
  const reader = new InputReader(input, workspace);
  const load = await readImageInputs(reader);
  if (load.archives.length === 0 && load.images.length === 0 && reader.problems.length === 0)
    reader.problem("load_archives", "must be set, or `load_images`: there are no images to load");
  return {
    clusterName: reader.optional("cluster_name"),
    load,
    restart: readWorkloads(reader),
    wait: reader.duration("wait", 300_000),
    problems: reader.problems,
  };
}

/** Reads workloads `[NAMESPACE/]KIND/NAME`, one per line. */
const readWorkloads = (reader: InputReader): Workload[] =>
  reader.lines("restart").flatMap((line) => {
    const workload = parseWorkload(line);
    if (!("problem" in workload)) return [workload];
    reader.problem("restart", workload.problem, line);
    return [];
  });
