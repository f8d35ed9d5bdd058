import { expect, it } from 'vitest';
import { LeaseBench } from '../../../test/support/lease.ts';
import { systemRandom } from '../../platform/random.ts';
import type { Commit } from '../store/store.ts';
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
  secrets.rollBack();
  expect(secrets.slot(bench.slotId)).toBeUndefined();
  const again = secrets.companions(input, decision);
  expect(again.secrets.map(({ key }) => key)).toContain(slotKey);
  secrets.committed({ ...decision, ...again } as unknown as Commit);
  expect(secrets.slot(bench.slotId)).toBeDefined();
  expect(keysOf()).not.toContain(slotKey);
});

it('what a workspace has is what it was made with, with what was added, until it has ended', () => {
  let made = 0;
  const secrets = new Secrets(systemRandom, () => ({ privateKey: `private ${(made += 1)}`, publicKey: '' }));
  const bench = new LeaseBench();
  const group = { name: 'node', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 };
  const input = bench.createInput({ groups: [group], durationMs: 600_000 });
  const decision = bench.step(input);
  const { workspaceId } = input as { readonly workspaceId: string };
  const key = `workspace:${workspaceId}`;
  const commit = (given: Pick<Commit, 'secrets' | 'forgotten'>): void =>
    secrets.committed({ ...decision, ...given } as unknown as Commit);
  const staged = secrets.companions(input, decision);
  expect([staged.forgotten, secrets.workspace(workspaceId)]).toEqual([[], undefined]);
  // Two that are added in one commit stand on each other.
  const added = ['b', 'c'].map(name => {
    const add = { type: 'add', workspaceId, groups: [{ ...group, name }] } as unknown as typeof input;
    return secrets.companions(add, decision).secrets.filter(each => each.key === key);
  });
  commit({ secrets: [...staged.secrets, ...added.flat()], forgotten: [] });
  const kept = secrets.workspace(workspaceId);
  expect(kept?.request.groups.map(({ name }) => name)).toEqual(['node', 'b', 'c']);
  expect([kept?.clusterKey.privateKey, Object.values(kept?.hostKeys ?? {}).length]).toEqual(['private 1', 1]);
  expect(Object.keys(kept?.hostKeys ?? {})).toEqual(['node-0']);
  // The same request once more makes nothing new, nor does what is added to nothing.
  const nothing = { ...decision, workspaces: [], vms: [] };
  expect(secrets.companions(input, nothing).secrets.map(each => each.key)).toEqual([]);
  const ended = decision.workspaces.map(each => ({ ...each, state: 'ended' as const }));
  const end = secrets.companions(
    { type: 'clock', slotId: 'x' },
    { ...nothing, workspaces: ended, slots: [] },
  );
  expect(end).toEqual({ secrets: [], forgotten: [key] });
  commit(end);
  expect(secrets.workspace(workspaceId)).toBeUndefined();
  expect(secrets.slot(bench.slotId)).toMatch(/^[\w-]{43}$/);
});
