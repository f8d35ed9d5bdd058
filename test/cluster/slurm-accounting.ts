import { hostname } from 'node:os';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startChild } from '../../src/platform/children.ts';
import { type BatchCluster, linesOf } from './cluster.ts';
import type { SiteUser } from './host-view.ts';
import { must, until } from './slurm-daemons.ts';

/**
 * Slurm's accounting, with limits that are enforced: who may submit at all, and how much (slurmdbd
 * with a MariaDB of its own).
 */
export interface SlurmAccounting {
  /**
   * Sets limits of the QOS that the site's jobs get, in the words of sacctmgr(1), such as
   * `MaxWall=10`, `MaxSubmitJobsPerUser=2`, `MaxJobsPerUser=1`,
   * `Flags=DenyOnLimit`; `-1` takes one away. slurmctld knows them when this resolves.
   */
  limit(...what: string[]): Promise<void>;
  /** Takes the user's right to submit jobs away. Slurm refuses it while they have one. */
  noAssociation(user: SiteUser): Promise<void>;
  /** Gives it back. */
  association(user: SiteUser): Promise<void>;
  /** Makes the user an operator, who may change others' jobs and give jobs more time. */
  operator(user: SiteUser): Promise<void>;
}

/** The accounts of a site's users; root has one from the start. */
const accounts: Readonly<Record<SiteUser, string>> = { wsp: 'physics', ann: 'chemistry' };

/** Lines of slurm.conf(5). */
export function accountingLines(directory: string, headAddress: string, port: number): readonly string[] {
  return [
    'AccountingStorageType=accounting_storage/slurmdbd',
    `AccountingStorageHost=${headAddress}`,
    `AccountingStoragePort=${port}`,
    `AccountingStoragePass=${join(directory, 'munge', 'socket')}`,
    'AccountingStorageEnforce=associations,limits,qos',
  ];
}

/** Starts MariaDB and slurmdbd, with their files in `directory`; before slurmctld. */
export async function startAccounting(
  directory: string,
  { headAddress, port }: { readonly headAddress: string; readonly port: number },
  run: BatchCluster['run'],
): Promise<void> {
  const database = join(directory, 'database');
  const socket = join(database, 'socket');
  mkdirSync(join(database, 'data'), { recursive: true });
  // No file of the machine's: another MariaDB may be installed here.
  const own = ['--no-defaults', `--datadir=${join(database, 'data')}`, '--user=root'];
  await must(run, [
    'mariadb-install-db',
    ...own,
    '--auth-root-authentication-method=socket',
    '--auth-root-socket-user=root',
    '--skip-test-db',
  ]);
  const server = await startChild(
    [
      'mariadbd',
      ...own,
      `--socket=${socket}`,
      `--pid-file=${join(database, 'pid')}`,
      `--log-error=${join(database, 'log')}`,
      '--skip-networking',
      // Nothing here has to outlive the power.
      '--innodb-flush-log-at-trx-commit=0',
    ],
    { detached: true, cwd: database },
  );
  server.unref();
  const answers = ['mariadb', '--no-defaults', `--socket=${socket}`, '-e', 'select 1'] as const;
  await until(run, answers, ({ code }) => code === 0);
  const conf = join(directory, 'slurmdbd.conf');
  writeFileSync(conf, slurmdbdConfiguration(directory, headAddress, port));
  chmodSync(conf, 0o600);
  // It knows no setting for the socket, but its library does.
  await must(run, ['env', `MYSQL_UNIX_PORT=${socket}`, 'slurmdbd']);
  // slurmctld does not start without it.
  await until(run, ['sacctmgr', '-n', 'show', 'cluster'], ({ code }) => code === 0);
}

/** slurmdbd.conf(5); it lies beside slurm.conf. */
function slurmdbdConfiguration(directory: string, headAddress: string, port: number): string {
  return `${[
    'AuthType=auth/munge',
    `AuthInfo=socket=${join(directory, 'munge', 'socket')}`,
    `DbdHost=${hostname()}`,
    `DbdAddr=${headAddress}`,
    `DbdPort=${port}`,
    'SlurmUser=root',
    `LogFile=${join(directory, 'log', 'slurmdbd.log')}`,
    `PidFile=${join(directory, 'run', 'slurmdbd.pid')}`,
    'StorageType=accounting_storage/mysql',
    'StorageHost=localhost',
    'StorageUser=root',
    'StorageLoc=slurm',
  ].join('\n')}\n`;
}

/** Makes the accounts and their QOS, once slurmctld has told slurmdbd of its cluster. */
export async function fillAccounting(run: BatchCluster['run']): Promise<SlurmAccounting> {
  const manage = async (...argv: string[]): Promise<void> =>
    void (await linesOf(run, ['sacctmgr', '-i', ...argv]));
  await until(run, ['sacctmgr', '-nP', 'show', 'cluster', 'format=Cluster,ControlHost'], ({ stdout }) =>
    /^site\|\S/m.test(stdout),
  );
  await manage('add', 'qos', 'leases');
  const association = (user: SiteUser): Promise<void> =>
    manage('add', 'user', user, `Account=${accounts[user]}`);
  for (const [user, account] of Object.entries(accounts)) {
    await manage('add', 'account', account, 'QOS=leases', 'DefaultQOS=leases');
    await association(user as SiteUser);
  }
  return {
    limit: (...what) => manage('modify', 'qos', 'leases', 'set', ...what),
    noAssociation: user => manage('delete', 'user', user),
    association,
    operator: user => manage('modify', 'user', user, 'set', 'AdminLevel=Operator'),
  };
}
