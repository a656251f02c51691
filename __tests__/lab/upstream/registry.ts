import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import { isIPv4 } from "node:net";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { docker } from "../../e2e/machine.ts";
import { Api, type Content, parsePath } from "./api.ts";
import { Bandwidth, type Clock, realClock } from "./bandwidth.ts";
import { answeredByFault, delayOf, type Fault } from "./faults.ts";
import { type Images, pieceSize } from "./images.ts";
import { refuse } from "./refusal.ts";
import { CountedTraffic, type Traffic } from "./traffic.ts";

export interface UpstreamOptions {
  readonly images: Images;
  /** Of all content together, in bytes a second: 20 MB if not given. */
  readonly bandwidth?: number;
  /** Before each answer, in milliseconds: 50 if not given. */
  readonly latency?: number;
  /** Of this machine, to listen on: if not given, loopback, and where containers of any Docker network find it. */
  readonly addresses?: readonly string[];
  /** Those that every request must have. If not given, none need any. */
  readonly credentials?: Credentials;
  readonly faults?: readonly Fault[];
  readonly clock?: Clock;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** A container registry that is some way off, as those of the internet are: it speaks plain HTTP, and is read only. */
export interface Upstream extends AsyncDisposable {
  /** The same on all addresses. */
  readonly port: number;
  readonly addresses: readonly string[];
  readonly images: Images;
  readonly traffic: Traffic;
  /** @param host what a client calls this machine, if it is not on it: one of the addresses */
  url(host?: string): string;
  /** From now on fails in these ways. Without any: works again. */
  inject(...faults: readonly Fault[]): void;
  close(): Promise<void>;
}

export async function startUpstream(options: UpstreamOptions): Promise<Upstream> {
  const { images, latency = 50, credentials, clock = realClock } = options;
  const bandwidth = new Bandwidth(options.bandwidth ?? 20_000_000, clock);
  const addresses = options.addresses ?? ["127.0.0.1", await bridgeGateway()];
  const api = new Api(images);
  const traffic = new CountedTraffic();
  const closing = new AbortController();
  let faults = options.faults ?? [];

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname: path } = new URL(request.url ?? "/", "http://upstream");
    const wanted = parsePath(path);
    traffic.asked(request.method ?? "", path, wanted);
    const wait = latency + delayOf(faults);
    if (wait > 0) await clock.sleep(wait, closing.signal);
    if (answeredByFault(faults, request, response)) return;
    response.setHeader("docker-distribution-api-version", "registry/2.0");
    if (!isAllowed(request, credentials)) {
      response.setHeader("www-authenticate", 'Basic realm="upstream"');
      return refuse(response, 401, "UNAUTHORIZED");
    }
    const content = api.answer(wanted, { path, request, response });
    if (content === undefined) return;
    const truncated = wanted?.kind === "blobs" && faults.includes("blob-truncated");
    const sent = truncated ? firstHalf(content) : content;
    const pieces = paced(images.read(sent.digest, sent), bandwidth, traffic, closing.signal);
    await pipeline(pieces, response, { end: !truncated });
    if (truncated) response.destroy();
  };
  const { servers, port } = await listen(addresses, (request, response) => {
    // A client that went away is none of our business; whoever still waits must learn that nothing more will come.
    answer(request, response).catch(() => response.destroy());
  });

  const close = async () => {
    closing.abort();
    await Promise.all(servers.map(end));
  };
  return {
    port,
    addresses,
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
  content: Readable,
  bandwidth: Bandwidth,
  traffic: CountedTraffic,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const chunks: AsyncIterable<Buffer> = content;
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += pieceSize) {
      const next = chunk.subarray(start, start + pieceSize);
      await bandwidth.take(next.length, signal);
      traffic.sent(next.length);
      yield next;
    }
  }
}

const firstHalf = ({ digest, start, end }: Content): Content => ({
  digest,
  start,
  end: start + Math.floor((end - start) / 2),
});

function isAllowed({ headers }: IncomingMessage, credentials: Credentials | undefined): boolean {
  if (credentials === undefined) return true;
  const { username, password } = credentials;
  return headers.authorization === `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
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
        port = portOf(server);
      }
      return { servers, port };
    } catch (error) {
      await Promise.all(servers.map(end));
      const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
      if (!taken || attempt === 10) throw error;
    }
  }
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the upstream has no port");
  return address.port;
}

async function end(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
