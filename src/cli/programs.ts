import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** What only some commands need: the schema library alone takes longer than all of `wsp ls`. */
export const loadService = () => import('../service/main.ts');
/** What pilots run over ssh. */
export const loadIngest = () => import('../pilot/ingest.ts');
/** What looks at a host as the service's. */
export const loadServiceDoctor = () => import('../service/doctor.ts');
/** What copies the service's database. */
export const loadBackup = () => import('../service/backup.ts');
/** What derives the helper's policy from a site file. */
export const loadHelperPolicy = () => import('../service/config/helper-policy.ts');
/** What looks at a host as a node. */
export const loadNodeDoctor = () => import('../control/doctor/node.ts');
/** What reads cluster files. */
export const loadClusterFile = () => import('../client/cluster-file.ts');

/** What is installed on nodes: beside us when we are built too, else where the build puts it. */
export function nodeToolsFile(): string {
  const beside = join(import.meta.dirname, 'node-tools.cjs');
  return existsSync(beside) ? beside : join(import.meta.dirname, '../../dist/node-tools.cjs');
}
