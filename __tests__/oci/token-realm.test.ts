import { describe, expect, it } from "vitest";
import { isRealmAllowed } from "../../src/oci/token-realm.ts";

const isAllowed = (realm: string, registry: string) => isRealmAllowed(new URL(realm), new URL(registry));

describe("isRealmAllowed", () => {
  it.each([
    ["https://auth.docker.io/token", "https://registry-1.docker.io"],
    ["https://ghcr.io/token", "https://ghcr.io"],
    ["https://quay.io/v2/auth", "https://quay.io"],
    ["https://gitlab.com/jwt/auth", "https://registry.gitlab.com"],
    ["https://gitlab.example.co.uk/jwt/auth", "https://registry.example.co.uk"],
    ["https://auth.example.com:8443/token", "https://registry.example.com:5000"],
    ["https://registry.example.com/token", "http://registry.example.com:5000"],
    ["https://AUTH.Example.COM./token", "https://registry.example.com"],
    ["http://registry.example.com:5000/token", "http://registry.example.com:5000"],
    ["http://127.0.0.1:5000/token", "http://127.0.0.1:5000"],
    ["http://[::1]:5000/token", "http://[::1]:5000"],
    ["https://registry/token", "https://registry"],
  ])("allows %s for %s", (realm, registry) => {
    expect(isAllowed(realm, registry)).toBe(true);
  });

  it.each([
    ["https://auth.example.org/token", "https://registry.example.com"],
    ["https://example.com.evil.org/token", "https://registry.example.com"],
    ["https://evilexample.com/token", "https://registry.example.com"],
    ["https://evil.co.uk/token", "https://registry.example.co.uk"],
    ["https://co.uk/token", "https://registry.co.uk"],
    ["https://evil.com.au/token", "https://registry.example.com.au"],
    ["https://com/token", "https://registry.com"],
    ["https://other/token", "https://registry"],
    ["https://10.1.0.1/token", "https://10.0.0.1"],
    ["https://9.0.0.1/token", "https://10.0.0.1"],
    ["https://[::2]/token", "https://[::1]"],
    ["https://127.0.0.1:5001/token", "http://127.0.0.1:5000"],
  ])("rejects a realm in another domain: %s for %s", (realm, registry) => {
    expect(isAllowed(realm, registry)).toBe(false);
  });

  it.each([
    ["http://auth.example.com/token", "https://registry.example.com"],
    ["http://registry.example.com/token", "https://registry.example.com"],
    ["http://auth.example.com/token", "http://registry.example.com"],
    ["http://127.0.0.1:5001/token", "http://127.0.0.1:5000"],
    ["http://localhost:5000/token", "http://127.0.0.1:5000"],
    ["ftp://registry.example.com/token", "https://registry.example.com"],
  ])("rejects a realm without TLS that is not the registry itself: %s for %s", (realm, registry) => {
    expect(isAllowed(realm, registry)).toBe(false);
  });
});
