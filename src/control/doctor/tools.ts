import type { ProcessRunner } from '../../platform/process.ts';
import { firstLine } from '../first-line.ts';
import { type Check, failure, good } from '../../protocol/check.ts';

/** What a real VM needs of its node besides QEMU: programs that control or the helper runs. */
const tools: readonly (readonly [program: string, purpose: string, debianPackage: string])[] = [
  ['qemu-img', "VMs' disks", 'qemu-utils'],
  ['genisoimage', "VMs' seeds", 'genisoimage'],
  ['setpriv', 'ending VMs with their job, and giving QEMU no more rights than it has', 'util-linux'],
  ['prlimit', 'limits of the tools that read images', 'util-linux'],
  ['flock', 'one change of the node at a time', 'util-linux'],
  ['ip', 'bridges and taps', 'iproute2'],
  ['bridge', 'VXLAN peers', 'iproute2'],
  ['nft', "VMs' filters", 'nftables'],
  ['dnsmasq', "VMs' addresses (DHCP)", 'dnsmasq-base'],
];

/** Looks for each program by running it, so that it says its version and changes nothing. */
export function checkTools(run: ProcessRunner['run']): Promise<readonly Check[]> {
  return Promise.all(
    tools.map(async ([program, purpose, debianPackage]) => {
      const flag = debianPackage === 'iproute2' ? '-V' : '--version';
      const { ok, line } = await firstLine([program, flag], run);
      if (ok) return good(program, line);
      const trouble = `${line}: it is needed for ${purpose}`;
      return failure(program, trouble, `install it (Debian: ${debianPackage})`);
    }),
  );
}
