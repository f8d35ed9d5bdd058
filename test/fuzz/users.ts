import { type BareNodes, helperAs } from '../support/node.ts';
import { writePolicy } from './policy.ts';

/**
 * What starts the helper of an ordinary user's slot on the first node. Nobody on this machine has
 * the ids that are used here.
 */
export function helperOf(nodes: BareNodes, uid: number, slotId: string): readonly [string, ...string[]] {
  const [enter = '', ...argv] = helperAs(nodes, uid, writePolicy(nodes.directory));
  return [enter, ...argv, '--node', 'n01', '--slot', slotId];
}
