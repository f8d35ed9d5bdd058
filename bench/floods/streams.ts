/**
 * A client, a program of its own, that opens as many event streams as it may, and opens each again
 * that ends.
 */
import { pause, systemClock } from '../../src/platform/clock.ts';
import { hostileData } from './data.ts';

const { url, authorization, wanted } = await hostileData();

async function stream(): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/v1/events/stream`, { headers: { authorization } }).catch(
      () => undefined,
    );
    if (answer?.ok && answer.body) for await (const _ of answer.body);
    await pause(systemClock, 1_000);
  }
}

await Promise.all(Array.from({ length: wanted }, stream));
