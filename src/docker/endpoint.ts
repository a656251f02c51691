import { join } from "node:path";
import * as z from "zod";
import { ProgramError, type RunProgram } from "../lib/subprocess.ts";

/**
 * The address of the Docker daemon, as the environment variables that kind, the docker CLI and dockerode all read.
 * The CLI follows contexts and dockerode does not, so the context is resolved once, and all get the result.
 */
export type Endpoint = Readonly<Record<string, string>>;

/** The parts of the output of `docker context inspect` that this action needs. */
const contexts = z.tuple([
  z.looseObject({
    Name: z.string(),
    Endpoints: z.looseObject({ docker: z.looseObject({ Host: z.string() }) }),
    TLSMaterial: z.record(z.string(), z.array(z.string())).optional(),
    Storage: z.looseObject({ TLSPath: z.string().optional() }).optional(),
  }),
]);

/**
 * Resolves the endpoint that the docker CLI would use: DOCKER_HOST, else the current context.
 *
 * @throws Error when there is no docker CLI, or only the CLI supports the endpoint (`ssh://`)
 * @throws ProgramError when the CLI fails, for instance because the current context does not exist
 */
export async function resolveEndpoint(env: NodeJS.ProcessEnv, run: RunProgram): Promise<Endpoint> {
  const endpoint = env.DOCKER_HOST ? endpointOf(env) : await currentContext(run);
  const url = endpoint.DOCKER_HOST ?? "";
  if (!/^(unix|tcp|http|https):\/\//.test(url)) {
    throw new Error(
      `The Docker endpoint ${url} is not supported: it must be unix:// or tcp://. Set DOCKER_HOST to such an endpoint, for instance to the local end of an SSH tunnel.`,
    );
  }
  return endpoint;
}

/** Returns DOCKER_HOST and the variables that belong to it. */
function endpointOf(env: NodeJS.ProcessEnv): Endpoint {
  const names = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}

function parseContexts(output: string): z.infer<typeof contexts> {
  try {
    return contexts.parse(JSON.parse(output));
  } catch (error) {
    throw new Error(
      `Could not parse the output of \`docker context inspect\`: ${output.slice(0, 200)}. Set DOCKER_HOST to the address of the Docker daemon.`,
      { cause: error },
    );
  }
}

async function currentContext(run: RunProgram): Promise<Endpoint> {
  let output: string;
  try {
    output = (await run("docker", ["context", "inspect"], { timeoutMs: 10_000 })).stdout;
  } catch (error) {
    if (error instanceof ProgramError) throw error;
    throw new Error(
      "Could not find `docker` on PATH: kind creates nodes with it. Use a runner with Docker (GitHub's Ubuntu runners have it), or install Docker Engine.",
      { cause: error },
    );
  }
  const [context] = parseContexts(output);
  const tls = context.TLSMaterial?.docker?.length ? context.Storage?.TLSPath : undefined;
  return {
    DOCKER_HOST: context.Endpoints.docker.Host,
    ...(tls === undefined ? {} : { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: join(tls, "docker") }),
  };
}
