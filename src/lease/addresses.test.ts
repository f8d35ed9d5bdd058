import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaseBench, must } from '../../test/support/lease.ts';
import { interfacePattern, macPattern } from '../protocol/ids.ts';
import { decide } from './decide.ts';
import { ipv4ToNumber, numberToIpv4 } from '../protocol/ipv4.ts';
import { AddressAllocator, isInPool, macOf, tapOf } from './addresses.ts';

const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map(parts => parts.join('.'));

describe('addresses', () => {
  it('are numbers and back', () => {
    expect(ipv4ToNumber('255.255.255.254')).toBe(0xfffffffe);
    fc.assert(fc.property(address, one => numberToIpv4(ipv4ToNumber(one)) === one));
  });

  it('make MACs that are locally administered and unicast, and taps that are interface names', () => {
    expect(macOf('10.90.0.17')).toBe('52:54:0a:5a:00:11');
    expect(tapOf('10.90.0.17')).toBe('wt0a5a0011');
    fc.assert(
      fc.property(address, one => {
        expect(macOf(one)).toMatch(new RegExp(macPattern));
        expect(Number.parseInt(macOf(one).slice(0, 2), 16) & 0b11).toBe(0b10);
        expect(tapOf(one)).toMatch(new RegExp(interfacePattern));
      }),
    );
  });

  it('differ in MAC and tap when they differ', () => {
    fc.assert(
      fc.property(address, address, (one, other) => {
        expect(macOf(one) === macOf(other)).toBe(one === other);
        expect(tapOf(one) === tapOf(other)).toBe(one === other);
      }),
    );
  });

  it('are given out lowest free first, never twice, until the pool is empty', () => {
    const pool = { name: 'p', firstAddress: '10.0.0.254', lastAddress: '10.0.1.1', vnis: null };
    const overlapping = { name: 'q', firstAddress: '10.0.1.0', lastAddress: '10.0.1.2', vnis: null };
    const allocator = new AddressAllocator(new Set(['10.0.0.255']));
    const given = [pool, pool, overlapping, pool, overlapping].map(one => allocator.assign(one)?.address);
    expect(given).toEqual(['10.0.0.254', '10.0.1.0', '10.0.1.1', undefined, '10.0.1.2']);
  });

  it('are free again when their VM is gone, and not before', () => {
    const bench = new LeaseBench({
      networks: [{ name: 'private', firstAddress: '10.0.0.1', lastAddress: '10.0.0.2', vnis: null }],
    });
    bench.running(2);
    const other = bench.createInput(
      { groups: [{ name: 'x', image: 'mini', count: 1, memoryMiB: 64, cpus: 1 }] },
      'b',
    );
    expect(bench.refusal(other).code).toBe('addresses_exhausted');
    bench.destroy();
    expect(bench.refusal(other).code).toBe('addresses_exhausted');
    bench.vm(0, 'terminated');
    bench.vm(1, 'terminated');
    bench.step(other);
    expect(must(bench.maps.vms.get('ws-bbbbbbbbbb.x-0')).nics[0]?.address).toBe('10.0.0.1');
  });

  it('are unique among live VMs however workspaces come and go', () => {
    const lives = fc.array(fc.record({ count: fc.integer({ min: 1, max: 4 }), end: fc.boolean() }), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(lives, list => {
        const bench = new LeaseBench({ site: null });
        for (const [number, { count, end }] of list.entries()) {
          const networks = ['public', 'private'];
          const input = bench.createInput(
            { groups: [{ name: 'g', image: 'mini', count, memoryMiB: 64, cpus: 1, networks }] },
            'abcdefghijklmnopqrstuvwxyz'[number],
          );
          const room = hasRoom(bench, count);
          const outcome = decide(bench.state, input, bench.now);
          expect(outcome.ok).toBe(room);
          if (outcome.ok) bench.step(input);
          if (end && bench.maps.workspaces.has(input.workspaceId))
            bench.step({ type: 'destroy', workspaceId: input.workspaceId, by: 'ann' });
          const held = liveAddresses(bench);
          expect(new Set(held).size).toBe(held.length);
        }
      }),
    );
  });
});

function liveAddresses(bench: LeaseBench): string[] {
  return [...bench.maps.vms.values()]
    .filter(({ state }) => state !== 'terminated' && state !== 'failed')
    .flatMap(({ nics }) => nics.map(nic => nic.address));
}

/** The smaller pool has ten. */
function hasRoom(bench: LeaseBench, count: number): boolean {
  const used = liveAddresses(bench).filter(one => one.startsWith('192.0.2.')).length;
  return used + count <= 10;
}

describe('whether an address is a pool’s', () => {
  const pool = { name: 'p', firstAddress: '10.0.0.10', lastAddress: '10.0.1.5', vnis: null };

  it.each([
    ['10.0.0.9', false],
    ['10.0.0.10', true],
    ['10.0.0.255', true],
    ['10.0.1.5', true],
    ['10.0.1.6', false],
    ['9.0.0.20', false],
  ])('%s: %s', (one, isIts) => {
    expect(isInPool(one, pool)).toBe(isIts);
  });
});
