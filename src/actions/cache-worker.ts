import { createInterface } from "node:readline";
import { callCache } from "../cache/transport/client.ts";
import { type CacheReply, parseRequest, renderReply } from "../cache/transport/protocol.ts";
import { errorMessage } from "../lib/errors.ts";

const [folder = ""] = process.argv.slice(2);
for await (const line of createInterface({ input: process.stdin })) {
  const { id, request } = parseRequest(line);
  // Node would print the line of code that threw, which in a minified bundle is most of the bundle.
  const reply = await callCache(request, folder).catch(
    (error: unknown): CacheReply => ({ outcome: "failed", reason: errorMessage(error) }),
  );
  process.stdout.write(renderReply(id, reply));
}
// A kept-alive connection would hold the process for minutes.
process.exit();
