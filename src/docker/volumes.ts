import type Docker from "dockerode";
import { ignoreStatus, isNotFound } from "./expected-status.ts";

/** The volumes of a Docker daemon. */
export class Volumes {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** Creates a named volume unless it exists; of two concurrent callers the daemon lets one create it. @returns its labels */
  async findOrCreate(
    name: string,
    labels: Record<string, string>,
  ): Promise<Readonly<Record<string, string>>> {
    await this.#docker.createVolume({ Name: name, Labels: labels });
    const volume = await this.#docker.getVolume(name).inspect();
    return volume.Labels ?? {};
  }

  /** Removes a volume. A missing volume is no error. */
  async remove(name: string): Promise<void> {
    await ignoreStatus(isNotFound, this.#docker.getVolume(name).remove());
  }

  /** Returns the labels of all volumes that have a label, by volume name. */
  async listByLabel(label: string): Promise<ReadonlyMap<string, Readonly<Record<string, string>>>> {
    const { Volumes } = await this.#docker.listVolumes({ filters: { label: [label] } });
    return new Map((Volumes ?? []).map((volume) => [volume.Name, volume.Labels ?? {}]));
  }
}
