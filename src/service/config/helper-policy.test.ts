import { describe, expect, it } from 'vitest';
import { helperPolicyOf } from './helper-policy.ts';
import { serviceAddressOf } from '../pilots/plan.ts';

const network = (name: string, third: number) => ({
  name,
  prefixLength: 24,
  firstAddress: `10.1.${third}.1`,
  lastAddress: `10.1.${third}.254`,
  gateway: null,
  dns: [],
  link: { kind: 'isolated' as const },
  mtu: null,
});
const networks = [network('public', 1), network('private', 2)];

describe('the policy of a helper', () => {
  it('has all networks of the site, or those that the nodes of a pool reach, with the same addresses', () => {
    expect(helperPolicyOf({ networks }).networks.map(({ name }) => name)).toEqual(['public', 'private']);
    const [only, ...others] = helperPolicyOf({ networks }, ['private']).networks;
    expect(only).toMatchObject({ name: 'private', serviceAddress: serviceAddressOf(1) });
    expect(others).toEqual([]);
  });
});
