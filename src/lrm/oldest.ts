/** Keeps a memory bounded: forgets what was put in first until there are at most `most` left. */
export function forgetOldest(of: Map<string, unknown> | Set<string>, most: number): void {
  for (const oldest of of.keys()) {
    if (of.size <= most) return;
    of.delete(oldest);
  }
}
