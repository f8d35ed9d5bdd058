import { expect, it } from 'vitest';
import { LeaseBench } from '../../test/support/lease.ts';
import { systemRandom } from '../platform/random.ts';
import type { Commit } from './store/store.ts';
import { Secrets } from './secrets.ts';

it('a slot whose commit has failed is given a secret again when the same is asked once more (seed 6348: its job was never submitted)', () => {
  const secrets = new Secrets(systemRandom, () => ({ privateKey: 'private', publicKey: 'public' }));
  const bench = new LeaseBench();
  const input = bench.createInput({
    groups: [{ name: 'node', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 }],
    durationMs: 600_000,
  });
  const decision = bench.step(input);
  const slotKey = `slot:${bench.slotId}`;
  const keysOf = (): readonly string[] => secrets.companions(input, decision).secrets.map(({ key }) => key);
  expect(keysOf()).toContain(slotKey);
  secrets.takenBack();
  expect(secrets.slot(bench.slotId)).toBeUndefined();
  const again = secrets.companions(input, decision);
  expect(again.secrets.map(({ key }) => key)).toContain(slotKey);
  secrets.committed({ ...decision, ...again } as unknown as Commit);
  expect(secrets.slot(bench.slotId)).toBeDefined();
  expect(keysOf()).not.toContain(slotKey);
});
