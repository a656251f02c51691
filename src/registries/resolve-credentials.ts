import type { Log } from "../lib/log.ts";
import type { RunProgram } from "../lib/subprocess.ts";
import type { Credentials } from "../oci/registry-client.ts";
import { checkCredentials, type RegistryCredentials, readDockerLogin, secretsOf } from "./credentials.ts";
import type { Upstream } from "./upstreams.ts";

/** The sources of registry credentials. */
export interface CredentialsPlan {
  readonly given: readonly RegistryCredentials[];
  /** Whether the credentials of `docker login` are used for registries without given ones. */
  readonly docker: boolean;
}

/**
 * Resolves the credentials of proxies for their upstreams. Wrong credentials would also break pulls of public images: they
 * cause a warning and are not used.
 *
 * @param options.mask masks a text in the log of the job
 * @returns the credentials, by the upstream's name
 */
export async function resolveCredentials(
  upstreams: readonly Upstream[],
  plan: CredentialsPlan,
  options: {
    readonly home: string;
    readonly dockerConfig: string | undefined;
    readonly runProgram: RunProgram;
    readonly mask: (text: string) => void;
  },
  log: Log,
): Promise<Map<string, Credentials>> {
  const credentials = new Map<string, Credentials>();
  await Promise.all(
    upstreams.map(async (upstream) => {
      const { name, url, mirror } = upstream;
      const found =
        plan.given.find(({ registry }) => registry === name) ??
        (plan.docker
          ? await readDockerLogin(mirror === undefined ? name : new URL(mirror).host, options)
          : undefined);
      if (found === undefined) return;
      if ("reason" in found) {
        log.line(`No credentials are used for ${name}: ${found.reason}`);
        return;
      }
      if (found.password === "") {
        log.line(
          `No credentials are used for ${name}: the password is empty, as secrets are in pull requests from forks.`,
        );
        return;
      }
      for (const secret of secretsOf(found)) options.mask(secret);
      const result = await checkCredentials(mirror ?? url, found);
      if (result === "refused") {
        log.warning(
          `${name} rejected the credentials of \`registry_credentials\`. Its proxy runs without credentials and can pull public images only. Check the user and the password.`,
        );
        return;
      }
      if (result !== "accepted")
        log.line(
          `Could not verify the credentials for ${name}, which are used nevertheless: ${result.unknown}`,
        );
      credentials.set(name, { user: found.user, password: found.password });
    }),
  );
  return credentials;
}
