/**
 * Returns warnings about loaded images that pods pull nevertheless.
 *
 * @param names the full names of the images
 * @param alwaysPulls whether the cluster runs the admission plugin AlwaysPullImages
 */
export function pullWarnings(names: readonly string[], alwaysPulls: boolean): string[] {
  if (names.length === 0) return [];
  if (alwaysPulls) {
    return [
      "The cluster's configuration enables the admission plugin AlwaysPullImages: every pod pulls its images, even if they are loaded. Disable the plugin, or push the images to a registry that the nodes can reach.",
    ];
  }
  const latest = names.filter((name) => name.endsWith(":latest"));
  if (latest.length === 0) return [];
  return [
    `${latest.join(", ")}: Kubernetes always pulls images with the tag latest, unless the container has \`imagePullPolicy: IfNotPresent\` or \`Never\`. Set that, or use another tag.`,
  ];
}
