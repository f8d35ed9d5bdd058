import type { ProcessRunner } from '../../platform/process.ts';
import { firstLine } from '../first-line.ts';
import { type Check, failure, good } from '../../protocol/check.ts';

/** A program that control or the helper runs. */
interface Tool {
  readonly name: string;
  /** Prints something and changes nothing. */
  readonly argv: readonly [string, ...string[]];
  readonly purpose: string;
  readonly debianPackage: string;
}

/** What a real VM needs of its node besides QEMU. */
const tools: readonly Tool[] = [
  { name: 'qemu-img', argv: ['qemu-img', '--version'], purpose: "VMs' disks", debianPackage: 'qemu-utils' },
  {
    name: 'genisoimage',
    argv: ['genisoimage', '--version'],
    purpose: "VMs' seeds",
    debianPackage: 'genisoimage',
  },
  {
    name: 'setpriv',
    argv: ['setpriv', '--version'],
    purpose: 'ending VMs with their job, and giving QEMU no more rights than it has',
    debianPackage: 'util-linux',
  },
  {
    name: 'prlimit',
    argv: ['prlimit', '--version'],
    purpose: 'limits of the tools that read images',
    debianPackage: 'util-linux',
  },
  {
    name: 'flock',
    argv: ['flock', '--version'],
    purpose: 'one change of the node at a time',
    debianPackage: 'util-linux',
  },
  { name: 'ip', argv: ['ip', '-V'], purpose: 'bridges and taps', debianPackage: 'iproute2' },
  { name: 'bridge', argv: ['bridge', '-V'], purpose: 'VXLAN peers', debianPackage: 'iproute2' },
  { name: 'nft', argv: ['nft', '--version'], purpose: "VMs' filters", debianPackage: 'nftables' },
  {
    name: 'dnsmasq',
    argv: ['dnsmasq', '--version'],
    purpose: "VMs' addresses (DHCP)",
    debianPackage: 'dnsmasq-base',
  },
];

/** Looks for each program by running it. */
export function checkTools(run: ProcessRunner['run']): Promise<readonly Check[]> {
  return Promise.all(tools.map(tool => checkTool(tool, run)));
}

async function checkTool(
  { name, argv, purpose, debianPackage }: Tool,
  run: ProcessRunner['run'],
): Promise<Check> {
  const words = await firstLine(argv, run);
  return words.ok
    ? good(name, words.line)
    : failure(name, `${words.line}: it is needed for ${purpose}`, `install it (Debian: ${debianPackage})`);
}
