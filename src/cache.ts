import { createInterface } from "node:readline";
import { askCache } from "./cache/client.ts";
import { parseRequest, renderReply } from "./cache/protocol.ts";

const [folder = ""] = process.argv.slice(2);
for await (const line of createInterface({ input: process.stdin })) {
  const { id, request } = parseRequest(line);
  process.stdout.write(renderReply(id, await askCache(request, folder)));
}
// A kept-alive connection would hold the process for minutes.
process.exit();
