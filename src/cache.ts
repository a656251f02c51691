import { askCache } from "./cache/client.ts";
import { cacheRequest, renderReply } from "./cache/protocol.ts";

const [folder = "", request = ""] = process.argv.slice(2);
const reply = await askCache(cacheRequest.parse(JSON.parse(request)), folder);
process.stdout.write(renderReply(reply), () => process.exit());
