import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { SlotAssignment } from '../protocol/pilot.ts';
import { latestMoment } from '../protocol/units.ts';
import { checkAssignment, jobEndFrom, nodeNameFrom } from './assignment.ts';
import { takeGlobal } from './program.ts';

const assignment = {
  slotId: 'slot-aaaaaaaaaa',
  secret: '0123456789abcdef',
  serviceUrl: 'http://head:8080',
  transports: [{ kind: 'websocket' }],
  node: { workDir: '/tmp/wsp' },
  nodeNameEnv: ['SLURMD_NODENAME', 'HOSTNAME_OF_JOB'],
  jobEndEnv: ['SLURM_JOB_END_TIME', 'JOB_END'],
  walltimeMs: 60_000,
} as unknown as SlotAssignment;

describe('an assignment', () => {
  it('that came with the program is taken once, and out of the reach of others', () => {
    const world = globalThis as Record<string, unknown>;
    expect(takeGlobal('wspAssignment')).toBeUndefined();
    world['wspAssignment'] = assignment;
    expect(takeGlobal('wspAssignment')).toBe(assignment);
    expect('wspAssignment' in world).toBe(false);
    expect(takeGlobal('wspAssignment')).toBeUndefined();
  });

  it.each([{}, { serviceUrl: 'https://head:8080' }, { secret: '0123456789abcdefg' }])(
    'is taken with %j',
    change => {
      const given = { ...assignment, ...change };
      expect(checkAssignment(given)).toBe(given);
    },
  );

  it.each<[string, unknown]>([
    ['it is', undefined],
    ['it is', null],
    ['it is', 'slot-aaaaaaaaaa'],
    ['slotId', { ...assignment, slotId: '../aaaaaaaaaa' }],
    ['slotId', { ...assignment, slotId: undefined }],
    ['secret', { ...assignment, secret: undefined }],
    ['secret', { ...assignment, secret: '0123456789abcde' }],
    ['secret', { ...assignment, secret: Array.from({ length: 16 }, () => 'a') }],
    ['serviceUrl', { ...assignment, serviceUrl: 'ftp://head' }],
    ['serviceUrl', { ...assignment, serviceUrl: 'head:8080' }],
    ['serviceUrl', { ...assignment, serviceUrl: 'see http://head' }],
    ['transports', { ...assignment, transports: undefined }],
    ['transports', { ...assignment, transports: { length: 1 } }],
    ['transports', { ...assignment, transports: [] }],
    ['node.workDir', { ...assignment, node: undefined }],
    ['node.workDir', { ...assignment, node: {} }],
    ['node.workDir', { ...assignment, node: { workDir: 'tmp/' } }],
  ])('is refused for %s', (field, value) => {
    expect(() => checkAssignment(value)).toThrow(`bad slot assignment: ${field} `);
  });
});

describe('the name of a node', () => {
  it.each<[string, NodeJS.ProcessEnv]>([
    ['n07', { SLURMD_NODENAME: 'n07', HOSTNAME_OF_JOB: 'other' }],
    ['n08', { SLURMD_NODENAME: '', HOSTNAME_OF_JOB: 'n08' }],
    ['n09', { HOSTNAME_OF_JOB: 'n09', HOSTNAME: 'other' }],
    [hostname().split('.')[0] ?? '', { HOSTNAME: 'other' }],
  ])('is %j with %j', (name, env) => {
    expect(nodeNameFrom(assignment, env)).toBe(name);
  });

  it.each(['a b', '../n01', '-n'])('is never %j', name => {
    expect(() => nodeNameFrom(assignment, { SLURMD_NODENAME: name })).toThrow(JSON.stringify(name));
  });
});

describe('the end of a job', () => {
  it.each<[number, NodeJS.ProcessEnv]>([
    [1_700_000_000_000, { SLURM_JOB_END_TIME: '1700000000', JOB_END: '1' }],
    [1_700_000_000_123, { SLURM_JOB_END_TIME: '1700000000.1239' }],
    [7_000, { SLURM_JOB_END_TIME: 'Unknown', JOB_END: '7' }],
    [7_000, { SLURM_JOB_END_TIME: '0', JOB_END: '7' }],
    [7_000, { SLURM_JOB_END_TIME: '-5', JOB_END: '7' }],
    [latestMoment, { JOB_END: String(latestMoment / 1_000) }],
    [1_060_000, { JOB_END: String(latestMoment / 1_000 + 1) }],
    [1_060_000, { SLURM_JOB_END_TIME: '' }],
    [1_060_000, {}],
  ])('is %d with %j', (endsAt, env) => {
    expect(jobEndFrom(assignment, env, 1_000_000)).toBe(endsAt);
  });
});
