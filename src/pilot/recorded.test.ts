import { expect, it } from 'vitest';
import { world } from '../../test/support/pilot-session.ts';
import { recorded } from '../../test/support/recorded.ts';
import { settle } from '../platform/virtual-clock.ts';
import type { ServiceMessage } from '../protocol/pilot.ts';

it('a service of protocol 1 is obeyed: its pilot does what it says, and exits when told to release', async () => {
  const w = world();
  w.state.protocol = undefined;
  const code = w.session.run();
  await settle();
  const lines = recorded<'pilot' | 'service'>('pilot-1.jsonl', { 'ws-dy2ahlzpgd.vm-0': 'ws-aaaaaaaaaa.w-0' });
  const told = lines.flatMap(({ from, message }) =>
    from === 'service' && message.type !== 'ack' ? [message as unknown as ServiceMessage] : [],
  );
  for (const message of told) {
    w.say(message);
    await settle();
  }
  expect(await code).toBe(0);
  expect(w.done.slice(0, 2)).toEqual(['start ws-aaaaaaaaaa.w-0', 'stop ws-aaaaaaaaaa.w-0 5000']);
  expect(w.done).toContain('release 0');
  const acknowledged = lines
    .filter(({ message }) => message.type === 'command-ack')
    .map(({ message }) => message);
  expect(w.sent.filter(({ type }) => type === 'command-ack')).toEqual(acknowledged);
});
