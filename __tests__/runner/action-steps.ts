import { join } from "node:path";
import type { ActionMetadata } from "./action-metadata.ts";
import { stepInputs } from "./inputs.ts";
import type { Job } from "./job.ts";
import type { ResultsService } from "./results-service/server.ts";
import { createRuntimeToken } from "./runtime-token.ts";
import { runStep, type StepPlan, type StepRun } from "./step.ts";

/** The steps of a JavaScript action in a job: main, and post with what main saved. */
export class ActionSteps {
  readonly #action: ActionMetadata;
  readonly #inputs: Readonly<Record<string, string>>;
  readonly #job: Job;
  readonly #services: Readonly<Record<string, string>>;

  constructor(
    action: ActionMetadata,
    inputs: Readonly<Record<string, string>>,
    job: Job,
    service: ResultsService | undefined,
  ) {
    this.#action = action;
    this.#inputs = inputs;
    this.#job = job;
    this.#services = service === undefined ? {} : serviceVariables(service, job);
  }

  async main(plan: Pick<StepPlan, "interrupt" | "grace" | "print">): Promise<StepRun> {
    // The runner takes `pre` from published actions only, and says so.
    const warnings =
      this.#action.pre === undefined ? [] : ["`pre` execution is not supported for local action from './'"];
    return this.#run(this.#action.main, { ...plan, env: {}, warnings });
  }

  async post(
    script: string,
    saved: ReadonlyMap<string, string>,
    plan: Pick<StepPlan, "interrupt" | "kill" | "grace" | "print">,
  ): Promise<StepRun> {
    const env = Object.fromEntries([...saved].map(([name, value]) => [`STATE_${name}`, value]));
    return this.#run(script, { ...plan, env, warnings: [] });
  }

  #run(script: string, plan: Omit<StepPlan, "program" | "args"> & { readonly warnings: readonly string[] }) {
    const inputs = stepInputs(this.#action.inputs, this.#inputs, { contexts: this.#job.contexts() });
    return runStep(
      {
        ...plan,
        program: process.execPath,
        args: [join(this.#action.directory, script)],
        env: {
          ...plan.env,
          ...inputs.env,
          ...this.#services,
          GITHUB_ACTION: "__self",
          GITHUB_ACTION_PATH: this.#action.directory,
        },
        warnings: [...plan.warnings, ...inputs.warnings],
      },
      this.#job,
    );
  }
}

/** What leads an action to cache and artifacts. Only JavaScript actions get it: a `run:` step does not. */
function serviceVariables(service: ResultsService, job: Job): Record<string, string> {
  const token = createRuntimeToken({
    run: job.variables.GITHUB_RUN_ID ?? "",
    job: job.variables.RUNNER_TRACKING_ID ?? "",
  });
  job.masker.add(token);
  const { NODE_OPTIONS: required, ...variables } = service.env;
  const nodeOptions = [job.env.get("NODE_OPTIONS"), required]
    .filter((options) => options !== undefined)
    .join(" ");
  return {
    ...variables,
    ACTIONS_RUNTIME_TOKEN: token,
    ...(nodeOptions !== "" && { NODE_OPTIONS: nodeOptions }),
  };
}
