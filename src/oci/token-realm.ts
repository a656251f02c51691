import { isIPv4 } from "node:net";

/**
 * Whether the credentials for a registry may be sent to the realm of its token challenge: the registry itself, or with TLS
 * a host of the same domain. This is the rule of distribution since 3.1.0 (registry/proxy/proxyauth.go, realmAllowed), so
 * that credentials that pass this check also work in a proxy.
 */
export function isRealmAllowed(realm: URL, registry: URL): boolean {
  if (realm.origin === registry.origin) return true;
  if (realm.protocol !== "https:") return false;
  if (realm.host === registry.host) return true;
  const domain = domainOf(realm.hostname);
  return domain !== undefined && domain === domainOf(registry.hostname);
}

/** Second-level labels of public suffixes: `co` in co.uk. */
const suffixLabels = /^(?:ac|co|com|edu|gob|gov|go|ltd|mil|ne|net|nhs|nom|or|org|plc|sch)$/;

/** Returns the registered domain of a hostname; undefined for an IP address and a name without a domain. */
function domainOf(hostname: string): string | undefined {
  if (isIPv4(hostname)) return undefined;
  const labels = hostname.replace(/\.$/, "").split(".");
  const [country, second] = [labels.at(-1) ?? "", labels.at(-2) ?? ""];
  const length = country.length === 2 && suffixLabels.test(second) ? 3 : 2;
  return labels.length < length ? undefined : labels.slice(-length).join(".");
}
