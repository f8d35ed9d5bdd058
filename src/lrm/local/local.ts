import type { Child, StartChild } from '../../platform/children.ts';
import type { Clock, StopTimer } from '../../platform/clock.ts';
import { startProgram } from '../../platform/program.ts';
import { FirstComeLrm, type Job, type Room } from '../first-come.ts';
import type { LrmCapabilities } from '../lrm.ts';
import type { NamespaceNode } from './namespaces.ts';

/** What the nodes are, and have. */
export interface LocalSettings {
  readonly nodes: readonly LocalNode[];
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  /** The Node program. */
  readonly node: string;
  readonly killDelayMs: number;
}

/** A node: a name, and a network namespace when it has one of its own. */
export type LocalNode = Pick<NamespaceNode, 'name'> & { readonly netns?: string | undefined };

/** What the embedded LRM works with. */
export interface LocalParts {
  readonly clock: Clock;
  readonly startChild: StartChild;
  /** Called at the end of `close`, when no pilot is left: removes the nodes. */
  readonly afterClose?: () => Promise<void>;
}

/**
 * The embedded LRM: runs pilots as processes of this machine, for trial and demonstration. It
 * watches over the time limits itself. Jobs live as long as the service's process: after a restart
 * they are gone from the list, and their pilots release by themselves.
 */
export class LocalLrm extends FirstComeLrm {
  readonly kind = 'local';
  protected readonly site: Pick<LrmCapabilities, 'killDelayMs' | 'jobEndEnv'>;
  readonly #settings: LocalSettings;
  readonly #parts: LocalParts;
  readonly #children = new Map<Child, Job>();
  /** Of each live job: its end, or its kill. */
  readonly #timers = new Map<string, StopTimer>();

  constructor(settings: LocalSettings, parts: LocalParts) {
    super(parts.clock);
    this.#settings = settings;
    this.#parts = parts;
    this.site = { killDelayMs: settings.killDelayMs, jobEndEnv: [] };
  }

  protected rooms(): readonly Room[] {
    const { nodes, memoryMiBPerNode: memoryMiB, cpusPerNode: cpus } = this.#settings;
    return nodes.map(({ name }) => ({ name, memoryMiB, cpus }));
  }

  protected run(job: Job): void {
    this.moveEnd(job);
    for (const name of job.nodes) void this.#launch(job, name);
  }

  protected stop(job: Job): void {
    this.#signal(job, 'SIGTERM');
    this.#arm(job, this.#settings.killDelayMs, () => this.#signal(job, 'SIGKILL'));
  }

  protected moveEnd(job: Job): void {
    const leftMs = Math.max(0, (job.endsAt ?? 0) - this.clock.now());
    this.#arm(job, leftMs, () => this.end(job, 'timeout', 'the job reached its time limit'));
  }

  /** Nothing is kept: the jobs end with this process. */
  protected keep(): void {}

  protected forget(jobId: string): void {
    this.#timers.get(jobId)?.();
    this.#timers.delete(jobId);
  }

  async close(): Promise<void> {
    const ended = new Promise<void>(resolve => {
      const look = (): void => (this.live().length === 0 ? resolve() : undefined);
      this.onChange(look);
      look();
    });
    for (const job of this.live()) this.end(job, 'cancelled', 'the service has ended');
    await ended;
    await this.#parts.afterClose?.();
  }

  async #launch(job: Job, name: string): Promise<void> {
    const netns = this.#settings.nodes.find(node => node.name === name)?.netns;
    try {
      const child = await startProgram(this.#parts.startChild, {
        node: this.#settings.node,
        program: job.request.program,
        env: { WSP_NODE: name },
        enter: netns === undefined ? [] : ['nsenter', `--net=/run/netns/${netns}`],
      });
      this.#children.set(child, job);
      // The job was told to end while this pilot was being started.
      if (job.state !== 'running') child.kill('SIGTERM');
      const { code } = await child.exited;
      this.#children.delete(child);
      const how = code === null ? 'a signal' : `exit code ${code}`;
      this.endedOn(job, name, code === 0 ? undefined : `a pilot on ${name} ended with ${how}`);
    } catch (cause) {
      this.end(job, 'failed', `a pilot could not be started: ${String(cause)}`);
      this.endedOn(job, name);
    }
  }

  #signal(job: Job, signal: 'SIGTERM' | 'SIGKILL'): void {
    for (const [child, its] of this.#children) if (its === job) child.kill(signal);
  }

  #arm({ id }: Job, ms: number, then: () => void): void {
    this.#timers.get(id)?.();
    this.#timers.set(id, this.clock.after(ms, then));
  }
}
