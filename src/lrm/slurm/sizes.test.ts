import { describe, expect, it } from 'vitest';
import { sizesOf } from './sizes.ts';

/**
 * Rows as `askSizes` has them: partition, available, longest job, nodes, memory, processors, state,
 * features.
 */
const row = (
  partition: string,
  nodes: string,
  memory: number,
  cpus: number,
  state = 'idle',
  features = '(null)',
  time = '1:00:00',
  available = 'up',
): readonly string[] => [partition, available, time, nodes, String(memory), String(cpus), state, features];

const rows = [
  row('debug*', 'n[01-03]', 4_000, 2, 'idle', 'kvm'),
  row('debug*', 'n04', 4_000, 2, 'mixed', 'kvm,ib'),
  row('debug*', 'big[1-2]', 64_000, 16, 'idle', 'kvm,ib'),
  row('long', 'n[02-05]', 4_000, 2, 'idle', 'kvm', '2-12:30:00'),
  row('huge', 'h1', 512_000, 64, 'idle', '(null)', 'infinite'),
];

describe('what a partition of Slurm has', () => {
  it('site S2 is every size of node, with how many there are and how many are idle', () => {
    expect(sizesOf(rows, { options: [] })).toEqual({
      nodes: 6,
      idleNodes: 5,
      memoryMiBPerNode: 64_000,
      cpusPerNode: 16,
      maxWalltimeMs: 3_600_000,
      sizes: [
        { nodes: 2, idleNodes: 2, memoryMiB: 64_000, cpus: 16 },
        { nodes: 4, idleNodes: 3, memoryMiB: 4_000, cpus: 2 },
      ],
    });
  });

  it('report 5 of several partitions is all of their nodes, each once, and the longest of their limits', () => {
    expect(sizesOf(rows, { queue: 'debug,long', options: [] })).toMatchObject({
      nodes: 7,
      idleNodes: 7,
      maxWalltimeMs: (60 * 60 + 30) * 60_000,
    });
    expect(sizesOf(rows, { queue: 'debug,huge', options: [] })).not.toHaveProperty('maxWalltimeMs');
    expect(() => sizesOf(rows, { queue: 'debug,nowhere', options: [] })).toThrow(
      'Slurm has no queue nowhere',
    );
    expect(() => sizesOf([], { options: [] })).toThrow('Slurm has no queue (default)');
  });

  it.each([
    ['45', 45],
    ['30:00', 1_800],
    ['01:02:03', 3_723],
    ['2-12:30:15', 217_815],
    ['10-00:00:00', 864_000],
    ['infinite', undefined],
  ])('a job may last %s there', (time, seconds) => {
    const told = sizesOf([row('debug', 'n01', 4_000, 2, 'idle', '(null)', time)], { options: [] });
    // Of partitions of which none is the default, all are.
    expect([told.nodes, told.maxWalltimeMs]).toEqual([
      1,
      seconds === undefined ? undefined : seconds * 1_000,
    ]);
  });

  it.each(['debug', 'long'])('site S2 in two partitions is idle, though %s is down', down => {
    const both = ['debug', 'long'].map(partition =>
      row(partition, 'n01', 4_000, 2, 'idle', '(null)', '1:00:00', partition === down ? 'down' : 'up'),
    );
    expect(sizesOf(both, { queue: 'debug,long', options: [] })).toMatchObject({ nodes: 1, idleNodes: 1 });
  });

  it.each([
    [['--constraint=ib'], 3],
    [['-C', 'kvm&ib'], 3],
    [['-Ckvm|ib'], 6],
    [['--constraint=[rack1|ib]'], 3],
    [['--constraint', 'ib*2&kvm'], 3],
    [['--constraint=gpu'], 0],
    [['--exclude=big[1-2]'], 4],
  ])('site S2 with %j is what the options leave of it', (options, nodes) => {
    expect(sizesOf(rows, { options }).nodes).toBe(nodes);
  });

  it.each([
    ['idle~', 'up', 1],
    ['idle*', 'up', 0],
    ['idle$', 'up', 0],
    ['drained', 'up', 0],
    ['down*', 'up', 0],
    ['planned', 'up', 0],
    ['idle', 'down', 0],
    ['idle', 'inact', 0],
  ])('site S2 in state %s of a partition that is %s is idle: %d', (state, available, idle) => {
    const one = row('debug*', 'n01', 4_000, 2, state, '(null)', '1:00:00', available);
    expect(sizesOf([one], { options: [] })).toMatchObject({ nodes: 1, idleNodes: idle });
  });
});
