import { isIPv4 } from "node:net";

/**
 * Whether the place to which a registry sends its users for a token may have their credentials: the registry itself, or
 * over TLS a host of the same domain. The rule is that of distribution since 3.1.0 (registry/proxy/proxyauth.go,
 * realmAllowed), so that what is checked here is what a proxy can use.
 */
export function isRealmAllowed(realm: URL, registry: URL): boolean {
  if (realm.origin === registry.origin) return true;
  if (realm.protocol !== "https:") return false;
  if (realm.host === registry.host) return true;
  const domain = domainOf(realm.hostname);
  return domain !== undefined && domain === domainOf(registry.hostname);
}

/** What registrars of countries sell names below: `co` in co.uk. */
const shared = /^(?:ac|co|com|edu|gob|gov|go|ltd|mil|ne|net|nhs|nom|or|org|plc|sch)$/;

/** The part of a host's name that somebody has registered; undefined for an address, and for a name without a domain. */
function domainOf(hostname: string): string | undefined {
  if (isIPv4(hostname)) return undefined;
  const labels = hostname.replace(/\.$/, "").split(".");
  const [country, second] = [labels.at(-1) ?? "", labels.at(-2) ?? ""];
  const length = country.length === 2 && shared.test(second) ? 3 : 2;
  return labels.length < length ? undefined : labels.slice(-length).join(".");
}
