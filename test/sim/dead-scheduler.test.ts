import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import { listDuring, outages } from './dead-scheduler.ts';

describe('the list of a scheduler that does not answer', () => {
  it.each(outages)('site S1: is an outage, never an empty list: $name', async outage => {
    await expect(listDuring(outage, systemClock)).rejects.toMatchObject({
      name: 'LrmError',
      kind: 'unavailable',
    });
  });
});
