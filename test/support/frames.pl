#!/usr/bin/perl
# Sends Ethernet frames as they are: `frames.pl tap NAME` as the owner of a tap would, instead of a
# guest; `frames.pl raw NAME` from a raw socket, in a guest. Frames come on standard input, a line
# of hexadecimal digits each; the last one must be an ARP request, whose answer proves that all
# before it have been seen. Exit code 3 when no answer comes.
# No module, not even strict: a guest has nothing but the program perl itself.

my ($how, $name) = @ARGV;
my $port;
my $send;
if ($how eq 'tap') {
    # TUNSETIFF with IFF_TAP and IFF_NO_PI (linux/if_tun.h).
    sysopen($port, '/dev/net/tun', 2) or die "/dev/net/tun: $!";
    ioctl($port, 0x400454ca, pack('a16 S x22', $name, 0x1002)) or die "TUNSETIFF: $!";
    $send = sub { syswrite($port, $_[0]) // die "write: $!" };
} else {
    # AF_PACKET, SOCK_RAW, ETH_P_ALL (packet(7)).
    socket($port, 17, 3, unpack('S', pack('n', 3))) or die "socket: $!";
    my $request = pack('a16 x24', $name);
    ioctl($port, 0x8933, $request) or die "SIOCGIFINDEX: $!";
    my (undef, $index) = unpack('a16 i', $request);
    my $to = pack('S n i S C C a8', 17, 3, $index, 0, 0, 6, '');
    $send = sub { send($port, $_[0], 0, $to) // die "send: $!" };
}
while (my $line = <STDIN>) {
    chomp $line;
    $send->(pack('H*', $line));
}
my $deadline = time + 20;
while (time < $deadline) {
    my $ready = '';
    vec($ready, fileno($port), 1) = 1;
    next unless select($ready, undef, undef, 1);
    my $frame;
    if ($how eq 'tap') { sysread($port, $frame, 65536) } else { recv($port, $frame, 65536, 0) }
    # An ARP answer.
    exit 0 if substr($frame, 12, 2) eq "\x08\x06" && substr($frame, 20, 2) eq "\x00\x02";
}
exit 3;
