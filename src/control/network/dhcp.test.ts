import { describe, expect, it } from 'vitest';
import type { NicPlan } from '../../protocol/plan.ts';
import { dnsmasqArguments } from './dhcp.ts';

const nic: NicPlan = {
  network: 'private',
  mac: '02:00:00:00:00:01',
  address: '10.91.3.7',
  prefixLength: 16,
  gateway: '10.91.0.1',
  dns: ['10.0.0.2', '10.0.0.3'],
  tap: 'wttest1',
  bridge: { name: 'wbtest', link: { kind: 'isolated' }, serviceAddress: '169.254.77.1', mtu: 1_450 },
};
const files = { hosts: '/run/hosts', pid: '/run/pid', readableByAll: true };
const options = (more: NicPlan): readonly string[] =>
  dnsmasqArguments(more, files).filter(argument => argument.startsWith('--dhcp-'));

describe("a bridge's DHCP service", () => {
  it('tells guests their routes twice: clients that take option 121 ignore option 3', () => {
    expect(options(nic)).toEqual([
      '--dhcp-range=10.91.0.0,static,255.255.0.0,infinite',
      '--dhcp-hostsdir=/run/hosts',
      '--dhcp-authoritative',
      '--dhcp-option=121,169.254.77.1/32,0.0.0.0,0.0.0.0/0,10.91.0.1',
      '--dhcp-option=option:mtu,1450',
      '--dhcp-option=3,10.91.0.1',
      '--dhcp-option=6,10.0.0.2,10.0.0.3',
    ]);
  });

  it('tells them no default route and no name server where there is none', () => {
    const { gateway: _, ...without } = nic;
    expect(options({ ...without, dns: [] }).slice(3)).toEqual([
      '--dhcp-option=121,169.254.77.1/32,0.0.0.0',
      '--dhcp-option=option:mtu,1450',
      '--dhcp-option=3',
      '--dhcp-option=6',
    ]);
  });
});
