import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { KeptJob } from '../first-come.ts';
import type { Room } from '../greedy.ts';

/**
 * The jobs and the nodes of a pool of static nodes, on disk, as every scheduler has its spool: `<jobId>.job`, and `nodes.json`. Mode 0600, because a job's
 * program holds its slot's secret. Every file is written beside and renamed, so a crash leaves the old one or the new one.
 */
export class Spool {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Durable when it returns. */
  put(job: KeptJob): void {
    this.#write(`${job.id}.job`, JSON.stringify(job));
  }

  remove(id: string): void {
    rmSync(join(this.#directory, `${id}.job`), { force: true });
  }

  /** In the order in which they came. */
  jobs(): readonly KeptJob[] {
    return readdirSync(this.#directory)
      .filter(name => name.endsWith('.job'))
      .map(name => JSON.parse(readFileSync(join(this.#directory, name), 'utf8')) as KeptJob)
      .toSorted((one, other) => orderOf(one.id) - orderOf(other.id));
  }

  putNodes(nodes: readonly Room[]): void {
    this.#write('nodes.json', JSON.stringify(nodes));
  }

  nodes(): readonly Room[] {
    try {
      return JSON.parse(readFileSync(join(this.#directory, 'nodes.json'), 'utf8')) as Room[];
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw cause;
    }
  }

  #write(name: string, text: string): void {
    const path = join(this.#directory, name);
    const file = openSync(`${path}.new`, 'w', 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.new`, path);
  }
}

/** Job ids are numbers that grow. */
function orderOf(id: string): number {
  return Number(id);
}
