import { type Lab, readDemoLab } from "./lab.ts";

/** The inputs that make the action use what script/bootstrap has set up: as a user with builds of their own would. */
export function labInputs(image: keyof Lab["nodeImages"] = "current"): Record<string, string> {
  const lab = readDemoLab();
  const nodeImage = lab.nodeImages[image];
  if (!nodeImage) throw new Error(`The ${image} node image is not set up: run script/bootstrap.`);
  return {
    version: lab.kind.version,
    kubectl_version: lab.kubectl.version,
    node_image: nodeImage.image,
    ...(lab.registry && { registry_image: lab.registry }),
    checksums: `kind=${lab.kind.sha256}\nkubectl=${lab.kubectl.sha256}`,
  };
}

/**
 * Adds those of the lab's inputs that do not speak against what was asked for: a version of kind, kubectl or Kubernetes
 * that somebody names is theirs to get.
 */
export function completedByLab(given: Readonly<Record<string, string>>): Record<string, string> {
  const lab = labInputs();
  const own = (...names: string[]) => names.some((name) => given[name] !== undefined);
  const leftOut = [
    ...(own("version", "version_file", "kubectl_version", "checksums")
      ? ["version", "kubectl_version", "checksums"]
      : []),
    ...(own("node_image", "kubernetes_version") ? ["node_image"] : []),
    ...(own("registry_image") ? ["registry_image"] : []),
  ];
  return { ...Object.fromEntries(Object.entries(lab).filter(([name]) => !leftOut.includes(name))), ...given };
}
