import type { NicPlan } from '../../protocol/plan.ts';
import { netmask, networkAddress } from './subnet.ts';

/** Files of one bridge's DHCP service, in a directory of the helper's. */
export interface DhcpFiles {
  /** One file per reservation; dnsmasq watches the directory (inotify), so that adding a VM restarts nothing. */
  readonly hosts: string;
  readonly pid: string;
  /** Whether an ordinary user can read `hosts`. If so dnsmasq gives up root, as it does by itself (it runs as nobody). */
  readonly readableByAll: boolean;
}

/**
 * dnsmasq(8) for one bridge: reservations only, no dynamic range, no DNS, no lease file (a reservation has nothing to remember). The
 * bridge has only its link-local address; `--shared-network` is what lets it serve the VMs' subnet all the same.
 * Without CAP_CHOWN it cannot give its log file to its user, as it does when root starts it: that
 * file is the node's /dev/null. It goes on all the same.
 * Option 121 (RFC 3442) brings the on-link route to the service address; as clients then ignore option 3, it repeats the default route.
 */
export function dnsmasqArguments(nic: NicPlan, files: DhcpFiles): [string, ...string[]] {
  const { bridge, gateway, dns, prefixLength } = nic;
  const subnet = networkAddress(nic.address, prefixLength);
  const routes = [
    `${bridge.serviceAddress}/32`,
    '0.0.0.0',
    ...(gateway === undefined ? [] : ['0.0.0.0/0', gateway]),
  ];
  return [
    'setpriv',
    ...['--bounding-set=-chown', '--', 'dnsmasq'],
    '--conf-file=/dev/null',
    '--port=0',
    `--interface=${bridge.name}`,
    '--bind-interfaces',
    '--except-interface=lo',
    `--dhcp-range=${subnet},static,${netmask(prefixLength)},infinite`,
    `--shared-network=${bridge.name},${subnet}`,
    `--dhcp-hostsdir=${files.hosts}`,
    '--leasefile-ro',
    dhcpMark(files.pid),
    '--dhcp-authoritative',
    ...(files.readableByAll ? [] : ['--user=root']),
    '--log-facility=/dev/null',
    `--dhcp-option=121,${routes.join(',')}`,
    `--dhcp-option=option:mtu,${bridge.mtu}`,
    `--dhcp-option=3${gateway === undefined ? '' : `,${gateway}`}`,
    `--dhcp-option=6${dns.length === 0 ? '' : `,${dns.join(',')}`}`,
  ];
}

/** The argument by which a dnsmasq is known to be ours, and that bridge's: its pid alone may be another's by now. */
export function dhcpMark(pidFile: string): string {
  return `--pid-file=${pidFile}`;
}

/** The line of one reservation. */
export function reservation(nic: NicPlan, hostname: string): string {
  return `${nic.mac},${nic.address},${hostname},infinite\n`;
}
