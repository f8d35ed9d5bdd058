import type { NodeAdaptation } from './adaptation.ts';

/** Nothing is changed on the node: the batch scheduler's limit on the job is the reservation. */
export function noAdaptation(): NodeAdaptation {
  return { reserve: () => Promise.resolve(), restore: () => Promise.resolve() };
}
