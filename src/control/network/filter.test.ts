import { describe, expect, it } from 'vitest';
import { peerRules } from './filter.ts';

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
