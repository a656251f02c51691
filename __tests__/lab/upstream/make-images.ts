import type { Descriptor, RegistryImage } from "./images.ts";
import { digestOf, type Layer, type LayerRecipe, makeLayer } from "./layers.ts";

/** An image that is to be made. It serves its own name on port 8080. */
export interface ImageRecipe {
  /** With its tag. */
  readonly name: string;
  readonly format: keyof typeof mediaTypes;
  /** How many platforms its index lists. Without it there is no index: the tag names the manifest. */
  readonly platforms?: 1 | 2;
  /** The lowest first; one of them has the shell. A last one with the page is added. */
  readonly layers: readonly LayerRecipe[];
}

const mediaTypes = {
  oci: {
    index: "application/vnd.oci.image.index.v1+json",
    manifest: "application/vnd.oci.image.manifest.v1+json",
    config: "application/vnd.oci.image.config.v1+json",
    layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  },
  docker: {
    index: "application/vnd.docker.distribution.manifest.list.v2+json",
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  },
};

const architecture = process.arch === "x64" ? "amd64" : process.arch;
const otherArchitecture = architecture === "arm64" ? "amd64" : "arm64";

export interface MakeOptions {
  /** What all bytes grow from, beside the names of layers. */
  readonly seed: string;
  /** The root file system with the shell, as a tar. */
  readonly shell: Buffer;
  /** Takes each blob once. */
  write(digest: string, content: Buffer): Promise<void> | void;
}

/** Makes images. Layers that several have are made once. */
export async function makeImages(
  recipes: readonly ImageRecipe[],
  options: MakeOptions,
): Promise<RegistryImage[]> {
  const finished = recipes.map((recipe) => ({ ...recipe, layers: [...recipe.layers, page(recipe.name)] }));
  const layers = await makeLayers(
    finished.flatMap((recipe) => recipe.layers),
    options,
  );
  return Promise.all(finished.map((recipe) => makeImage(recipe, layers, options)));
}

const page = (name: string): LayerRecipe => ({
  name: `${name.replace(":", "/")}/page`,
  bytes: 500,
  page: `${name}\n`,
});

/** A layer whose content was written already. */
type LayerDescription = Omit<Layer, "content"> & { readonly size: number };

async function makeLayers(
  recipes: readonly LayerRecipe[],
  { seed, shell, write }: MakeOptions,
): Promise<ReadonlyMap<string, LayerDescription>> {
  const layers = new Map<string, LayerDescription>();
  const left = new Map(recipes.map((recipe) => [recipe.name, recipe])).values();
  const makeWhatIsLeft = async () => {
    for (const recipe of left) {
      const { content, ...layer } = await makeLayer(recipe, { seed, shell });
      await write(layer.digest, content);
      layers.set(recipe.name, { ...layer, size: content.length });
    }
  };
  // While one is compressed, the next one's bytes are thought up.
  await Promise.all([makeWhatIsLeft(), makeWhatIsLeft()]);
  return layers;
}

async function makeImage(
  { name, format, platforms, layers: recipes }: ImageRecipe,
  made: ReadonlyMap<string, LayerDescription>,
  { write }: MakeOptions,
): Promise<RegistryImage> {
  const types = mediaTypes[format];
  const add = async (mediaType: string, value: unknown): Promise<Descriptor> => {
    const content = Buffer.from(JSON.stringify(value));
    const digest = digestOf(content);
    await write(digest, content);
    return { mediaType, digest, size: content.length };
  };
  const described = recipes.map((recipe) => {
    const layer = made.get(recipe.name);
    if (layer === undefined) throw new Error(`${name} has the layer ${recipe.name}, which was not made`);
    return layer;
  });
  const layers = described.map(({ digest, size }) => ({ mediaType: types.layer, digest, size }));
  const manifestOf = (config: Descriptor, layers: readonly Descriptor[]) =>
    add(types.manifest, { schemaVersion: 2, mediaType: types.manifest, config, layers });
  const config = await add(types.config, configOf(name, architecture, described));
  const manifest = await manifestOf(config, layers);

  const [repository = "", tag = ""] = name.split(":");
  const image = { repository, tag, config, layers };
  if (platforms === undefined) return { ...image, otherConfigs: [], manifests: [manifest] };
  const indexOf = (entries: readonly (Descriptor & { readonly platform: object })[]) =>
    add(types.index, { schemaVersion: 2, mediaType: types.index, manifests: entries });
  const own = { ...manifest, platform: { os: "linux", architecture } };
  if (platforms === 1) return { ...image, otherConfigs: [], manifests: [await indexOf([own]), manifest] };

  const absent = layers.map((layer) => ({ ...layer, digest: digestOf(Buffer.from(layer.digest)) }));
  const otherConfig = await add(types.config, configOf(name, otherArchitecture, described));
  const otherManifest = await manifestOf(otherConfig, absent);
  const other = { ...otherManifest, platform: { os: "linux", architecture: otherArchitecture } };
  return {
    ...image,
    otherConfigs: [otherConfig],
    manifests: [await indexOf([own, other]), manifest, otherManifest],
  };
}

const created = "2025-01-01T00:00:00Z";

const configOf = (name: string, architecture: string, layers: readonly LayerDescription[]) => ({
  architecture,
  os: "linux",
  created,
  config: {
    Env: ["PATH=/bin:/usr/bin"],
    Entrypoint: ["httpd", "-f", "-p", "8080", "-h", "/www"],
    ExposedPorts: { "8080/tcp": {} },
    // httpd does not end by SIGTERM where it is the first process: each pod would take 30 s to go away.
    StopSignal: "SIGKILL",
  },
  rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  history: layers.map((_, index) => ({ created, created_by: `${name}, layer ${index + 1}` })),
});
