import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fuzzHelper } from '../fuzz/helper-lines.ts';
import { fuzzParser } from '../fuzz/parser.ts';
import { type BareNodes, nicPlan, quietNodes } from '../support/node.ts';
import { startRawHelper } from '../fuzz/raw-helper.ts';
import { playSequence } from '../fuzz/sequence.ts';
import { helperOf } from '../fuzz/users.ts';

/** A part of `make fuzz`, which tries a hundred times as much. */

const seed = 1;

let nodes: BareNodes;
beforeAll(async () => {
  nodes = await quietNodes();
});
afterAll(() => nodes?.stop());

describe('security 2, 3, 14 requests that are nearly right', () => {
  it('are read as what they say, or refused in a sentence', () => {
    const { accepted, refused, faults } = fuzzParser(seed, 20_000);
    expect(faults).toEqual([]);
    expect(Math.min(accepted, refused)).toBeGreaterThan(2_000);
  });

  it('get one answer each of a helper, and leave the node as it was', async () => {
    const { ok, refused, faults } = await fuzzHelper(
      nodes,
      helperOf(nodes, 64_901, 'slot-fuzzaaaaaa'),
      seed,
      800,
    );
    expect(faults).toEqual([]);
    expect([ok > 4, refused > 200]).toEqual([true, true]);
  });
});

describe('security 2, 12, 14, 21, 22, 23 two users with two slots each on one node', () => {
  it.each([11, 23])('change nothing of each other, whatever they do at once: seed %i', async each => {
    const { yes, no } = await playSequence(nodes, each, 8);
    expect(Math.min(yes, no)).toBeGreaterThan(1);
  });

  it("do not take over a bridge that the other's crash has left half made", async () => {
    const [one, other] = await Promise.all(
      [64_901, 64_902].map(uid => startRawHelper(helperOf(nodes, uid, 'slot-fuzzaaaaac'))),
    );
    const { bridge } = nicPlan(1);
    const nic = nicPlan(1, { network: 'isolated' });
    expect(await one?.ask({ op: 'attach-nic', nic, hostname: 'one' })).toMatchObject({ ok: true });
    const record = join(nodes.stateDir, 'n01', 'bridges', bridge.name, 'record');
    writeFileSync(record, readFileSync(record, 'utf8').replace('"complete":true', '"complete":false'));
    const link = { kind: 'uplink', interface: 'eth1' } as const;
    const taken = nicPlan(2, { network: 'uplink', bridge: { ...bridge, link } });
    expect(await other?.ask({ op: 'attach-nic', nic: taken, hostname: 'two' })).toMatchObject({
      code: 'bridge_foreign',
    });
    expect([await one?.end(), await other?.end()]).toEqual([0, 0]);
  });
});
