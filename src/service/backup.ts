import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { lrmKind } from '../lrm/index.ts';
import { WspError } from '../protocol/errors.ts';
import { loadSite, type SiteConfig } from './config/site.ts';
import { type Copied, copyDatabase } from './store/backup.ts';
import { databaseIn } from './store/sqlite.ts';

/** A backup that was made. */
export interface Backup extends Copied {
  /** Absolute. */
  readonly file: string;
  /** What a backup of the whole site has beside it, as far as it is there: absolute paths. */
  readonly besides: readonly string[];
}

/** `wsp backup`. Throws as `loadSite` and `copyDatabase`, and `not_found` without a database. */
export function backUp(siteFile: string, file: string): Backup {
  const site = loadSite(siteFile);
  const database = databaseIn(site.stateDir);
  if (!existsSync(database))
    throw new WspError('not_found', `there is no database in ${site.stateDir}`, {
      hint: 'the service makes it at its first start; service.stateDir of the site file says where, and its user alone can look there',
    });
  const target = resolve(file);
  return { file: target, ...copyDatabase(database, target), besides: besides(site).filter(existsSync) };
}

/** Files that change rarely, then our schedulers' own: they have no job that the database lacks. */
function besides({ file, tokensFile, tls, pools, stateDir }: SiteConfig): readonly string[] {
  return [
    file,
    tokensFile,
    ...(tls === null ? [] : [tls.certificateFile, tls.keyFile]),
    ...pools.flatMap(({ lrm }) => lrmKind(lrm).ownFiles?.(lrm) ?? []),
    join(stateDir, 'pools'),
  ];
}
