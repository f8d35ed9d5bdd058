import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** What only some commands need, loaded by those: `wsp ls` must start fast. The schema library alone takes longer than all the rest of a command. */
export function loadService(): Promise<typeof import('../service/main.ts')> {
  return import('../service/main.ts');
}

/** What pilots run over ssh. */
export function loadIngest(): Promise<typeof import('../pilot/ingest.ts')> {
  return import('../pilot/ingest.ts');
}

/** What looks at a host as the service's. */
export function loadServiceDoctor(): Promise<typeof import('../service/doctor.ts')> {
  return import('../service/doctor.ts');
}

/** What copies the service's database. */
export function loadBackup(): Promise<typeof import('../service/backup.ts')> {
  return import('../service/backup.ts');
}

/** What derives the helper's policy from a site file. */
export function loadHelperPolicy(): Promise<typeof import('../service/config/helper-policy.ts')> {
  return import('../service/config/helper-policy.ts');
}

/** What looks at a host as a node. */
export function loadNodeDoctor(): Promise<typeof import('../control/doctor/node.ts')> {
  return import('../control/doctor/node.ts');
}

/** What reads cluster files. */
export function loadClusterFile(): Promise<typeof import('../client/cluster-file.ts')> {
  return import('../client/cluster-file.ts');
}

/** What is installed on nodes, one file, built: beside us when we are built too, else where the build puts it. */
export function nodeToolsFile(): string {
  const beside = join(import.meta.dirname, 'node-tools.cjs');
  return existsSync(beside) ? beside : join(import.meta.dirname, '../../dist/node-tools.cjs');
}
