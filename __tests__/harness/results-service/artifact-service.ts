import { join } from "node:path";
import * as z from "zod";
import { EntryStore } from "./entry-store.ts";
import { parseRequest, RpcError, type RpcService } from "./rpc.ts";

const Details = z.object({
  run: z.string(),
  job: z.string(),
  name: z.string(),
  size: z.number(),
  digest: z.string().optional(),
});
type Details = z.infer<typeof Details>;

const request = z.object({ workflow_run_backend_id: z.string(), workflow_job_run_backend_id: z.string() });
const namedRequest = request.extend({ name: z.string().min(1) });
const finalizeRequest = namedRequest.extend({ size: z.coerce.number(), hash: z.string().optional() });
const listRequest = request.extend({ name_filter: z.string().optional() });

/** An artifact that a run left. */
export interface UploadedArtifact {
  readonly name: string;
  readonly zipPath: string;
}

/** Where the artifacts of a service are kept. */
export function artifactStore(dir: string): EntryStore<Details> {
  return new EntryStore(join(dir, "artifacts"), Details);
}

/** The artifacts of all runs of a service with this folder, the newest first. */
export async function artifacts(dir: string): Promise<UploadedArtifact[]> {
  const store = artifactStore(dir);
  return (await store.list()).map(({ id, details: { name } }) => ({ name, zipPath: store.blob(id).path }));
}

/** `github.actions.results.api.v1.ArtifactService`. A run sees its own artifacts alone, by names that are unique in it. */
export function artifactService(store: EntryStore<Details>, signedUrl: (id: string) => string): RpcService {
  return {
    async CreateArtifact(body) {
      const { workflow_run_backend_id: run, name } = parseRequest(namedRequest, body);
      const id = store.idOf(run, name);
      if (!(await store.reserve(id))) {
        throw new RpcError("already_exists", "an artifact with this name already exists on the workflow run");
      }
      return { ok: true, signed_upload_url: signedUrl(id) };
    },

    async FinalizeArtifact(body) {
      const { name, size, hash, ...ids } = parseRequest(finalizeRequest, body);
      const { workflow_run_backend_id: run, workflow_job_run_backend_id: job } = ids;
      const id = store.idOf(run, name);
      if ((await store.blob(id).size()) !== size) throw new RpcError("not_found", `no artifact ${name}`);
      const artifact = await store.publish(id, { run, job, name, size, digest: hash });
      return { ok: true, artifact_id: String(artifact.number) };
    },

    async ListArtifacts(body) {
      const { workflow_run_backend_id: run, name_filter: name } = parseRequest(listRequest, body);
      const listed = (await store.list()).filter(
        ({ details }) => details.run === run && (name === undefined || details.name === name),
      );
      return {
        artifacts: listed.map(({ number, details }) => ({
          workflow_run_backend_id: details.run,
          workflow_job_run_backend_id: details.job,
          database_id: String(number),
          name: details.name,
          size: String(details.size),
          digest: details.digest,
        })),
      };
    },

    async GetSignedArtifactURL(body) {
      const { workflow_run_backend_id: run, name } = parseRequest(namedRequest, body);
      return { signed_url: signedUrl(store.idOf(run, name)) };
    },
  };
}
