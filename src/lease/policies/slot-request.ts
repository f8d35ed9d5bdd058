import type { PoolSettings } from '../settings.ts';

/** What to ask the LRM for. A gang's nodes are alike. */
export interface SlotRequest {
  readonly nodesWanted: number;
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  readonly walltimeMs: number;
}

/** Between what the LRM and the pilots call the same moment. */
const clockSlackMs = 2_000;

/**
 * How long before the job's end a lease must be over. Pilots leave their nodes by themselves `killDelayMs + shutdownGraceMs` before that end, so that
 * guests can still shut down; a lease that ends by its own terms has to be first.
 */
export function endMarginMs(settings: PoolSettings): number {
  return (settings.site?.killDelayMs ?? 0) + settings.shutdownGraceMs + clockSlackMs;
}

/** The job's time limit for a lease: with the time for deploying and for releasing, rounded up to what the LRM counts in, never over the queue's limit. */
export function walltimeFor(leaseMs: number, settings: PoolSettings): number {
  const stepMs = settings.site?.walltimeStepMs ?? 1;
  const maxWalltimeMs = settings.site?.maxWalltimeMs ?? Number.POSITIVE_INFINITY;
  const neededMs = leaseMs + settings.walltimePadMs + endMarginMs(settings);
  return Math.min(Math.ceil(neededMs / stepMs) * stepMs, maxWalltimeMs);
}
