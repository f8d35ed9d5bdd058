/** The other programs in this package, loaded only by the command that needs them: `wsp ls` must start fast. */
export function loadService(): Promise<typeof import('../service/main.ts')> {
  return import('../service/main.ts');
}

/** What looks at a host as the service's. */
export function loadServiceDoctor(): Promise<typeof import('../service/doctor.ts')> {
  return import('../service/doctor.ts');
}

/** What looks at a host as a node. */
export function loadNodeDoctor(): Promise<typeof import('../control/doctor/node.ts')> {
  return import('../control/doctor/node.ts');
}
