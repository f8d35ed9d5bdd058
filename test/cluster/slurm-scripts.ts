import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { untilLetGo } from './held-prolog.ts';

/** What root runs around each job. */
export interface NodeScripts {
  /** How long the prolog takes on each node. Default: 0, it has nothing to do. */
  readonly prologSeconds?: number;
  /** Nodes are given whole to jobs, and restored by wsp-kill-all after each. Default: neither. */
  readonly epilog?: boolean;
}

/**
 * What root runs on a node before and after each job (slurm.conf(5), Prolog, Epilog): the prolog
 * that takes its time, and the epilog of docs/admin/helper.md.
 */
export function writeNodeScripts(directory: string, { prologSeconds = 0, epilog }: NodeScripts): void {
  const script = (name: string, text: string): void =>
    writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  script('prolog', `sleep ${prologSeconds}\n${untilLetGo(directory)}`);
  const killAll = `exec ${join(directory, 'local/sbin/wsp-kill-all')} --node "$SLURMD_NODENAME"`;
  script('epilog', epilog ? `[ "$SLURM_JOB_USER" = wsp ] || exit 0\n${killAll}` : 'exit 0');
}

/** Lines of slurm.conf(5): prologs run when nodes are given to the job, not at its first step. */
export function nodeScriptLines(directory: string): readonly string[] {
  return [`Prolog=${join(directory, 'prolog')}`, 'PrologFlags=Alloc', `Epilog=${join(directory, 'epilog')}`];
}
