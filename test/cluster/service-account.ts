import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemProcesses } from '../../src/platform/process.ts';
import { type HostView, userIds } from './host-view.ts';

/**
 * The ordinary user who runs a site's service and whose jobs the leases are, with the helper behind
 * sudo, as docs/admin/helper.md installs it.
 */
export interface ServiceAccount {
  /** Of the user and of their group. */
  readonly id: number;
  /** The command, to be run as them. */
  as(argv: readonly string[]): [string, ...string[]];
  /** The command, to be run as root where they exist. */
  inside(argv: readonly string[]): [string, ...string[]];
  /** Where they find the checkout and Node.js, which may be where only root gets to. */
  readonly checkout: string;
  readonly node: string;
  /** Environment for what they run. */
  readonly env: NodeJS.ProcessEnv;
  /** The site file's `node.helper`. */
  readonly helper: readonly string[];
  /**
   * Root's policy for the helper: it allows nothing until the site puts there what its networks
   * need.
   */
  readonly policyFile: string;
  /** Where the helper keeps its journals; what outlives a power loss is beside it. */
  readonly helperStateDir: string;
}

/**
 * Installs the helper for `wsp` on the site's nodes, which share this machine's files; programs and
 * journals in `directory`, which is root's.
 */
export async function makeServiceAccount(view: HostView, directory: string): Promise<ServiceAccount> {
  const prefix = join(directory, 'local');
  const helperStateDir = join(directory, 'helper');
  const policyFile = join(directory, 'etc/helper.json');
  mkdirSync(join(directory, 'etc'));
  writeFileSync(policyFile, JSON.stringify({ networks: [], peers: [] }), { mode: 0o644 });
  const argv = view.inside([
    join(view.checkout, 'scripts/install-helper'),
    ...['--user', 'wsp', '--prefix', prefix, '--node', view.node],
    ...['--etc-dir', join(directory, 'etc')],
    ...['--state-dir', helperStateDir, '--disk-dir', `${helperStateDir}-disk`],
  ]);
  const { code, stdout, stderr } = await systemProcesses.run(argv, { deadlineMs: 60_000 });
  if (code !== 0) throw new Error(`install-helper: exit ${code}: ${stdout}${stderr}`);
  return {
    id: userIds.wsp,
    as: command => view.as('wsp', command),
    inside: command => view.inside(command),
    checkout: view.checkout,
    node: view.node,
    env: {
      PATH: `${join(view.node, '..')}:${process.env['PATH'] ?? ''}`,
      HOME: view.homeOf('wsp'),
      USER: 'wsp',
      LOGNAME: 'wsp',
    },
    helper: ['sudo', '-n', join(prefix, 'sbin/wsp-helper')],
    policyFile,
    helperStateDir,
  };
}
