import { readFileSync } from 'node:fs';

/**
 * Names of the interfaces of this process's own network namespace. Not from /sys/class/net: that shows the namespace of whoever
 * mounted /sys, which is another one wherever a node is a namespace that was entered by nsenter(1).
 */
export function interfaceNames(): ReadonlySet<string> {
  return parseInterfaceNames(readFileSync('/proc/self/net/dev', 'utf8'));
}

/** The names in the text of /proc/net/dev (proc(5)): two lines of heading, then one line an interface. */
export function parseInterfaceNames(text: string): ReadonlySet<string> {
  return new Set(text.split('\n').flatMap(line => /^\s*([^\s:|]+):/.exec(line)?.[1] ?? []));
}
