import { join } from "node:path";
import { z } from "zod";
import { BlockBlob } from "./block-blob.ts";
import { EntryStore } from "./entry-store.ts";
import type { Faults } from "./faults.ts";
import { type Caller, parseRequest, RpcError, type RpcService } from "./rpc.ts";

const details = z.object({
  run: z.string(),
  job: z.string(),
  name: z.string(),
  size: z.number(),
  digest: z.string().optional(),
});

const request = z.object({ workflow_run_backend_id: z.string(), workflow_job_run_backend_id: z.string() });
const namedRequest = request.extend({ name: z.string().min(1) });
const finalizeRequest = namedRequest.extend({ size: z.coerce.number(), hash: z.string().optional() });
const listRequest = request.extend({ name_filter: z.string().optional(), id_filter: z.string().optional() });

/** An artifact that a run left. */
export interface UploadedArtifact {
  readonly name: string;
  /** The `GITHUB_RUN_ID` of its run. */
  readonly run: string;
  readonly size: number;
  readonly zipPath: string;
}

/** Where the artifacts of a service are kept. */
export function artifactStore(dir: string): EntryStore<z.infer<typeof details>> {
  return new EntryStore(join(dir, "artifacts"), details);
}

/** The artifacts of all runs of a service with this folder, the newest first. */
export async function artifacts(dir: string): Promise<UploadedArtifact[]> {
  const store = artifactStore(dir);
  return (await store.list()).map(({ id, details: { name, run, size } }) => ({
    name,
    run,
    size,
    zipPath: new BlockBlob(store.folderOf(id)).path,
  }));
}

/** `github.actions.results.api.v1.ArtifactService`. A run sees its own artifacts alone, by names that are unique in it. */
export function artifactService(
  store: ReturnType<typeof artifactStore>,
  { faults, signedUrl }: { readonly faults: Faults; readonly signedUrl: (id: string) => string },
): RpcService {
  return {
    async CreateArtifact(body, caller) {
      const { run, name } = named(body, caller);
      const id = store.idOf(run, name);
      if (faults.has("reserve-taken") || !(await store.reserve(id))) {
        throw new RpcError("already_exists", "an artifact with this name already exists on the workflow run");
      }
      return { ok: true, signed_upload_url: signedUrl(id) };
    },

    async FinalizeArtifact(body, caller) {
      const { size, hash } = parseRequest(finalizeRequest, body);
      const { run, job, name } = named(body, caller);
      const id = store.idOf(run, name);
      const uploaded = await new BlockBlob(store.folderOf(id)).properties();
      if (faults.has("finalize-fail") || uploaded === undefined) throw notFound(name);
      if (uploaded.size !== size) return { ok: false };
      const artifact = await store.publish(id, { run, job, name, size, digest: hash });
      return { ok: true, artifact_id: String(artifact.number) };
    },

    async ListArtifacts(body, caller) {
      const { name_filter: name, id_filter: number } = parseRequest(listRequest, body);
      const { run } = ids(body, caller);
      const listed = (await store.list()).filter(
        (artifact) =>
          artifact.details.run === run &&
          (name === undefined || artifact.details.name === name) &&
          (number === undefined || String(artifact.number) === number),
      );
      return {
        artifacts: listed.map((artifact) => ({
          workflow_run_backend_id: artifact.details.run,
          workflow_job_run_backend_id: artifact.details.job,
          database_id: String(artifact.number),
          name: artifact.details.name,
          size: String(artifact.details.size),
          created_at: artifact.createdAt,
          digest: artifact.details.digest,
        })),
      };
    },

    async GetSignedArtifactURL(body, caller) {
      const { run, name } = named(body, caller);
      const artifact = await store.find(store.idOf(run, name));
      if (artifact === undefined) throw notFound(name);
      return { signed_url: signedUrl(artifact.id) };
    },

    async DeleteArtifact(body, caller) {
      const { run, name } = named(body, caller);
      const artifact = await store.find(store.idOf(run, name));
      if (artifact === undefined) throw notFound(name);
      await store.remove(artifact.id);
      return { ok: true, artifact_id: String(artifact.number) };
    },
  };
}

/** The ids of a request have to be the token's own. */
function ids(body: unknown, caller: Caller): Caller {
  const { workflow_run_backend_id: run, workflow_job_run_backend_id: job } = parseRequest(request, body);
  if (run !== caller.run) throw new RpcError("permission_denied", "token of another workflow run");
  return { run, job };
}

function named(body: unknown, caller: Caller): Caller & { readonly name: string } {
  return { ...ids(body, caller), name: parseRequest(namedRequest, body).name };
}

function notFound(name: string): RpcError {
  return new RpcError("not_found", `artifact ${name} not found`);
}
