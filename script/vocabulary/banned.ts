/**
 * Words that have no place in names of files, exports, types, members and parameters, or in the titles of tasks, each with
 * the field's own words for it.
 */
export const bannedWords: Readonly<Record<string, string>> = {
  adopt: "commit",
  ahead: "pre…",
  anew: "recreated",
  ask: "request, query, run",
  asked: "requested, session",
  bring: "import, upload, load",
  brought: "imported, loaded",
  claim: "lock",
  conversation: "session",
  converse: "spawnWorker",
  decide: "plan, resolve",
  dialogue: "worker process",
  document: "manifest, config, blob",
  documents: "manifests, manifest chain",
  facts: "job, daemon, info",
  fitness: "match",
  follow: "watch",
  give: "load, copy, add",
  harmless: "escape…",
  held: "existing, proxied",
  kept: "cached, pinned, saved",
  lead: "entry",
  obtain: "ensure",
  obtained: "ensured",
  patience: "timeoutMs",
  relay: "dial",
  said: "output, stderr",
  situation: "context",
  soon: "timeoutMs",
  story: "workflow",
  surroundings: "context, options",
  take: "acquire, read",
  tell: "publish, configure, report",
  telling: "highlight",
  thaw: "unfreeze",
  thing: "entry, item",
  things: "entries, items",
  told: "reported",
  verdict: "result, statistics",
  way: "path, route",
  whole: "complete",
};

/** Where a banned word has its ordinary meaning: a document of YAML, following a redirect. */
export const allowedIn: Readonly<Record<string, readonly string[]>> = {
  "src/cluster/config.ts": ["document"],
  "src/oci/registry-client.ts": ["follow"],
};

/** Names of globals that a type of ours would shadow. */
export const globalNames: readonly string[] = [
  "Blob",
  "Event",
  "Lock",
  "Map",
  "Record",
  "Request",
  "Response",
];
