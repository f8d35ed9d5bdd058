import { readFileSync } from 'node:fs';

/**
 * Whether this network namespace has the interface. Read from /proc/net/dev, which is the reader's namespace's; /sys/class/net is that of
 * whoever mounted /sys, which inside a node's namespace may be another (network_namespaces(7)).
 */
export function hasInterface(name: string): boolean {
  return readFileSync('/proc/self/net/dev', 'utf8')
    .split('\n')
    .some(line => line.trim().startsWith(`${name}:`));
}
