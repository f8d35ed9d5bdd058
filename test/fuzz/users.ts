import { pause, systemClock } from '../../src/platform/clock.ts';
import { type BareNodes, startBareNodes } from '../support/node.ts';
import { writePolicy } from './policy.ts';

/** What starts the helper of an ordinary user's slot on the first node. Nobody on this machine has the ids that are used here. */
export function helperOf(nodes: BareNodes, uid: number, slotId: string): readonly [string, ...string[]] {
  const [enter, where = '', ...program] = nodes.helperArgv(0);
  const policy = writePolicy(nodes.directory);
  const caller = ['env', `SUDO_UID=${uid}`, `SUDO_GID=${uid}`] as const;
  return [enter, where, ...caller, ...program, '--policy', policy, '--node', 'n01', '--slot', slotId];
}

/** A node whose kernel is sure of its own IPv6 addresses, which takes it a second: nothing of it changes by itself any more. */
export async function quietNodes(): Promise<BareNodes> {
  const nodes = await startBareNodes(1);
  while ((await nodes.snapshot(0)).includes('tentative')) await pause(systemClock, 100);
  return nodes;
}
