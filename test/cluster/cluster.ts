import type { NodeNetworks } from '../../src/lrm/local/namespaces.ts';
import type { CommandResult } from '../../src/platform/process.ts';
import type { ServiceAccount } from './service-account.ts';

/** A private, real batch scheduler on this machine, its nodes network namespaces. Nothing of the host's is touched. */
export interface BatchCluster {
  readonly directory: string;
  readonly headAddress: string;
  readonly vmLan: NodeNetworks['vmLan'];
  readonly nodes: NodeNetworks['nodes'];
  /** The ordinary user who runs the service; undefined where everything is root's. */
  readonly account?: ServiceAccount;
  /** The site file's `lrm`, with extra arguments for the submit command. */
  lrmSection(options: readonly string[]): Readonly<Record<string, unknown>>;
  /** Runs a command with the scheduler's environment; never rejects because of an exit code. */
  run(argv: readonly [string, ...string[]], input?: string): Promise<CommandResult>;
  /** What the scheduler still has, one line for each job. */
  jobs(): Promise<readonly string[]>;
  /** Has the scheduler end a job, as its administrator would. */
  endJob(jobId: string): Promise<void>;
  /** Resolves when every node is idle: nothing runs and nothing is being cleaned up. */
  untilIdle(): Promise<void>;
  /** Ends the daemons and all jobs, and removes the nodes and the directory. */
  stop(): Promise<void>;
}

/** The lines of a command's output. Rejects when it fails. */
export async function linesOf(
  run: BatchCluster['run'],
  argv: readonly [string, ...string[]],
): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run(argv);
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr.trim()}`);
  return stdout.split('\n').filter(line => line !== '');
}
