import { expect, it } from 'vitest';
import { jsonLog, pacedLines } from './log.ts';
import { createVirtualClock } from './virtual-clock.ts';

it('security 7: a log has no more than so many bytes a second, and says how many lines are missing', async () => {
  const clock = createVirtualClock(0);
  const lines: string[] = [];
  const log = jsonLog(
    clock,
    pacedLines(clock, { perSecond: 100, burst: 10_000 }, line => lines.push(line)),
  );
  for (let number = 0; number < 10_000; number++) log.debug('QMP event', { number });
  const bytes = (): number => lines.join('').length;
  expect(bytes()).toBeLessThan(10_200);
  const kept = lines.length;
  await clock.advanceBy(60_000);
  log.info('after a minute');
  expect(lines.slice(kept).map(line => JSON.parse(line) as object)).toMatchObject([
    { level: 40, leftOut: 10_000 - kept },
    { msg: 'after a minute' },
  ]);
});
