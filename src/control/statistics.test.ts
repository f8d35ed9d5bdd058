import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createVirtualClock, settle } from '../platform/virtual-clock.ts';
import type { VmmStatistics, VmStatistics } from '../protocol/statistics.ts';
import { statisticsStream } from './statistics.ts';

const use: VmmStatistics = { cpuMs: 10, memoryBytes: 20, diskReadBytes: 30, diskWrittenBytes: 40 };

describe('a stream of statistics', () => {
  it('is a line a second, with the interfaces of the VM, while somebody reads', async () => {
    const clock = createVirtualClock(1_000);
    let asked = 0;
    const stream = statisticsStream(clock, ['lo'], () => {
      asked += 1;
      return Promise.resolve(use);
    });
    await settle();
    expect(asked).toBe(0);
    const lines: string[] = [];
    stream.on('data', (chunk: Buffer) => lines.push(String(chunk)));
    for (let second = 0; second < 3; second += 1) {
      await settle();
      await clock.advanceBy(999);
      await settle();
      expect(lines).toHaveLength(second + 1);
      await clock.advanceBy(1);
    }
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      at: expect.any(Number),
      ...use,
      networkReceivedBytes: expect.any(Number),
      networkSentBytes: expect.any(Number),
    });
    expect(lines[0]).toMatch(/\n$/);
    // What the loopback sends, it receives.
    const { networkReceivedBytes: received, networkSentBytes: sent } = JSON.parse(
      lines[0] ?? '',
    ) as VmStatistics;
    expect([received > 0, sent]).toEqual([true, received]);
  });

  it('measures no more than one line ahead of a reader that stands still', async () => {
    const clock = createVirtualClock(1_000);
    let asked = 0;
    const stream = statisticsStream(clock, [], () => {
      asked += 1;
      return Promise.resolve(use);
    });
    stream.read(0);
    for (let second = 0; second < 5; second += 1) {
      await settle();
      await clock.advanceBy(1_000);
    }
    expect(asked).toBe(1);
  });

  it('ends when the VMM cannot be asked, or an interface is not there, and leaves no timer', async () => {
    const clock = createVirtualClock(1_000);
    for (const stream of [
      statisticsStream(clock, [], () => Promise.reject(new Error('gone'))),
      statisticsStream(clock, ['none-such'], () => Promise.resolve(use)),
    ]) {
      const closed = once(stream, 'close');
      stream.resume();
      await settle();
      await clock.advanceBy(0);
      await closed;
    }
  });
});
