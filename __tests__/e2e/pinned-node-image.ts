import { randomUUID } from "node:crypto";
import { readLab } from "../lab/lab.ts";
import { buildImage } from "./derived-image.ts";
import { docker } from "./machine.ts";

/** A node image that nobody has seen before, in a registry on loopback, where it is named by its digest. */
export interface PinnedNodeImage extends AsyncDisposable {
  /** `127.0.0.1:PORT/node:TAG@sha256:…` */
  readonly reference: string;
  /** Takes it out of the Docker daemon, as on a runner that is new. */
  forget(): Promise<void>;
  /** Ends the registry: from now on it can be had from nowhere. */
  unreachable(): Promise<void>;
}

export async function pinnedNodeImage(): Promise<PinnedNodeImage> {
  const lab = readLab();
  const name = `e2e-node-registry-${randomUUID()}`;
  await docker("run", "--detach", "--name", name, "--publish", "127.0.0.1::5000", lab.registry);
  const [published = ""] = await docker("port", name, "5000/tcp");
  const tagged = `127.0.0.1:${published.split(":").at(-1)}/node:${lab.nodeImages.current.kubernetes}`;
  await buildImage(tagged, `FROM ${lab.nodeImages.current.image}\nLABEL e2e=${name}\n`);
  await docker("push", "--quiet", tagged);
  const [digests = ""] = await docker("inspect", "--format", "{{index .RepoDigests 0}}", tagged);
  const [id = ""] = await docker("inspect", "--format", "{{.Id}}", tagged);
  const forget = async () => {
    await docker("rmi", "--force", id).catch(() => []);
  };
  const unreachable = async () => {
    await docker("rm", "--force", "--volumes", name).catch(() => []);
  };
  await forget();
  return {
    reference: `${tagged}@${digests.split("@")[1]}`,
    forget,
    unreachable,
    async [Symbol.asyncDispose]() {
      await unreachable();
      await forget();
    },
  };
}
