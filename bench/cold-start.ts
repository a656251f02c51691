import { measureColdStarts } from "./cold-starts.ts";

/**
 * From the start of main until every pod is Ready and DNS answers a pod, beside kind's own way there.
 *
 *     script/bench cold-start [--repetitions N] [--only CASE]... [--input NAME=VALUE]... [--json]
 *
 * The result is kept when all cases were measured, five times at least, with main's own defaults.
 */
await measureColdStarts("cold-start", [
  { name: "1 node", image: "current", roles: ["control-plane"], bar: 0.7 },
  { name: "3 nodes", image: "current", roles: ["control-plane", "worker", "worker"], bar: 0.75 },
  { name: "1 node, old node image", image: "old", roles: ["control-plane"], bar: 0.75 },
]);
