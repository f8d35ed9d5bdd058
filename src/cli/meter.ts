import type { Duplex } from 'node:stream';
import { Value } from 'typebox/value';
import { Lines } from '../platform/lines.ts';
import { VmStatistics } from '../protocol/statistics.ts';

/** Far more than a line of statistics has. */
const longestLine = 1_024;

/** What a VM uses: what it has, and what it did in a second since the line before. */
export interface Use {
  /** 100 is one processor, wholly busy. */
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  readonly diskReadBytesPerSecond: number;
  readonly diskWrittenBytesPerSecond: number;
  readonly networkReceivedBytesPerSecond: number;
  readonly networkSentBytesPerSecond: number;
}

/** One VM's statistics as they come. */
export class Meter {
  readonly #stream: Duplex;
  #before: VmStatistics | undefined;
  #use: Use | undefined;
  #ended = false;
  #come: () => void = () => undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    const lines = new Lines(
      longestLine,
      line => this.#take(line),
      () => stream.destroy(),
    );
    stream.on('data', (chunk: Buffer) => lines.push(chunk));
    // Why, is in the VM's state.
    stream.on('error', () => undefined);
    stream.once('close', () => {
      this.#ended = true;
      this.#use = undefined;
      this.#come();
    });
  }

  /** Undefined before the second line, and after the end. */
  get use(): Use | undefined {
    return this.#use;
  }

  /** The VM is not there any more, or its pilot is not. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves when there is something new: a use, or the end. */
  next(): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise(resolve => {
      this.#come = resolve;
    });
  }

  stop(): void {
    this.#stream.destroy();
  }

  #take(line: string): void {
    const now = statisticsOf(line);
    if (!now) return void this.#stream.destroy();
    const before = this.#before;
    this.#before = now;
    // A VM that was started again counts from nothing, and a clock may be set back.
    if (!before || now.at <= before.at || now.cpuMs < before.cpuMs) return;
    this.#use = useBetween(before, now);
    this.#come();
  }
}

function statisticsOf(line: string): VmStatistics | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return Value.Check(VmStatistics, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function useBetween(before: VmStatistics, now: VmStatistics): Use {
  const seconds = (now.at - before.at) / 1_000;
  const rate = (counter: keyof VmStatistics): number =>
    Math.max(0, Math.round((now[counter] - before[counter]) / seconds));
  return {
    cpuPercent: Math.round(rate('cpuMs') / 10),
    memoryBytes: now.memoryBytes,
    diskReadBytesPerSecond: rate('diskReadBytes'),
    diskWrittenBytesPerSecond: rate('diskWrittenBytes'),
    networkReceivedBytesPerSecond: rate('networkReceivedBytes'),
    networkSentBytesPerSecond: rate('networkSentBytes'),
  };
}
