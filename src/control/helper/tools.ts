import { existsSync, writeFileSync } from 'node:fs';
import type { Clock } from '../../platform/clock.ts';
import { oneLine } from '../../platform/one-line.ts';
import type { CommandResult, ProcessRunner } from '../../platform/process.ts';
import { ControlError } from '../control.ts';
import type { Setting } from '../network/bridge.ts';

const toolDeadlineMs = 10_000;

/** The few programs that the helper runs as root: iproute2, nft, dnsmasq. Several commands a process where the program can. */
export class RootTools {
  readonly clock: Clock;
  readonly #processes: ProcessRunner;

  constructor(clock: Clock, processes: ProcessRunner) {
    this.clock = clock;
    this.#processes = processes;
  }

  /** Throws `ControlError` with the program's own words when it fails. */
  async run(argv: readonly [string, ...string[]], input?: string): Promise<CommandResult> {
    const result = await this.#processes.run(argv, { deadlineMs: toolDeadlineMs, input });
    if (result.code === 0) return result;
    const words = oneLine(result.stderr) || `exit ${result.code}`;
    throw new ControlError('node_tool_failed', `${argv.slice(0, 6).join(' ')}: ${words}`);
  }

  async ipBatch(lines: readonly string[]): Promise<void> {
    if (lines.length > 0) await this.run(['ip', '-batch', '-'], `${lines.join('\n')}\n`);
  }

  /** Every line is tried, whatever becomes of the others: for undoing, where the caller looks at what is left. */
  async ipBatchAnyway(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    await this.#processes.run(['ip', '-force', '-batch', '-'], {
      deadlineMs: toolDeadlineMs,
      input: `${lines.join('\n')}\n`,
    });
  }

  async bridgeBatch(lines: readonly string[]): Promise<void> {
    if (lines.length > 0) await this.run(['bridge', '-batch', '-'], `${lines.join('\n')}\n`);
  }

  /** Settings of interfaces that are there, without those of protocols that the kernel lacks. */
  set(settings: readonly Setting[]): void {
    for (const [path, value] of settings) {
      if (existsSync(`/proc/sys/net/${path}`)) writeFileSync(`/proc/sys/net/${path}`, value);
    }
  }

  /** One transaction. */
  async nft(text: string): Promise<void> {
    await this.run(['nft', '-f', '-'], text);
  }
}
