#!/usr/bin/perl
# `tap.pl NAME`: a guest that is nothing but its interface. Sends the Ethernet frames that come on
# standard input, a line of hexadecimal digits each, and prints those that reach it in the same way.
# Says `ready` first, and ends with its input.

use strict;
use warnings;

$| = 1;
my ($name) = @ARGV;
# TUNSETIFF with IFF_TAP and IFF_NO_PI (linux/if_tun.h).
my $request = pack('a16 S x22', $name, 0x1002);
sysopen(my $tap, '/dev/net/tun', 2) or die "/dev/net/tun: $!";
ioctl($tap, 0x400454ca, $request) or die "TUNSETIFF: $!";
print "ready\n";
my $input = '';
while (1) {
    my $ready = '';
    vec($ready, fileno($_), 1) = 1 for $tap, \*STDIN;
    next if select($ready, undef, undef, undef) < 1;
    if (vec($ready, fileno($tap), 1)) {
        sysread($tap, my $frame, 65536) // die "read: $!";
        print unpack('H*', $frame), "\n";
    }
    next unless vec($ready, fileno(STDIN), 1);
    sysread(STDIN, $input, 65536, length $input) or exit 0;
    while ($input =~ s/^([0-9a-f]*)\n//) {
        syswrite($tap, pack('H*', $1)) // die "write: $!";
    }
}
