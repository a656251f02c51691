import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { compareVersions, minorOf } from "../../src/lib/semver.ts";
import { kindChecksums, kubectlChecksums, nodeImages } from "../../src/versions/release-table.ts";
import { nodeImagesIn } from "./release-notes.ts";

/** Asks upstream for what the table holds, keeps what it held already, and writes it. A sum that changed is an error. */
const file = join(resolve(import.meta.dirname, "../.."), "src", "versions", "release-table.ts");
const architectures = ["amd64", "arm64"] as const;
const oldest = "v0.20.0";

type Sums = Record<string, Partial<Record<(typeof architectures)[number], string>>>;

const releases = z
  .array(z.looseObject({ tag_name: z.string(), body: z.string(), prerelease: z.boolean() }))
  .parse(await (await get("https://api.github.com/repos/kubernetes-sigs/kind/releases?per_page=100")).json())
  .filter(({ tag_name, prerelease }) => !prerelease && compareVersions(tag_name, oldest) >= 0);

const images = releases.flatMap(({ tag_name, body }) =>
  nodeImagesIn(body).map((image) => ({ kind: minorOf(tag_name), ...image })),
);
const known = nodeImages.filter(
  ({ kind, kubernetes }) => !images.some((image) => image.kind === kind && image.kubernetes === kubernetes),
);
const kind = await addTo(
  kindChecksums,
  releases.map(({ tag_name }) => tag_name),
  (version, architecture) =>
    `https://github.com/kubernetes-sigs/kind/releases/download/${version}/kind-linux-${architecture}.sha256sum`,
);
const kubectl = await addTo(
  kubectlChecksums,
  [...images, ...known].map(({ kubernetes }) => kubernetes),
  (version, architecture) => `https://dl.k8s.io/release/${version}/bin/linux/${architecture}/kubectl.sha256`,
);
writeFileSync(file, render(kind, kubectl, [...images, ...known]));
console.log(readFileSync(file, "utf8").split("\n").length, "lines written");

async function addTo(
  sums: Sums,
  versions: readonly string[],
  url: (version: string, architecture: string) => string,
): Promise<Sums> {
  const all: Sums = structuredClone(sums);
  for (const version of new Set(versions)) {
    for (const architecture of architectures) {
      const response = await get(url(version, architecture));
      const sum = /^[0-9a-f]{64}\b/.exec((await response.text()).trim())?.[0];
      const before = all[version]?.[architecture];
      if (sum === undefined) throw new Error(`${url(version, architecture)} holds no sum`);
      if (before !== undefined && before !== sum)
        throw new Error(`${url(version, architecture)}: ${sum}, and the table has ${before}`);
      all[version] = { ...all[version], [architecture]: sum };
    }
  }
  return all;
}

async function get(url: string): Promise<Response> {
  const response = await fetch(url, { signal: AbortSignal.timeout(30_000) });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response;
}

function render(
  kindSums: Sums,
  kubectlSums: Sums,
  all: readonly { kind: string; kubernetes: string; image: string }[],
): string {
  const table = (sums: Sums) =>
    Object.keys(sums)
      .toSorted((a, b) => compareVersions(b, a))
      .flatMap((version) => [
        `  "${version}": {`,
        ...architectures.flatMap((name) =>
          sums[version]?.[name] === undefined ? [] : [`    ${name}: "${sums[version][name]}",`],
        ),
        "  },",
      ]);
  const sorted = all.toSorted(
    (a, b) => compareVersions(`${b.kind}.0`, `${a.kind}.0`) || compareVersions(b.kubernetes, a.kubernetes),
  );
  return [
    "// Written by script/update-releases from what upstream publishes: change that, not this.",
    "",
    'type Checksums = Readonly<Record<string, Readonly<Partial<Record<"amd64" | "arm64", string>>>>>;',
    "",
    "/** SHA-256 of kind for Linux, by version. */",
    "export const kindChecksums: Checksums = {",
    ...table(kindSums),
    "};",
    "",
    "/** SHA-256 of kubectl for Linux, by version. */",
    "export const kubectlChecksums: Checksums = {",
    ...table(kubectlSums),
    "};",
    "",
    "/** The node images that each minor release of kind was published with. */",
    "export const nodeImages: readonly { readonly kind: string; readonly kubernetes: string; readonly image: string }[] = [",
    ...sorted.map(
      (image) => `  { kind: "${image.kind}", kubernetes: "${image.kubernetes}", image: "${image.image}" },`,
    ),
    "];",
    "",
  ].join("\n");
}
