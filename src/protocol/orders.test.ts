import { expect, it } from 'vitest';
import { carryOut, type Handlers, type Order, type Orders } from './orders.ts';

it('has an order carried out by the handler of its kind, and one of a newer service by nobody', () => {
  const done: string[] = [];
  const handlers: Handlers<Orders> = {
    'start-vm': ({ vm }) => done.push(`start ${vm.vmId}`),
    'stop-vm': ({ vmId, graceMs }) => done.push(`stop ${vmId} ${graceMs}`),
    'operate-vm': ({ operation }) => done.push(operation),
    'set-peers': () => done.push('peers'),
    'tell-guest': ({ message }) => done.push(message),
    'job-end': ({ endsAt }) => done.push(`ends ${endsAt}`),
    release: ({ graceMs }) => done.push(`release ${graceMs}`),
  };
  expect(carryOut(handlers, { kind: 'stop-vm', vmId: 'vm', graceMs: 1 })).toBe(true);
  expect(carryOut(handlers, { kind: 'release', graceMs: 2 })).toBe(true);
  for (const kind of ['of tomorrow', 'constructor', '__proto__'])
    expect(carryOut(handlers, { kind } as unknown as Order)).toBe(false);
  expect(done).toEqual(['stop vm 1', 'release 2']);
});

it('does not compile when a handler is missing', () => {
  // @ts-expect-error: nobody handles `release`.
  const handlers: Handlers<Pick<Orders, 'job-end' | 'release'>> = { 'job-end': () => undefined };
  expect(Object.keys(handlers)).toEqual(['job-end']);
});
