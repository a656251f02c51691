/** The programs of the bundle. Each loads its own modules when it is chosen, and no others. */
const programs = {
  main: () => import(/* webpackMode: "eager" */ "./create/main.ts"),
  post: () => import(/* webpackMode: "eager" */ "./create/post.ts"),
  load: () => import(/* webpackMode: "eager" */ "./load/main.ts"),
  "cache-worker": () => import(/* webpackMode: "eager" */ "./cache-worker.ts"),
};

/** Runs one of the programs: what the stubs in dist/ call. */
export const run = (program: keyof typeof programs): Promise<unknown> => programs[program]();
