import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { VmStatistics } from '../protocol/statistics.ts';
import { Meter } from './meter.ts';

const line = (more: Partial<VmStatistics>): string =>
  `${JSON.stringify({ at: 1_000, cpuMs: 0, memoryBytes: 5, diskReadBytes: 0, diskWrittenBytes: 0, networkReceivedBytes: 0, networkSentBytes: 0, ...more })}\n`;

function metered(): { readonly stream: PassThrough; readonly meter: Meter } {
  const stream = new PassThrough();
  return { stream, meter: new Meter(stream) };
}

describe('a meter', () => {
  it('tells what a VM did in a second, from two lines, however they come', async () => {
    const { stream, meter } = metered();
    const next = meter.next();
    const text =
      line({}) +
      line({ at: 3_000, cpuMs: 3_000, memoryBytes: 7, diskReadBytes: 2_048, networkSentBytes: 100 });
    for (const piece of text.match(/.{1,50}|\n/gs) ?? []) stream.write(piece);
    await next;
    expect(meter.use).toEqual({
      cpuPercent: 150,
      memoryBytes: 7,
      diskReadBytesPerSecond: 1_024,
      diskWrittenBytesPerSecond: 0,
      networkReceivedBytesPerSecond: 0,
      networkSentBytesPerSecond: 50,
    });
    expect(meter.ended).toBe(false);
  });

  it('begins anew with a VM that was started again, and with a clock that was set back', async () => {
    const { stream, meter } = metered();
    const next = meter.next();
    stream.write(line({ cpuMs: 9_000 }) + line({ at: 2_000, cpuMs: 10 }) + line({ at: 1_500, cpuMs: 20 }));
    stream.write(line({ at: 2_500, cpuMs: 520 }));
    await next;
    expect(meter.use?.cpuPercent).toBe(50);
  });

  it.each([
    ['no JSON', '{\n'],
    ['other fields', '{"at":1}\n'],
    ['numbers that are none', line({}).replace('"cpuMs":0', '"cpuMs":"0"')],
    ['numbers below nothing', line({ cpuMs: -1 })],
    ['a line without end', 'x'.repeat(2_000)],
  ])('ends at %s', async (_what, text) => {
    const { stream, meter } = metered();
    const next = meter.next();
    stream.write(text);
    await next;
    expect([meter.ended, meter.use]).toEqual([true, undefined]);
    await meter.next();
  });
});
