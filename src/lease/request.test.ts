import { describe, expect, it } from 'vitest';
import { LeaseBench, must, settings } from '../../test/support/lease.ts';
import type { SlotRequest } from './policies/slot-request.ts';
import { exceedsSite, type Group, malformed, unknownParts, withDefaults } from './request.ts';
import type { PoolSize } from './settings.ts';

const group = (name: string, count = 1, more: Partial<Group> = {}): Group => ({
  name,
  image: 'mini',
  count,
  memoryMiB: 256,
  cpus: 1,
  networks: ['private'],
  roles: [],
  ...more,
});

describe('groups that cannot be as they are', () => {
  it.each<[string, readonly Group[], RegExp | undefined]>([
    ['a network twice', [group('a', 1, { networks: ['private', 'private'] })], /names a network twice/],
    ['two networks', [group('a', 1, { networks: ['private', 'public'] })], undefined],
    ['the longest name', [group('a'.repeat(29))], undefined],
    ['one that is longer', [group('a'.repeat(30))], /too long/],
    ['the longest name with ten VMs', [group('a'.repeat(29), 10)], undefined],
    ['with eleven', [group('a'.repeat(29), 11)], /too long/],
    ['the most VMs', [group('a', 4_096)], undefined],
    ['one more', [group('a', 4_096), group('b')], /1 to 4096 VMs; this one asks for 4097/],
    ['none', [], /this one asks for 0/],
    ['the name of its last VM', [group('v', 12), group('v-11')], /name of a VM of group v:/],
    ['the name of no VM of it', [group('v', 12), group('v-12')], undefined],
    ['a number with a zero before it', [group('v', 12), group('v-01')], undefined],
    ['a number within a word', [group('v', 12), group('v-1a')], undefined],
    ['a word before the number', [group('v', 12), group('v-a1')], undefined],
    ['another name with the number', [group('v', 12), group('w-1')], undefined],
    ['only the dash', [group('v', 12), group('v-x')], undefined],
  ])('%s', (_what, groups, message) => {
    const refusal = malformed(groups);
    if (message === undefined) expect(refusal).toBeUndefined();
    else
      expect(refusal).toMatchObject({
        code: 'invalid_request',
        message: expect.stringMatching(message) as string,
      });
  });

  it('may be none yet where they come later', () => {
    expect(malformed([], true)).toBeUndefined();
    expect(malformed([group('a', 4_097)], true)).toMatchObject({ code: 'invalid_request' });
  });
});

describe('what the site does not have', () => {
  it('is told with what it has', () => {
    const networks = unknownParts([group('a', 1, { networks: ['dmz'] })], settings);
    expect(networks).toMatchObject({ code: 'network_unknown', hint: 'it has: public, private' });
    const bare = { ...settings, images: [], networks: [] };
    expect(unknownParts([group('a')], bare)?.hint).toBe('it has no images at all');
    const none = { ...settings, networks: [] };
    expect(unknownParts([group('a')], none)?.hint).toBe('it has no networks at all');
    expect(unknownParts([group('a', 1, { memoryMiB: 32 })], settings)).toBeUndefined();
    expect(unknownParts([group('a', 1, { memoryMiB: 31 })], settings)).toMatchObject({
      code: 'invalid_request',
    });
  });

  it('is not what a request leaves open', () => {
    const { networks, roles, ...open } = group('a');
    expect(withDefaults(open, settings)).toEqual({ ...open, networks, roles });
    expect(withDefaults({ ...open, networks: [], roles: ['ce'] }, settings)).toMatchObject({
      networks: [],
      roles: ['ce'],
    });
  });
});

describe('more than the site has', () => {
  const site = must(settings.site);
  const slot: SlotRequest = { nodesWanted: 16, memoryMiBPerNode: 8_192, cpusPerNode: 4, walltimeMs: 1 };
  const over = (
    change: Partial<SlotRequest>,
    size: Partial<PoolSize> = {},
    durationMs = 1,
  ): string | undefined =>
    exceedsSite({ ...slot, ...change }, durationMs, { ...settings, site: { ...site, ...size } })?.message;
  const sizes = [
    { nodes: 2, memoryMiB: 8_192, cpus: 4 },
    { nodes: 14, memoryMiB: 4_096, cpus: 8 },
  ] as unknown as PoolSize['sizes'];

  it.each<[string, Partial<SlotRequest>, Partial<PoolSize>, string | undefined]>([
    ['all of it', {}, {}, undefined],
    ['a node', { nodesWanted: 17 }, {}, '17 VMs asked for, one per node; this site has 16 nodes'],
    ['two, of one', { nodesWanted: 2 }, { nodes: 1 }, '2 VMs asked for, one per node; this site has 1 node'],
    [
      'a MiB',
      { memoryMiBPerNode: 8_193 },
      {},
      '8193 MiB needed on a node, with what the VMM takes beside its guests and 0 MiB for the pilot; a node of this site has 8192 MiB',
    ],
    ['a processor', { cpusPerNode: 5 }, {}, '5 processors asked for in one VM; a node of this site has 4'],
    ['nothing: as many large nodes as there are', { nodesWanted: 2 }, { sizes }, undefined],
    [
      'a large node',
      { nodesWanted: 3 },
      { sizes },
      "3 nodes with 8192 MiB and 4 processors each needed; 2 of this site's nodes are that large (2 × 8192 MiB, 4 processors; 14 × 4096 MiB, 8 processors)",
    ],
    [
      'nothing: small nodes',
      { nodesWanted: 16, memoryMiBPerNode: 4_096, cpusPerNode: 4 },
      { sizes },
      undefined,
    ],
    [
      'nodes that have both much memory and many processors',
      { nodesWanted: 1, memoryMiBPerNode: 8_192, cpusPerNode: 5 },
      { sizes, cpusPerNode: 8 },
      "1 node with 8192 MiB and 5 processors each needed; 0 of this site's nodes are that large (2 × 8192 MiB, 4 processors; 14 × 4096 MiB, 8 processors)",
    ],
  ])('by %s', (_what, change, size, message) => {
    expect(over(change, size)).toBe(message);
  });

  it('by time: of the site, and of the batch queue, if it has a longest job', () => {
    expect(over({}, {}, settings.maxDurationMs)).toBeUndefined();
    expect(over({}, {}, settings.maxDurationMs + 1)).toContain('a lease here lasts at most 1d');
    expect(over({}, { maxWalltimeMs: 60_000 }, 60_000)).toBeUndefined();
    expect(over({}, { maxWalltimeMs: 60_000 }, 60_001)).toContain("the batch queue's longest job is 1m");
    expect(over({}, { maxWalltimeMs: null }, settings.maxDurationMs)).toBeUndefined();
  });

  it('by nodes, where several VMs share one', () => {
    const bench = new LeaseBench({ policy: { kind: 'pack', vmsPerNode: 2 } });
    const groups = [{ name: 'node', image: 'mini', count: 34, memoryMiB: 256, cpus: 1 }];
    expect(bench.refusal(bench.createInput({ groups })).message).toBe(
      '17 nodes needed; this site has 16 nodes',
    );
  });
});
