import { readFileSync } from "node:fs";
import { join } from "node:path";
import Docker from "dockerode";
import * as z from "zod";
import { Containers } from "./containers.ts";
import type { Endpoint } from "./endpoint.ts";
import { Images } from "./images.ts";
import { Networks } from "./networks.ts";
import { Volumes } from "./volumes.ts";

/** The version and properties of the Docker daemon. */
export interface DaemonInfo {
  readonly version: string;
  readonly apiVersion: string;
  readonly cgroupVersion: 1 | 2;
  /** The daemon's folder for images and volumes, on the daemon's machine. */
  readonly rootDirectory: string;
  /** Whether the daemon is on this machine. */
  readonly local: boolean;
}

/** A client of the Docker Engine API. Uses dockerode, whose types stay in this folder. */
export class Engine {
  readonly containers: Containers;
  readonly images: Images;
  readonly networks: Networks;
  readonly volumes: Volumes;
  /** The daemon's address, for programs such as kind and the docker CLI. */
  readonly endpoint: Endpoint;
  readonly #docker: Docker;
  readonly #local: boolean;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
    this.#local = endpoint.DOCKER_HOST?.startsWith("unix://") ?? true;
    this.#docker = withoutDockerVariables(() => connect(endpoint));
    this.containers = new Containers(this.#docker);
    this.images = new Images(this.#docker);
    this.networks = new Networks(this.#docker);
    this.volumes = new Volumes(this.#docker);
  }

  /** Reads the version and properties of the daemon. @throws Error when it does not answer */
  async info(): Promise<DaemonInfo> {
    const [info, version] = await Promise.all([this.#docker.info(), this.#docker.version()]);
    const { CgroupVersion, DockerRootDir } = infoSchema.parse(info);
    return {
      version: version.Version,
      apiVersion: version.ApiVersion,
      cgroupVersion: CgroupVersion === "2" ? 2 : 1,
      rootDirectory: DockerRootDir,
      local: this.#local,
    };
  }
}

const infoSchema = z.looseObject({ CgroupVersion: z.string().optional(), DockerRootDir: z.string() });

/**
 * Calls a function with the variables DOCKER_* unset: docker-modem prefers them to its options, and another step may have
 * changed them since the endpoint was resolved.
 */
function withoutDockerVariables<T>(create: () => T): T {
  const names = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CLIENT_TIMEOUT"];
  const saved = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  try {
    return create();
  } finally {
    for (const [name, value] of saved) if (value !== undefined) process.env[name] = value;
  }
}

function connect(endpoint: Endpoint): Docker {
  const host = endpoint.DOCKER_HOST ?? "unix:///var/run/docker.sock";
  if (host.startsWith("unix://")) return new Docker({ socketPath: host.slice("unix://".length) });
  const url = new URL(host);
  const certificates = endpoint.DOCKER_TLS_VERIFY ? endpoint.DOCKER_CERT_PATH : undefined;
  const read = (name: string) => readFileSync(join(certificates ?? "", name));
  return new Docker({
    host: url.hostname,
    port: url.port || (certificates === undefined ? 2375 : 2376),
    protocol: certificates === undefined && url.protocol !== "https:" ? "http" : "https",
    ...(certificates === undefined
      ? {}
      : { ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") }),
  });
}
