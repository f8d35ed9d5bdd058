import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { createVirtualClock } from '../../../platform/virtual-clock.ts';
import { AgentPort, parseAgentLine } from './agent.ts';

it('security 7: a guest that floods its port is read slowly, and what it says is not lost for that', async () => {
  const clock = createVirtualClock(0);
  const guest = new PassThrough({ highWaterMark: 1_024 });
  let heard = 0;
  const port = new AgentPort(guest, clock, () => (heard += 1));
  const line = 'context ok\n';
  let written = 0;
  const flood = (): void => {
    while (written < 100_000 && !guest.writableNeedDrain) {
      guest.write(line);
      written += 1;
    }
  };
  guest.on('drain', flood);
  flood();
  await clock.advanceBy(0);
  expect(heard * line.length).toBeLessThan(70_000);
  const before = heard;
  await clock.advanceBy(10_000);
  expect((heard - before) * line.length).toBeGreaterThan(100_000);
  expect((heard - before) * line.length).toBeLessThan(200_000);
  port.shutdown();
  guest.destroy();
});

it('security 7: lines that are too long are not looked at, however they come', () => {
  const guest = new PassThrough();
  const heard: string[] = [];
  void new AgentPort(guest, createVirtualClock(0), state => heard.push(state));
  guest.write(`context error ${'x'.repeat(10_000)}\ncontext ok\n`);
  expect(heard).toEqual(['ok']);
});

it('security 7: a guest’s words are short and without control characters', () => {
  const said = parseAgentLine(`context error \u001b]0;x\u0007\u009b2J${'y'.repeat(4_000)}`);
  expect(said?.reason?.message).not.toMatch(/\p{Cc}/u);
  expect(said?.reason?.message.length).toBeLessThan(600);
});

it('a guest may say which protocol it speaks; one that cannot be understood is told as what failed', () => {
  expect(['protocol 1', 'protocol 2', 'protocol x'].map(parseAgentLine)).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(parseAgentLine('protocol 3')).toEqual({
    state: 'error',
    reason: {
      code: 'context_failed',
      message: "the guest's agent speaks protocol 3 and this end protocol 1: this end is to be upgraded",
    },
  });
});
