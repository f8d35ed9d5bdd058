/**
 * What guests get of the time that an LRM leaves between its warning signal and its SIGKILL; the
 * rest is for destroying, undoing and telling.
 */
export function preemptionGraceMs(killDelayMs: number): number {
  return Math.floor(killDelayMs / 2);
}
