import * as z from "zod";

interface Module {
  readonly name?: string | undefined;
  readonly modules?: readonly Module[] | undefined;
}
const module: z.ZodType<Module> = z.looseObject({
  name: z.string().optional(),
  get modules() {
    return z.array(module).optional();
  },
});
const stats = z.looseObject({ modules: z.array(module) });

/**
 * The packages whose code is in a bundle, as folders below node_modules, in order.
 *
 * @param json webpack's statistics: modules that were concatenated are listed below the one that they are in
 */
export function bundledPackages(json: unknown): string[] {
  const folders = new Set<string>();
  const visit = ({ name = "", modules = [] }: Module) => {
    const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/ ]+/.exec(name.replace(/^.*[!|]/, ""))?.[0];
    if (folder !== undefined) folders.add(folder.replace(/^\.\//, ""));
    modules.forEach(visit);
  };
  stats.parse(json).modules.forEach(visit);
  return [...folders].toSorted();
}
