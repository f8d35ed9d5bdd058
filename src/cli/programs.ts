/** The other programs in this package, loaded only by the command that needs them: `wsp ls` must start fast. */
export function loadService(): Promise<typeof import('../service/main.ts')> {
  return import('../service/main.ts');
}
