import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { sha256File } from "../../lib/sha256.ts";
import { defineEntry } from "../entry.ts";
import type { CacheContext } from "./context.ts";

/** A program, identified by its checksum. */
const tool = z.strictObject({
  name: z.string(),
  /** SHA-256, in hexadecimal. */
  checksum: z.string(),
  /** The file that is saved. */
  path: z.string(),
});
type Tool = z.infer<typeof tool>;

/** A tool has 10 to 60 MB: a download takes less time than this. */
const timeoutMs = 20_000;

const keyOf = ({ name, checksum }: Pick<Tool, "name" | "checksum">) =>
  `kind-action-tool-v1-${name}-${checksum}`;

/** Returns the path of a restored tool. */
export const restoredTool = ({ store }: Pick<CacheContext, "store">, name: string): string =>
  join(store.folder, name);

/** kind and kubectl. Their keys contain the checksum, which a restored file must have. */
export const toolEntry = defineEntry<CacheContext, Pick<Tool, "name" | "checksum">, Tool>({
  name: "tool",
  optional: false,
  key: keyOf,
  async restore({ name, checksum }, context, log) {
    const { outcome, reason } = await context.store.restore({
      path: name,
      key: keyOf({ name, checksum }),
      timeoutMs,
    });
    if (outcome === "failed") log.line(`Could not restore ${name} from the cache: ${reason}`);
    const actual = await sha256File(restoredTool(context, name)).catch(() => "");
    if (actual === checksum) return { outcome: "hit", bytes: 0 };
    return { outcome: outcome === "failed" || outcome === "skipped" ? outcome : "miss", bytes: 0 };
  },
  pending: tool,
  async save({ name, checksum, path }, { store }, log) {
    await copyFile(path, join(store.folder, name));
    const { outcome, reason } = await store.save({ path: name, key: keyOf({ name, checksum }) });
    log.line(`${name}: ${outcome}${reason === undefined ? "" : `, ${reason}`}`);
  },
});
