import type { Log } from "../lib/log.ts";
import type { RunProgram } from "../lib/subprocess.ts";
import type { Credentials } from "../oci/registry-client.ts";
import { checkCredentials, type RegistryCredentials, readDockerLogin, secretsOf } from "./credentials.ts";
import type { Upstream } from "./upstreams.ts";

/** Where credentials of registries come from. */
export interface CredentialsPlan {
  readonly given: readonly RegistryCredentials[];
  /** Whether those count that `docker login` has left, where none are given. */
  readonly docker: boolean;
}

/**
 * The credentials with which proxies ask their upstreams. Wrong ones would break public pulls, too: they are warned of
 * and left out.
 *
 * @param on.mask hides a text in the log
 * @returns by the upstream's name
 */
export async function resolveCredentials(
  upstreams: readonly Upstream[],
  plan: CredentialsPlan,
  on: {
    readonly home: string;
    readonly dockerConfig: string | undefined;
    readonly run: RunProgram;
    readonly mask: (text: string) => void;
  },
  log: Log,
): Promise<Map<string, Credentials>> {
  const logins = new Map<string, Credentials>();
  await Promise.all(
    upstreams.map(async (upstream) => {
      const { name, url, mirror } = upstream;
      const found =
        plan.given.find(({ registry }) => registry === name) ??
        (plan.docker
          ? await readDockerLogin(mirror === undefined ? name : new URL(mirror).host, on)
          : undefined);
      if (found === undefined) return;
      if ("reason" in found) {
        log.line(`${name} is asked without credentials: ${found.reason}`);
        return;
      }
      if (found.password === "") {
        log.line(
          `${name} is asked without credentials: the password is empty, as secrets are for pull requests from forks.`,
        );
        return;
      }
      for (const secret of secretsOf(found)) on.mask(secret);
      const verdict = await checkCredentials(mirror ?? url, found);
      if (verdict === "refused") {
        log.warning(
          `${name} refuses the credentials that \`registry_credentials\` gives: it is asked without, which is enough for public images.`,
        );
        return;
      }
      if (verdict !== "accepted")
        log.line(`Whether ${name} takes its credentials is not known: ${verdict.unknown}`);
      logins.set(name, { user: found.user, password: found.password });
    }),
  );
  return logins;
}
