# usage: dial-containerd.pl SOCKET SECONDS
# Relays standard input and output to a Unix socket, once it accepts connections. Every Debian has perl
# (https://packages.debian.org/perl-base is essential), unlike socat or nc.
use strict;
use warnings;
use Socket;
my ($path, $seconds) = @ARGV;
socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die "could not create a socket: $!\n";
my $until = time + $seconds;
until (connect($socket, sockaddr_un($path))) {
  die "could not connect to $path: $!\n" if time >= $until;
  select(undef, undef, undef, 0.05);
}
sub relay {
  my ($from, $to) = @_;
  while (sysread($from, my $bytes, 65536)) {
    my $done = 0;
    while ($done < length $bytes) {
      my $written = syswrite($to, $bytes, length($bytes) - $done, $done) or return;
      $done += $written;
    }
  }
}
my $sender = fork // die "could not fork: $!\n";
if ($sender == 0) {
  relay(\*STDIN, $socket);
  shutdown($socket, 1);
  exit;
}
relay($socket, \*STDOUT);
kill "TERM", $sender;
