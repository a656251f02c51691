import { HttpClient } from "@actions/http-client";

/**
 * Returns the version of kind's latest release, from the redirect of its page on GitHub.
 *
 * @throws when GitHub does not answer in time
 */
export async function findLatestKind(): Promise<string> {
  const client = new HttpClient("kind-action", [], { allowRedirects: false, socketTimeout: 10_000 });
  const response = await client.head("https://github.com/kubernetes-sigs/kind/releases/latest");
  const version = /\/tag\/(v0\.\d+\.\d+)$/.exec(response.message.headers.location ?? "")?.[1];
  if (version === undefined)
    throw new Error(
      `GitHub did not redirect to the latest release of kind (status ${response.message.statusCode})`,
    );
  return version;
}
