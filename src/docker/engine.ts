import { readFileSync } from "node:fs";
import { join } from "node:path";
import Docker from "dockerode";
import * as z from "zod";
import { Containers } from "./containers.ts";
import type { Endpoint } from "./endpoint.ts";
import { Images } from "./images.ts";
import { Networks } from "./networks.ts";
import { Volumes } from "./volumes.ts";

/** What the daemon says of itself. */
export interface DaemonInfo {
  readonly version: string;
  readonly apiVersion: string;
  readonly cgroupVersion: 1 | 2;
  /** The daemon's own folder for images and volumes: on this machine's disks only if the daemon is local. */
  readonly rootDirectory: string;
  readonly local: boolean;
}

/** Talks to the Docker Engine API, with dockerode: its types stay in this folder. */
export class Engine {
  readonly containers: Containers;
  readonly images: Images;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly #docker: Docker;
  readonly #local: boolean;

  constructor(endpoint: Endpoint) {
    this.#local = endpoint.DOCKER_HOST?.startsWith("unix://") ?? true;
    this.#docker = withoutOwnVariables(() => connect(endpoint));
    this.containers = new Containers(this.#docker);
    this.images = new Images(this.#docker);
    this.networks = new Networks(this.#docker);
    this.volumes = new Volumes(this.#docker);
  }

  /** @throws when the daemon does not answer */
  async info(): Promise<DaemonInfo> {
    const [info, version] = await Promise.all([this.#docker.info(), this.#docker.version()]);
    const facts = daemonFacts.parse(info);
    return {
      version: version.Version,
      apiVersion: version.ApiVersion,
      cgroupVersion: facts.CgroupVersion === "2" ? 2 : 1,
      rootDirectory: facts.DockerRootDir,
      local: this.#local,
    };
  }
}

const daemonFacts = z.looseObject({ CgroupVersion: z.string().optional(), DockerRootDir: z.string() });

/** docker-modem lets DOCKER_* of the environment win over what it is given: a later step may have changed them. */
function withoutOwnVariables<T>(make: () => T): T {
  const names = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CLIENT_TIMEOUT"];
  const kept = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  try {
    return make();
  } finally {
    for (const [name, value] of kept) if (value !== undefined) process.env[name] = value;
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
