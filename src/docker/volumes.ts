import type Docker from "dockerode";
import { ignoreStatus, isNotFound } from "./expected-status.ts";

/** The volumes of a Docker daemon. */
export class Volumes {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** Makes a named volume, or finds the one that has the name: the daemon settles who was first. @returns its labels */
  async findOrCreate(
    name: string,
    labels: Record<string, string>,
  ): Promise<Readonly<Record<string, string>>> {
    await this.#docker.createVolume({ Name: name, Labels: labels });
    const volume = await this.#docker.getVolume(name).inspect();
    return volume.Labels ?? {};
  }

  async remove(name: string): Promise<void> {
    await ignoreStatus(isNotFound, this.#docker.getVolume(name).remove());
  }

  /** The labels of every volume that carries a label, by name. */
  async listByLabel(label: string): Promise<ReadonlyMap<string, Readonly<Record<string, string>>>> {
    const { Volumes } = await this.#docker.listVolumes({ filters: { label: [label] } });
    return new Map((Volumes ?? []).map((volume) => [volume.Name, volume.Labels ?? {}]));
  }
}
