import { describe, expect, it } from 'vitest';
import type { NicPlan } from '../../protocol/plan.ts';
import { bridgeRules, peerRules, tapRules } from './filter.ts';

describe("a VXLAN's peers", () => {
  it('take the place of those before', () => {
    const peers = ['10.1.0.1', '10.1.0.2'].map(address => ({ address, macs: [] }));
    expect(peerRules('wba', peers)).toBe(
      'flush set inet wsp-wba peers\nadd element inet wsp-wba peers { 10.1.0.1, 10.1.0.2 }\n',
    );
  });

  it('may be none', () => {
    expect(peerRules('wba', [])).toBe('flush set inet wsp-wba peers\n');
  });
});

/** What these rules do to frames is seen on real ones (test/e2e/guard.test.ts, vxlan.test.ts); here, that each is there, and in its place. */
const nic: NicPlan = {
  network: 'private',
  mac: '02:00:00:00:00:01',
  address: '10.91.0.1',
  prefixLength: 24,
  dns: [],
  tap: 'wttest1',
  bridge: { name: 'wbtest', link: { kind: 'isolated' }, serviceAddress: '169.254.77.1', mtu: 1_500 },
};

/** The rules of a chain, in their order. */
function chain(rules: string, name: string): readonly string[] {
  const body = new RegExp(`  chain ${name} \\{\n((?:    .*\n)*)  \\}`).exec(rules)?.[1] ?? '';
  return body
    .trimEnd()
    .split('\n')
    .map(line => line.trim());
}

describe('the guard of a tap', () => {
  it('drops what is not known, and lets through what is the guest’s own after all that could be forged', () => {
    const rules = chain(tapRules(nic), 'guard');
    expect(rules[0]).toBe('type filter hook ingress device "wttest1" priority 0; policy drop;');
    const firstAccepted = rules.findIndex(rule => rule.endsWith('accept'));
    for (const rule of [
      'ether saddr != 02:00:00:00:00:01 drop',
      'ether type != { ip, arp } drop',
      'arp saddr ether != 02:00:00:00:00:01 drop',
      ...['htype != 1', 'hlen != 6', 'plen != 4'].map(what => `arp ${what} drop`),
    ])
      expect(rules.slice(1, firstAccepted)).toContain(rule);
    expect(rules.slice(firstAccepted)).toEqual([
      'arp operation request arp saddr ip 0.0.0.0 accept',
      'arp saddr ip 10.91.0.1 accept',
      'udp sport 67 drop',
      'ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept',
      'ip saddr 10.91.0.1 accept',
    ]);
  });
});

describe('the rules of a bridge', () => {
  it('have nothing routed from it or to it', () => {
    expect(chain(bridgeRules(nic, undefined), 'routed').slice(1)).toEqual([
      'iifname "wbtest" oifname != "wbtest" drop',
      'oifname "wbtest" iifname != "wbtest" drop',
    ]);
  });

  it('let guests ask the node for an address and a ping, and answer it; nothing else', () => {
    expect(chain(bridgeRules(nic, 'eth1'), 'node').slice(1)).toEqual([
      'iifname "wt*" drop',
      'iifname "eth1" drop',
      'iifname != "wbtest" accept',
      'ip daddr { 255.255.255.255, 169.254.77.1 } udp dport 67 accept',
      'ip daddr != 169.254.77.1 drop',
      'icmp type { echo-request, echo-reply, destination-unreachable, time-exceeded } accept',
      'tcp flags & (syn | ack) != syn accept',
      'drop',
    ]);
  });

  it('keep DHCP and the service address on the node, both ways', () => {
    const rules = bridgeRules(nic, 'eth1');
    for (const [name, direction] of [
      ['out', 'oifname'],
      ['in', 'iifname'],
    ] as const)
      expect(chain(rules, name).slice(1)).toEqual(
        [
          'udp dport { 67, 68 }',
          'arp daddr ip 169.254.77.1',
          'arp saddr ip 169.254.77.1',
          'ip daddr 169.254.77.1',
          'ip saddr 169.254.77.1',
        ].map(match => `${direction} "eth1" ${match} drop`),
      );
  });
});
