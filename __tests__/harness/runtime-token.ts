import { createHmac, randomBytes } from "node:crypto";

/**
 * An `ACTIONS_RUNTIME_TOKEN` of a job. Clients read the ids of run and job out of its `scp` claim and send them along.
 * It is signed with a key that is thrown away: nobody checks it here.
 */
export function createRuntimeToken(ids: { readonly run: string; readonly job: string }): string {
  const now = Math.floor(Date.now() / 1000);
  const unsigned = [
    { alg: "HS256", typ: "JWT" },
    { scp: `Actions.Results:${ids.run}:${ids.job}`, iat: now, exp: now + 6 * 60 * 60 },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${unsigned}.${createHmac("sha256", randomBytes(32)).update(unsigned).digest("base64url")}`;
}
