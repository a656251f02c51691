import { normalizeReference } from "../../oci/reference.ts";
import type { RegistryInputs } from "../../plan/inputs.ts";
import { parseCredentials, type RegistryCredentials } from "../../registries/credentials.ts";
import { defaultRegistryImage } from "../../registries/registry-container.ts";
import type { CredentialsPlan } from "../../registries/resolve-credentials.ts";
import { parseUpstreams, type Upstream } from "../../registries/upstreams.ts";
import type { InputReader } from "./reader.ts";

/** Reads the registries of the cluster. */
export function readRegistryInputs(reader: InputReader): RegistryInputs {
  const image = reader.optional("registry_image") ?? defaultRegistryImage;
  const fullName = normalizeReference(image);
  if (typeof fullName !== "string") reader.problem("registry_image", fullName.problem);
  const upstreams = readUpstreams(reader);
  const logins = readCredentials(reader);
  for (const { registry } of logins.given)
    if (!upstreams.some(({ name }) => name === registry))
      reader.problem(
        "registry_credentials",
        `has credentials for ${registry}, which is not in \`registry_proxies\``,
        "",
      );
  return { image, local: readLocalRegistry(reader), upstreams, logins };
}

function readLocalRegistry(reader: InputReader): RegistryInputs["local"] {
  const name =
    reader.matching(
      "registry_name",
      /^[a-z0-9][a-z0-9.-]*[a-z0-9]$/,
      "must be two or more lower-case letters, digits, dots and hyphens, with a letter or digit at both ends",
    ) ?? "kind-registry";
  const portRule = "must be a port, 1 to 65535";
  const port = Number(reader.matching("registry_port", /^\d{1,5}$/, portRule) ?? 5000);
  if (port < 1 || port > 65_535) reader.problem("registry_port", portRule);
  const enableDelete = reader.boolean("registry_enable_delete");
  return reader.boolean("registry") ? { name, port, enableDelete } : undefined;
}

/** Reads the registries to proxy. A later line for a registry replaces an earlier one, so `default` can have exceptions. */
function readUpstreams(reader: InputReader): Upstream[] {
  const upstreams = reader.lines("registry_proxies").flatMap((line) => {
    const parsed = parseUpstreams(line);
    if (!("problem" in parsed)) return parsed;
    // A line with an @ may contain a password, and is not shown.
    reader.problem("registry_proxies", parsed.problem, line.includes("@") ? "" : line);
    return [];
  });
  return [...new Map(upstreams.map((upstream) => [upstream.name, upstream])).values()];
}

/** Reads credentials. Problems never show the lines. */
function readCredentials(reader: InputReader): CredentialsPlan {
  const lines = reader.lines("registry_credentials").map(parseCredentials);
  const given: RegistryCredentials[] = [];
  for (const line of lines) {
    if (line === "docker") continue;
    if ("problem" in line) reader.problem("registry_credentials", line.problem, "");
    else given.push(line);
  }
  return { given, docker: lines.includes("docker") };
}
