import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readLab } from "../lab/lab.ts";
import { bridgeGateway } from "../lab/upstream/registry.ts";
import { buildImage, removeImages } from "./image-archive.ts";
import { docker } from "./machine.ts";

/** Who may pull. The password is none that a shell, a URL or YAML would leave as it is. */
export const account = { user: "jo", password: "correct horse: {battery}=staple" };
/** The password as htpasswd has it, by bcrypt. */
const htpasswd = `${account.user}:$2a$05$05XKbDDefwnkcOQ.2d27VOILtqc/XxEwHdRpmo40Sp0ib4iTH.51O\n`;

/** distribution with a login, and an image in it that serves its own name. */
export interface PrivateRegistry extends AsyncDisposable {
  /** Where containers find it. */
  readonly url: string;
  /** `REPOSITORY:TAG` */
  readonly image: string;
}

export async function privateRegistry(port: number): Promise<PrivateRegistry> {
  const folder = await mkdtemp(join(tmpdir(), "private-"));
  const name = `e2e-private-${folder.split("-").at(-1)}`;
  const image = "e2e-private/web:1";
  const { registry } = readLab();
  const volume = ["--volume", `${folder}:/var/lib/registry`];
  const remove = () => docker("rm", "--force", "--volumes", name).catch(() => []);
  try {
    // Docker pushes to loopback alone without TLS, where containers of other networks do not come.
    await docker(...["run", "--detach", "--name", name, "--publish", "127.0.0.1::5000", ...volume, registry]);
    const [published = ""] = await docker("port", name, "5000/tcp");
    const pushed = `127.0.0.1:${published.split(":").at(-1)}/${image}`;
    await buildImage(pushed);
    await docker("push", "--quiet", pushed);
    await removeImages(pushed);
    await remove();
    await writeFile(join(folder, "htpasswd"), htpasswd);
    await chmod(folder, 0o755);
    const gateway = await bridgeGateway();
    const settings = {
      REGISTRY_HTTP_ADDR: `${gateway}:${port}`,
      REGISTRY_AUTH: "htpasswd",
      REGISTRY_AUTH_HTPASSWD_REALM: "private",
      REGISTRY_AUTH_HTPASSWD_PATH: "/var/lib/registry/htpasswd",
    };
    const variables = Object.entries(settings).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
    await docker(
      ...["run", "--detach", "--name", name, "--network", "host", ...variables, ...volume, registry],
    );
    const url = `http://${gateway}:${port}`;
    await answering(`${url}/v2/`);
    return {
      url,
      image,
      async [Symbol.asyncDispose]() {
        await remove();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await remove();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function answering(url: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.status === 401) return;
    if (attempt === 100) throw new Error(`${url} does not ask for a login.`);
    await sleep(100);
  }
}
