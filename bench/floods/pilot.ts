/** A hostile pilot, a program of its own: one node of one slot, whose messages never end. */
import { once } from 'node:events';
import WebSocket from 'ws';
import { systemClock } from '../../src/platform/clock.ts';
import { hostileData } from './data.ts';

const { url, slotId, vmId, secret } = await hostileData();
const atOnce = 500;
let seq = 0;

function messages(): string[] {
  return Array.from({ length: atOnce }, (_, index) => {
    seq += 1;
    const context = index % 2 === 0 ? 'ok' : 'error';
    const own = { vmId: index % 10 === 0 ? `${vmId}.9` : vmId, state: 'running', context };
    return JSON.stringify({
      type: 'notification',
      seq,
      at: systemClock.now(),
      body: { kind: 'vm', report: { ...own, reason: { code: 'x', message: 'x'.repeat(500) } } },
    });
  });
}

for (;;) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/pilot/v1/slots/${slotId}/nodes/n0`, {
    headers: { authorization: `Bearer ${secret}` },
  });
  const closed = once(socket, 'close').catch(() => undefined);
  socket.on('error', () => undefined);
  socket.on('open', () => {
    const vms = [{ vmId, state: 'running', context: 'pending' }];
    socket.send(
      JSON.stringify({ type: 'hello', slotId, node: 'n0', pilotVersion: '0', address: '10.0.0.1', vms }),
    );
    seq += 1;
    const body = { kind: 'node', state: 'reserved' };
    socket.send(JSON.stringify({ type: 'notification', seq, at: systemClock.now(), body }));
    const more = (): void => {
      if (socket.readyState !== socket.OPEN) return;
      const texts = messages();
      for (const text of texts.slice(1)) socket.send(text);
      // When the kernel has taken the last, there is room for more.
      socket.send(texts[0] ?? '', more);
    };
    more();
  });
  await closed;
}
