import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Child } from '../../src/platform/children.ts';
import { type BatchCluster, linesOf } from './cluster.ts';
import { holdPrologs } from './held-prolog.ts';
import type { HostView } from './host-view.ts';

/**
 * What the people of a site do to its Grid Engine while leases wait, run and end there. Each
 * rejects when Grid Engine refuses it.
 */
export interface GridEngineAdministrator {
  /** Ends sge_qmaster, which saves its state; resolves when it has ended. What runs goes on. */
  stopMaster(): Promise<void>;
  /** Starts sge_qmaster again, with the state that it has saved; resolves when it answers. */
  startMaster(): Promise<void>;
  /** `qmod …`, such as `-sj 7`, `-d vms.q`. */
  qmod(...what: string[]): Promise<void>;
  /**
   * `qconf …` on the head node, such as `-rattr queue h_rt 0:5:0 vms.q`; resolves with what it
   * printed.
   */
  qconf(...what: string[]): Promise<string>;
  /** Prologs do not end until they are let go by what this resolves with. */
  holdPrologs(): Promise<() => Promise<void>>;
  /** Tears a node away: everything on it ends at once, and nobody tells Grid Engine. */
  powerOff(index: number): Promise<void>;
  /** Sets a value of the site's configuration (sge_conf(5)), such as `max_u_jobs`. */
  setLimit(key: string, value: string): Promise<void>;
  /**
   * Memory as Grid Engine has it when it is installed, a load value that nothing is taken from; or
   * counted, as at most sites.
   */
  setMemory(how: 'measured' | 'counted'): Promise<void>;
  /** Submits jobs of `ann`, held; resolves with their ids. `options` are of qsub. */
  foreignJobs(count: number, ...options: string[]): Promise<readonly string[]>;
}

/** What an administrator needs of the cluster. */
export interface Reach {
  readonly run: BatchCluster['run'];
  readonly view: HostView;
  qconf(...what: string[]): Promise<string>;
  startMaster(): Promise<Child>;
  /** By node: the process that all of its others are in. */
  readonly nodes: readonly Child[];
  readonly directory: string;
  setMemory(how: 'measured' | 'counted'): Promise<void>;
}

/** The administrator of a Grid Engine whose sge_qmaster is `master`. */
export function gridEngineAdministrator(reach: Reach, master: Child): GridEngineAdministrator {
  let running = master;
  return {
    stopMaster: async () => {
      // The process that was started is sge_qmaster itself.
      running.kill('SIGTERM');
      await running.exited;
    },
    startMaster: async () => {
      running = await reach.startMaster();
    },
    qmod: async (...what) => void (await linesOf(reach.run, ['qmod', ...what])),
    qconf: reach.qconf,
    holdPrologs: () => holdPrologs(reach.directory),
    powerOff: async index => {
      const node = reach.nodes[index];
      if (!node) throw new Error(`there is no node ${index}`);
      node.kill('SIGKILL');
      await node.exited;
    },
    setLimit: async (key, value) => {
      const lines = (await reach.qconf('-sconf')).split('\n').slice(1);
      const path = join(reach.directory, 'global');
      writeFileSync(
        path,
        lines.map(line => (line.split(/\s/)[0] === key ? `${key} ${value}` : line)).join('\n'),
      );
      await reach.qconf('-Mconf', path);
    },
    setMemory: reach.setMemory,
    foreignJobs: async (count, ...options) => {
      const submit =
        'cd /; for n in $(seq "$0"); do echo "sleep 600" | qsub -terse -h -o /dev/null -j y "$@" || exit; done';
      return linesOf(reach.run, reach.view.as('ann', ['sh', '-c', submit, String(count), ...options]));
    },
  };
}
