import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { settle } from '../platform/virtual-clock.ts';
import { splice } from './splice.ts';

/** A stream whose writes are done when the test says so. */
function slow() {
  const state = { taken: '', done: [] as (() => void)[] };
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      state.taken += chunk.toString();
      state.done.push(done);
    },
    final: done => void state.done.push(done),
  });
  const go = async (): Promise<void> => {
    for (const done of state.done.splice(0)) done();
    await settle();
  };
  return { stream, state, go };
}

describe('two streams made one', () => {
  it('lose nothing of what the guest said before it closed', async () => {
    const [guest, service] = [slow(), slow()];
    splice(guest.stream, service.stream);
    guest.stream.push('last words');
    guest.stream.push(null);
    guest.stream.end();
    await settle();
    await guest.go();
    expect([guest.stream.destroyed, service.stream.destroyed]).toEqual([true, false]);
    await service.go();
    expect([service.state.taken, service.stream.writableFinished]).toEqual(['last words', false]);
    await service.go();
    expect([service.stream.writableFinished, service.stream.destroyed]).toEqual([true, true]);
  });

  it.each(['guest', 'service'] as const)('break together when the %s breaks', async which => {
    const both = { guest: slow().stream, service: slow().stream };
    splice(both.guest, both.service);
    both[which].destroy(new Error('broken'));
    await settle();
    expect([both.guest.destroyed, both.service.destroyed]).toEqual([true, true]);
  });
});
