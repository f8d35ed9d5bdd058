import { describe, expect, it } from 'vitest';
import { whyItWaits } from './reasons.ts';

const none = new Map<string, string>();
const full = 'All queues dropped because of overload or full';
const instance = (name: string, why: string): string =>
  `queue instance "${name}" dropped because it is ${why}`;

/** Remarks of Son of Grid Engine 8.1.9's scheduler, recorded. */
describe('site G4: why a job waits', () => {
  it.each([
    [
      [instance('all.q@n01', 'disabled'), instance('all.q@n02', 'disabled'), full],
      'it cannot start: all.q@n01 and all.q@n02 are disabled (an administrator enables it: qmod -e)',
      'needs-somebody',
    ],
    [
      [instance('all.q@n01', 'overloaded: np_load_avg=9.864746 (no load adjustment) >= 0.01'), full],
      'it waits for nodes to become free: all.q@n01 is busier than its load threshold allows (np_load_avg=9.864746)',
      'passes',
    ],
    [[instance('all.q@n02', 'full'), full], 'it waits for nodes to become free: all.q@n02 is full', 'passes'],
    [
      [
        'cannot run because it exceeds limit "root/////" in rule "one/1"',
        'cannot run in PE "wsp1" because it only offers 0 slots',
      ],
      'it waits for nodes to become free: the resource quota one/1 is used up',
      'passes',
    ],
    [
      [
        'cannot run in queue "all.q" because PE "wsp1" is not in PE list',
        'cannot run in PE "wsp1" because it only offers 0 slots',
      ],
      'it cannot start: all.q is without the parallel environment wsp1 in its pe_list',
      'needs-somebody',
    ],
    [
      ['has no permission for cluster queue "all.q"'],
      "it cannot start: all.q is closed to the service's user by its access lists",
      'needs-somebody',
    ],
    [
      ['(-l h_rt=600) cannot run in queue "all.q" because of cluster queue'],
      'it cannot start: all.q is not for what was asked for (-l h_rt=600): see its limits',
      'never',
    ],
    [
      ['(-l h_rt=60,mem_free=640M) cannot run in queue "n01" because it offers only hc:mem_free=1.367G'],
      'it waits for nodes to become free: n01 is short of mem_free (1.367G)',
      'passes',
    ],
    [
      [
        'cannot run in queue "all.q" because it is not contained in its hard queue list (-q)',
        'cannot run in PE "wsp1" because it only offers 0 slots',
      ],
      'it waits for nodes to become free: the parallel environment wsp1 offers only 0 slots',
      'passes',
    ],
    [[], 'it waits for nodes to become free', undefined],
    [['There are no messages available'], 'it waits for nodes to become free', undefined],
    [[full], 'it waits for nodes to become free', 'passes'],
    [
      ['cannot run in PE "wsp1" because it only offers 2 slots'],
      'it waits for nodes to become free: the parallel environment wsp1 offers only 2 slots',
      'passes',
    ],
    [
      ['a remark of another Grid Engine'],
      'it waits for nodes to become free: a remark of another Grid Engine',
      undefined,
    ],
  ])('%j', (remarks, reason, outlook) => {
    expect(whyItWaits(remarks, none)).toEqual({ reason, outlook });
  });

  it.each([
    ['E', /in an error state \(an administrator clears it: qmod -cq\)/, 'needs-somebody'],
    ['au', /its node does not answer/, 'needs-somebody'],
    ['s', /suspended \(an administrator resumes it/, 'needs-somebody'],
    ['aD', /closed by its calendar/, 'passes'],
    ['aC', /suspended by its calendar/, 'passes'],
    ['S', /suspended for another queue/, 'passes'],
    ['', /not available for now/, 'passes'],
  ])('a queue that is not available says by its state %j why', (state, words, outlook) => {
    const why = whyItWaits(
      [instance('all.q@n01', 'temporarily not available')],
      new Map([['all.q@n01', state]]),
    );
    expect(why.reason).toMatch(words);
    expect(why.outlook).toBe(outlook);
  });

  it('one queue that only is full is enough for it to pass; what decides comes first', () => {
    const why = whyItWaits([instance('a@n01', 'disabled'), instance('b@n01', 'full'), full], none);
    expect(why).toEqual({
      reason:
        'it waits for nodes to become free: b@n01 is full; a@n01 is disabled (an administrator enables it: qmod -e)',
      outlook: 'passes',
    });
  });

  it('many nodes are counted', () => {
    const many = Array.from({ length: 16 }, (_, n) => instance(`all.q@n${n}`, 'full'));
    expect(whyItWaits(many, none).reason).toMatch(/all\.q@n0, all\.q@n1, all\.q@n2 and 13 more are full$/);
  });
});
