import { createInterface } from "node:readline";
import { callCache } from "../cache/transport/client.ts";
import { type CacheReply, parseRequest, renderReply } from "../cache/transport/protocol.ts";
import { errorMessage } from "../lib/errors.ts";

// Executes requests from stdin, one per line, and prints the replies. The argument is the folder of the files.
const [folder = ""] = process.argv.slice(2);
for await (const line of createInterface({ input: process.stdin })) {
  const { id, request } = parseRequest(line);
  // Node would print the line that threw, which in a minified bundle is most of the bundle.
  const reply = await callCache(request, folder).catch(
    (error: unknown): CacheReply => ({ outcome: "failed", reason: errorMessage(error) }),
  );
  process.stdout.write(renderReply(id, reply));
}
// Keep-alive connections would keep the process running for minutes.
process.exit();
