import type { Engine } from "../../docker/engine.ts";
import type { CacheStore } from "../transport/store.ts";

/** The services that cache entries need. */
export interface CacheContext {
  readonly store: CacheStore;
  readonly engine: Engine;
  /** A temporary folder of this run. */
  readonly folder: string;
}
