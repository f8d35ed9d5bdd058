import { nextTurn } from '../../platform/clock.ts';
import { ControlError } from '../control.ts';
import { type AdaptedNode, adaptationContract } from './adaptation.contract.ts';
import type { NodeAdaptation } from './adaptation.ts';

/** The contract, held against a member that takes something: memory of a pool that all slots share. */

const wholeMiB = 200;

function pooledNode(): AdaptedNode {
  const taken = new Map<string, number>();
  const leftMiB = (): number => [...taken.values()].reduce((left, each) => left - each, wholeMiB);
  const of = (slot: string): NodeAdaptation => {
    // One after the other, as the helper does what it is asked.
    let last: Promise<void> = Promise.resolve();
    const then = (act: () => void): Promise<void> => {
      const done = last.then(nextTurn).then(act);
      last = done.catch(() => undefined);
      return done;
    };
    return {
      reserve: memoryMiB =>
        then(() => {
          if (taken.has(slot)) return;
          if (memoryMiB > leftMiB())
            throw new ControlError('memory_missing', `the node has ${leftMiB()} MiB left`);
          taken.set(slot, memoryMiB);
        }),
      restore: () => then(() => void taken.delete(slot)),
    };
  };
  return {
    of,
    snapshot: () => Promise.resolve(`${leftMiB()} MiB`),
    reservedFor: () => Promise.resolve([...taken.keys()].sort()),
    remove: () => Promise.resolve(),
  };
}

adaptationContract('of a pool', {
  make: () => Promise.resolve(pooledNode()),
  memoryMiB: 64,
  cpus: 1,
  takes: true,
});
