// The order of the folders below src/, the highest first: a folder imports from those below it, never from those above or
// beside it (docs/decisions/0018). script/check runs this; docs/architecture.md has the picture.

export const layers = [
  ["actions"],
  ["workflows"],
  ["runner"],
  ["plan"],
  ["cache/entries"],
  ["images", "registries", "cluster", "tools", "logs"],
  ["archive", "kubernetes", "versions"],
  ["node"],
  ["docker"],
  ["oci"],
  ["cache"],
  ["lib"],
];

/** A pattern for the files of folders. */
const filesOf = (folders) => `^src/(${folders.map((folder) => `${folder}(/|\\.ts$)`).join("|")})`;

const upward = layers.map((folders, index) => ({
  name: `${folders.join("-")}-imports-downward`,
  comment: `${folders.join(", ")} may import from the folders below only (.dependency-cruiser.mjs has the order).`,
  severity: "error",
  from: { path: filesOf(folders), ...(folders[0] === "cache" && { pathNot: filesOf(["cache/entries"]) }) },
  to: {
    path: filesOf(layers.slice(0, index).flat()),
  },
}));

const beside = layers
  .filter((folders) => folders.length > 1)
  .flatMap((folders) =>
    folders.map((folder) => ({
      name: `${folder}-imports-no-neighbour`,
      comment: `${folder} is a domain of its own: it imports neither of ${folders.filter((each) => each !== folder).join(", ")}.`,
      severity: "error",
      from: { path: filesOf([folder]) },
      to: { path: filesOf(folders.filter((each) => each !== folder)) },
    })),
  );

export default {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    ...upward.filter(({ to }) => to.path !== "^src/()"),
    ...beside,
    {
      name: "every-folder-has-a-layer",
      comment: "A new folder below src/ has to be put into the order of .dependency-cruiser.mjs.",
      severity: "error",
      from: { path: "^src/", pathNot: filesOf(layers.flat()) },
      to: {},
    },
    {
      name: "domain-insides",
      comment: "A subfolder of a domain is its own affair: other domains use its top-level files.",
      severity: "error",
      from: { path: "^src/(images|registries|cluster|tools|logs|archive|kubernetes|versions)/" },
      to: {
        path: "^src/(images|registries|cluster|tools|logs|archive|kubernetes|versions)/[^/]+/",
        pathNot: "^src/$1/",
      },
    },
    {
      name: "dockerode-in-docker",
      severity: "error",
      from: { pathNot: "^src/docker/" },
      to: { path: "node_modules/(dockerode|docker-modem)/" },
    },
    {
      name: "actions-cache-in-its-client",
      severity: "error",
      from: { pathNot: "^src/cache/transport/client\\.ts$" },
      to: { path: "node_modules/@actions/cache/" },
    },
    {
      name: "actions-exec-in-subprocess",
      severity: "error",
      from: { pathNot: "^src/lib/subprocess\\.ts$" },
      to: { path: "node_modules/@actions/exec/" },
    },
    {
      name: "child-process-in-lib",
      severity: "error",
      from: { pathNot: "^src/lib/(subprocess|worker-process)\\.ts$" },
      to: { path: "^(node:)?child_process$" },
    },
    { name: "no-unresolved", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    // TypeScript 7 has no API that dependency-cruiser could use: swc parses instead. Type imports count.
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js"],
      mainFields: ["main"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
    },
  },
};
