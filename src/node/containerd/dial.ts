import { Duplex } from "node:stream";
import type { Engine } from "../../docker/engine.ts";
import type { ExecStream } from "../../docker/exec-stream.ts";

/** Where containerd listens in a node. */
const socket = "/run/containerd/containerd.sock";

/**
 * Carries bytes between its own input and output and a socket, as soon as somebody listens there. Runs in the node under
 * perl, which Debian is never without (https://packages.debian.org/perl-base is essential), unlike socat or nc.
 */
const script = `
use strict;
use Socket;
my ($path, $seconds) = @ARGV;
socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "no socket: $!\\n";
my $until = time + $seconds;
until (connect($socket, sockaddr_un($path))) {
  die "nobody listens on $path: $!\\n" if time >= $until;
  select(undef, undef, undef, 0.05);
}
sub carry {
  my ($from, $to) = @_;
  while (sysread($from, my $bytes, 65536)) {
    my $done = 0;
    while ($done < length $bytes) {
      my $written = syswrite($to, $bytes, length($bytes) - $done, $done) or return;
      $done += $written;
    }
  }
}
my $up = fork // die "no process: $!\\n";
if ($up == 0) {
  carry(\\*STDIN, $socket);
  shutdown($socket, 1);
  exit;
}
carry($socket, \\*STDOUT);
kill "TERM", $up;
`;

/** A connection to the containerd of a node. */
export interface ContainerdStream {
  readonly stream: Duplex;
  /** What the node said of a connection that ended, if anything. */
  stderr(): string;
  close(): void;
}

/**
 * Connects to the containerd of a node, once it listens.
 *
 * @param deadline milliseconds, after which a containerd that does not listen is given up on: the stream ends
 */
export async function dialContainerd(
  engine: Engine,
  node: string,
  deadline: number,
): Promise<ContainerdStream> {
  const seconds = String(Math.ceil(deadline / 1000));
  const program = await engine.containers.exec(node, ["perl", "-e", script, socket, seconds]);
  let complaint = "";
  program.stderr.setEncoding("utf8");
  program.stderr.on("data", (text: string) => {
    complaint = (complaint + text).slice(-longestComplaint);
  });
  return { stream: streamOf(program), stderr: () => complaint.trim(), close: () => program.close() };
}

const longestComplaint = 2_000;

function streamOf({ stdin, stdout }: ExecStream): Duplex {
  return Duplex.from({ readable: stdout, writable: stdin });
}
