import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { isIPv4 } from "node:net";
import { pipeline } from "node:stream/promises";
import * as z from "zod";
import { docker } from "../../e2e/machine.ts";
import { Api, refuse } from "./api.ts";
import { Bandwidth, type Clock, realClock } from "./bandwidth.ts";
import { answeredByFault, delayOf, type Fault } from "./faults.ts";
import { type Images, pieceSize } from "./images.ts";
import { Traffic } from "./traffic.ts";

export interface UpstreamOptions {
  readonly images: Images;
  /** Of all content together, in bytes a second: 20 MB if not given. */
  readonly bandwidth?: number;
  /** Before each answer, in milliseconds: 50 if not given. */
  readonly latency?: number;
  /** Of this machine, to listen on: if not given, loopback, and where containers of any Docker network find it. */
  readonly addresses?: readonly string[];
  /** Those that every request must have. If not given, none need any. */
  readonly credentials?: { readonly username: string; readonly password: string };
  readonly faults?: readonly Fault[];
  readonly clock?: Clock;
}

/** A container registry that is some way off, as those of the internet are: it speaks plain HTTP, and is read only. */
export interface Upstream extends AsyncDisposable {
  /** The same on all addresses. */
  readonly port: number;
  readonly images: Images;
  readonly traffic: Traffic;
  /** @param host what a client calls this machine, if it is not on it: one of the addresses */
  url(host?: string): string;
  /** From now on fails in these ways. Without any: works again. */
  inject(...faults: readonly Fault[]): void;
  close(): Promise<void>;
}

export async function startUpstream(options: UpstreamOptions): Promise<Upstream> {
  const { images, latency = 50, credentials: known, clock = realClock } = options;
  const login = known && Buffer.from(`${known.username}:${known.password}`).toString("base64");
  const bandwidth = new Bandwidth(options.bandwidth ?? 20_000_000, clock);
  const addresses = options.addresses ?? ["127.0.0.1", await bridgeGateway()];
  const api = new Api(images);
  const traffic = new Traffic();
  const closing = new AbortController();
  let faults = options.faults ?? [];

  const { servers, port } = await listen(addresses, async (request, response) => {
    try {
      const { pathname: path } = new URL(request.url ?? "/", "http://upstream");
      traffic.add(request.method ?? "", path);
      const wait = latency + delayOf(faults);
      if (wait > 0) await clock.sleep(wait, closing.signal);
      if (answeredByFault(faults, request, response)) return;
      response.setHeader("docker-distribution-api-version", "registry/2.0");
      if (login !== undefined && request.headers.authorization !== `Basic ${login}`) {
        response.setHeader("www-authenticate", 'Basic realm="upstream"');
        return refuse(response, 401, "UNAUTHORIZED");
      }
      const content = api.answer(path, request, response);
      if (content === undefined) return;
      const { digest, start, end } = content;
      const truncated = path.includes("/blobs/") && faults.includes("blob-truncated");
      const last = truncated ? start + Math.floor((end - start) / 2) : end;
      const chunks: AsyncIterable<Buffer> = images.read(digest, { start, end: last });
      await pipeline(paced(chunks, bandwidth, closing.signal), response, { end: !truncated });
      if (truncated) response.destroy();
    } catch {
      // A client that went away is none of our business; whoever still waits must learn that nothing more will come.
      response.destroy();
    }
  });

  const close = async () => {
    closing.abort();
    await Promise.all(servers.map(end));
  };
  return {
    port,
    images,
    traffic,
    url: (host = "127.0.0.1") => `http://${host}:${port}`,
    inject: (...active) => {
      faults = active;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function* paced(
  chunks: AsyncIterable<Buffer>,
  bandwidth: Bandwidth,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += pieceSize) {
      const next = chunk.subarray(start, start + pieceSize);
      await bandwidth.take(next.length, signal);
      yield next;
    }
  }
}

/**
 * The address of this machine on Docker's default network. Containers of other networks find it there as well, and
 * nobody outside this machine does.
 */
export async function bridgeGateway(): Promise<string> {
  const [addresses = ""] = await docker(
    ...["network", "inspect", "bridge"],
    ...["--format", "{{range .IPAM.Config}}{{.Gateway}} {{.Subnet}} {{end}}"],
  );
  // Docker 20.10 does not say the gateway of the network when it has just made it, which is the subnet's first address.
  const gateway = addresses
    .split(" ")
    .map((address) => address.replace(/\.0\/\d+$/, ".1"))
    .find(isIPv4);
  if (gateway === undefined) throw new Error("Docker's default network has no gateway with an IPv4 address.");
  return gateway;
}

/** Listens on several addresses, on a port that is free on all of them. */
async function listen(
  addresses: readonly string[],
  listener: RequestListener,
): Promise<{ servers: readonly Server[]; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const servers: Server[] = [];
    let port = 0;
    try {
      for (const address of addresses) {
        // Go's clients keep connections for 90 s, and a request into one that is just being closed fails.
        const server = createServer({ keepAliveTimeout: 100_000 }, listener);
        server.listen(port, address);
        await once(server, "listening");
        servers.push(server);
        port = z.object({ port: z.number() }).parse(server.address()).port;
      }
      return { servers, port };
    } catch (error) {
      await Promise.all(servers.map(end));
      const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
      if (!taken || attempt === 10) throw error;
    }
  }
}

async function end(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
