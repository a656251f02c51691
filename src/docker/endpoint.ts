import { join } from "node:path";
import * as z from "zod";
import { ProgramError, type RunProgram } from "../lib/subprocess.ts";

/**
 * Where the Docker daemon is, as the environment variables that kind, the docker CLI and dockerode all read.
 * The CLI follows contexts and dockerode does not, so the context is resolved once and all are told the result.
 */
export type Endpoint = Readonly<Record<string, string>>;

/** What `docker context inspect` prints of a context, as far as it matters here. */
const contexts = z.tuple([
  z.looseObject({
    Name: z.string(),
    Endpoints: z.looseObject({ docker: z.looseObject({ Host: z.string() }) }),
    TLSMaterial: z.record(z.string(), z.array(z.string())).optional(),
    Storage: z.looseObject({ TLSPath: z.string().optional() }).optional(),
  }),
]);

/**
 * Finds the daemon that the docker CLI would talk to: DOCKER_HOST, else the current context.
 *
 * @throws when there is no docker CLI, or the endpoint is of a kind that only the CLI can reach
 */
export async function resolveEndpoint(env: NodeJS.ProcessEnv, run: RunProgram): Promise<Endpoint> {
  const endpoint = env.DOCKER_HOST ? given(env) : await currentContext(run);
  const url = endpoint.DOCKER_HOST ?? "";
  if (!/^(unix|tcp|http|https):\/\//.test(url)) {
    throw new Error(
      `The Docker endpoint is ${url}: only unix:// and tcp:// are supported. Set DOCKER_HOST to one of these, for instance through a tunnel.`,
    );
  }
  return endpoint;
}

/** The variables that go with DOCKER_HOST. */
function given(env: NodeJS.ProcessEnv): Endpoint {
  const names = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}

function parseContexts(output: string): z.infer<typeof contexts> {
  try {
    return contexts.parse(JSON.parse(output));
  } catch (error) {
    throw new Error(
      `\`docker context inspect\` does not answer as Docker does, but: ${output.slice(0, 200)}. Set DOCKER_HOST to say where the daemon is.`,
      { cause: error },
    );
  }
}

async function currentContext(run: RunProgram): Promise<Endpoint> {
  let output: string;
  try {
    output = (await run("docker", ["context", "inspect"], { deadline: 10_000 })).stdout;
  } catch (error) {
    if (error instanceof ProgramError) throw error;
    throw new Error(
      "There is no `docker` on PATH. kind makes its nodes with it: use a runner with Docker (GitHub's Ubuntu runners have it), or install Docker Engine.",
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
