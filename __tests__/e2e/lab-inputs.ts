import { type Lab, readLab } from "../lab/lab.ts";

/** The inputs that make an action use what script/bootstrap has built: as a user with builds of their own would. */
export async function labInputs(image: keyof Lab["nodeImages"] = "current"): Promise<Record<string, string>> {
  const lab = await readLab();
  return {
    version: lab.kind.version,
    kubectl_version: lab.kubectl.version,
    node_image: lab.nodeImages[image].image,
    checksums: `kind=${lab.kind.sha256}\nkubectl=${lab.kubectl.sha256}`,
  };
}
