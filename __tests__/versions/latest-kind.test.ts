import { createServer as createWebServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { findLatestKind } from "../../src/versions/latest-kind.ts";
import { makeCertificate } from "../fixtures/certificate.ts";
import { listen, unusedPort } from "../fixtures/web-server.ts";

describe("findLatestKind", () => {
  /** Starts a proxy and a server that responds as github.com. @param location the target of its redirect */
  async function fakeGithub(location: string | undefined): Promise<void> {
    const { certificate, key } = makeCertificate("DNS:github.com");
    const trusted = getCACertificates("default");
    setDefaultCACertificates([...trusted, certificate]);
    onTestFinished(() => setDefaultCACertificates(trusted));
    const github = createSecureServer({ cert: certificate, key }, (request, response) => {
      const isLatest = request.url === "/kubernetes-sigs/kind/releases/latest";
      response.writeHead(isLatest && location ? 302 : 404, location === undefined ? {} : { location }).end();
    });
    const port = await listen(github);
    const proxy = createWebServer();
    proxy.on("connect", (_, socket, head) => {
      const upstream = connect(port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        upstream.write(head);
        socket.pipe(upstream).pipe(socket);
      });
      upstream.on("error", () => socket.destroy());
      socket.on("error", () => upstream.destroy());
    });
    useProxy(await listen(proxy));
  }

  function useProxy(port: number): void {
    vi.stubEnv("https_proxy", `http://127.0.0.1:${port}`);
    vi.stubEnv("no_proxy", "");
    vi.stubEnv("NO_PROXY", "");
    onTestFinished(() => void vi.unstubAllEnvs());
  }

  it("returns the version that GitHub redirects to", async () => {
    await fakeGithub("https://github.com/kubernetes-sigs/kind/releases/tag/v0.34.1");
    expect(await findLatestKind()).toBe("v0.34.1");
  });

  it.each([
    undefined,
    "https://github.com/login",
    "https://github.com/kubernetes-sigs/kind/releases/tag/nightly",
  ])("rejects another response of GitHub: %s", async (location) => {
    await fakeGithub(location);
    await expect(findLatestKind()).rejects.toThrow(
      /^GitHub did not redirect to the latest release of kind \(status \d{3}\)$/,
    );
  });

  it("rejects if GitHub cannot be reached", async () => {
    useProxy(await unusedPort());
    await expect(findLatestKind()).rejects.toThrow("ECONNREFUSED");
  });
});
