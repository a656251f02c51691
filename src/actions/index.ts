/** The programs of the bundle. A program evaluates only the modules that it imports. */
const programs = {
  main: () => import(/* webpackMode: "eager" */ "./create/main.ts"),
  post: () => import(/* webpackMode: "eager" */ "./create/post.ts"),
  load: () => import(/* webpackMode: "eager" */ "./load/main.ts"),
  "cache-worker": () => import(/* webpackMode: "eager" */ "./cache-worker.ts"),
};

/** Runs a program. The stubs in dist/ call it. */
export const run = (program: keyof typeof programs): Promise<unknown> => programs[program]();
