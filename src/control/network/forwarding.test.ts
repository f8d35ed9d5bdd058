import { describe, expect, it } from 'vitest';
import { forwardingCommands } from './forwarding.ts';

const one = { address: '10.1.0.1', macs: ['02:00:00:00:00:01', '02:00:00:00:00:02'] };
const two = { address: '10.1.0.2', macs: ['02:00:00:00:00:03'] };

/** As `bridge -json fdb show dev wbax` of iproute2 6.1 prints it for `two`. */
const shownTwo = `[{"mac":"02:00:00:00:00:03","flags":[],"master":"wba","state":"static"},
{"mac":"36:a3:50:ae:61:8b","flags":[],"master":"wba","state":"permanent"},
{"mac":"02:00:00:00:00:03","dst":"10.1.0.2","flags":["self"],"state":"permanent"},
{"mac":"00:00:00:00:00:00","dst":"10.1.0.2","flags":["self"],"state":"permanent"}]`;

describe("a VXLAN's forwarding tables", () => {
  it('get, of each peer, what goes to all and what goes to its guests, in both tables', () => {
    expect(forwardingCommands('wba', [two], '')).toEqual([
      'fdb append 00:00:00:00:00:00 dev wbax dst 10.1.0.2 self permanent',
      'fdb append 02:00:00:00:00:03 dev wbax dst 10.1.0.2 self permanent',
      'fdb append 02:00:00:00:00:03 dev wbax master static',
    ]);
  });

  it("are left alone when they are right, with the bridge's own entry", () => {
    expect(forwardingCommands('wba', [two], shownTwo)).toEqual([]);
  });

  it('lose what is no more before they get what is new', () => {
    expect(forwardingCommands('wba', [one], shownTwo)).toEqual([
      'fdb del 02:00:00:00:00:03 dev wbax master static',
      'fdb del 02:00:00:00:00:03 dev wbax dst 10.1.0.2 self permanent',
      'fdb del 00:00:00:00:00:00 dev wbax dst 10.1.0.2 self permanent',
      'fdb append 00:00:00:00:00:00 dev wbax dst 10.1.0.1 self permanent',
      ...one.macs.flatMap(mac => [
        `fdb append ${mac} dev wbax dst 10.1.0.1 self permanent`,
        `fdb append ${mac} dev wbax master static`,
      ]),
    ]);
  });

  it('have a guest that has moved behind its new node alone', () => {
    const moved = { address: '10.1.0.9', macs: two.macs };
    expect(forwardingCommands('wba', [{ ...two, macs: [] }, moved], shownTwo)).toEqual([
      'fdb del 02:00:00:00:00:03 dev wbax dst 10.1.0.2 self permanent',
      'fdb append 00:00:00:00:00:00 dev wbax dst 10.1.0.9 self permanent',
      'fdb append 02:00:00:00:00:03 dev wbax dst 10.1.0.9 self permanent',
    ]);
  });
});
