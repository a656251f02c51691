import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as z from "zod";

const Tool = z.object({ version: z.string(), path: z.string(), sha256: z.string() });
const NodeImage = z.object({ image: z.string(), kubernetes: z.string() });

/** What script/bootstrap sets up on this machine for tests that make real clusters. */
const Lab = z.object({
  kind: Tool,
  kubectl: Tool,
  nodeImages: z.object({ current: NodeImage, old: NodeImage }),
  loadBalancer: z.string(),
  registry: z.string(),
  testImage: z.string(),
  /** Whether the images were built here; if not, they are the published ones. */
  built: z.boolean(),
});
export type Lab = z.infer<typeof Lab>;

/** The same where it may be `script/bootstrap demo` alone that ran. */
const DemoLab = Lab.partial({ loadBalancer: true, registry: true }).extend({
  nodeImages: z.object({ current: NodeImage, old: NodeImage.optional() }),
});
export type DemoLab = z.infer<typeof DemoLab>;

/** The folder of what script/bootstrap makes, as in script/env. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env.KIND_ACTION_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "kind-action");
}

/** @throws Error when it is not there, or not all of it: run script/bootstrap */
export function readLab(env: NodeJS.ProcessEnv = process.env): Lab {
  return readManifest(Lab, env);
}

/** @throws Error when not even that is there */
export function readDemoLab(env: NodeJS.ProcessEnv = process.env): DemoLab {
  return readManifest(DemoLab, env);
}

function readManifest<T>(schema: z.ZodType<T>, env: NodeJS.ProcessEnv): T {
  const file = join(cacheFolder(env), "lab.json");
  try {
    return schema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
    throw new Error(`${file} does not describe a lab: run script/bootstrap.\n${reason}`, { cause });
  }
}
