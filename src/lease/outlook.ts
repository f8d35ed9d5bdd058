import type { Slot } from './model.ts';

/**
 * Whether a job that waits will start by itself, in words that follow the LRM's reason. Empty:
 * nobody knows.
 */
export function outlookWords(outlook: Slot['lrmOutlook']): string {
  switch (outlook) {
    case 'passes':
      return 'this passes by itself';
    case 'needs-somebody':
      return 'it starts only when its user or an administrator has acted';
    case 'never':
      return 'as it was asked for, it will never start here';
    case null:
      return '';
  }
}

/**
 * When the LRM expects the job to start: only what lies ahead, of a job that waits and that nobody
 * needs to act for.
 */
export function estimateOf(
  job: {
    readonly state: string;
    readonly outlook: Slot['lrmOutlook'];
    readonly estimatedStartAt: number | null;
  },
  now: number,
): number | null {
  const starts = job.state === 'waiting' && job.outlook !== 'needs-somebody' && job.outlook !== 'never';
  const { estimatedStartAt } = job;
  return starts && estimatedStartAt !== null && estimatedStartAt > now ? estimatedStartAt : null;
}
