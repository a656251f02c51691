/**
 * Says where pods will pull in spite of what was loaded.
 *
 * @param names full names of images
 * @param alwaysPulls whether the cluster runs the admission plugin AlwaysPullImages
 */
export function pullWarnings(names: readonly string[], alwaysPulls: boolean): string[] {
  if (names.length === 0) return [];
  if (alwaysPulls) {
    return [
      "The cluster's configuration turns on AlwaysPullImages: every pod pulls its images from their registry, whatever is loaded. Leave the plugin out, or push the images to a registry that the nodes reach.",
    ];
  }
  const latest = names.filter((name) => name.endsWith(":latest"));
  if (latest.length === 0) return [];
  return [
    `${latest.join(", ")}: Kubernetes pulls an image tagged latest each time, unless the container says \`imagePullPolicy: IfNotPresent\` or \`Never\`. Say that, or give the image another tag.`,
  ];
}
