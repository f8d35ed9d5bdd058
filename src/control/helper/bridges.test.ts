import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import type { NicPlan } from '../../protocol/plan.ts';
import { Bridges } from './bridges.ts';
import { helperDirectory } from './journal.ts';
import { RootTools } from './tools.ts';

const nic: NicPlan = {
  network: 'private',
  mac: '02:00:00:00:00:02',
  address: '10.91.0.2',
  prefixLength: 24,
  dns: [],
  tap: 'wttest2',
  bridge: { name: 'wbtest2', link: { kind: 'isolated' }, serviceAddress: '169.254.77.1', mtu: 1_500 },
};

let place: string;
let bridges: Bridges;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-bridges-'));
  const at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
  const members = join(at.bridges, 'wbtest1', 'members');
  mkdirSync(members, { recursive: true });
  const member = { slot: 'slot-aaaaaaaaaa.1000', address: '10.91.0.1', mac: '02:00:00:00:00:01' };
  writeFileSync(join(members, 'wttest1'), JSON.stringify(member));
  bridges = new Bridges(
    at,
    new RootTools(systemClock, { run: () => Promise.reject(new Error('nothing is run')) }),
  );
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

describe('security 12 an interface that is asked for', () => {
  it('may come to a node where there is none like it', () => {
    bridges.check(nic, 1_000);
  });

  it.each([
    ['tap', { tap: 'wttest1' }],
    ['address', { address: '10.91.0.1' }],
    ['MAC', { mac: '02:00:00:00:00:01' }],
  ])('is refused when its %s is that of a VM on the node, whatever its bridge', (what, more) => {
    expect(() => bridges.check({ ...nic, ...more }, 1_000)).toThrow(what);
  });

  it('is refused when its address is one of the node', () => {
    expect(() => bridges.check({ ...nic, address: '127.0.0.1' }, 1_000)).toThrow('the node itself');
  });
});
