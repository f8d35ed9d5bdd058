import type { EventView } from '../protocol/api.ts';
import type { EventQuery } from './types.ts';
import { keepTrying } from './retry.ts';

/** Below the service's own limit, and below what proxies cut off. */
const longPollMs = 25_000;
/** A service that is away for longer than this is not being started again. */
const giveUpMs = 300_000;

type Page = { readonly events: readonly EventView[]; readonly next: number };

/** Every event once, in order, from `query.after` on, for as long as the caller wants more; a service that is started again in between is waited for. Throws `service_unreachable` when it does not come back. */
export async function* followEvents(
  events: (query: EventQuery) => Promise<Page>,
  query: Pick<EventQuery, 'after' | 'workspace'>,
  pause: ((delayMs: number) => Promise<void>) | undefined,
): AsyncGenerator<EventView, never> {
  let { after = 0 } = query;
  for (;;) {
    const read = (): Promise<Page> => events({ ...query, after, waitMs: longPollMs });
    const page = await (pause ? keepTrying(read, AbortSignal.timeout(giveUpMs), pause) : read());
    yield* page.events;
    after = page.next;
  }
}
