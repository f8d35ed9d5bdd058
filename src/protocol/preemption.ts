/** What guests get of the time from warning to SIGKILL; the rest is for undoing and telling. */
export function preemptionGraceMs(killDelayMs: number): number {
  return Math.floor(killDelayMs / 2);
}
