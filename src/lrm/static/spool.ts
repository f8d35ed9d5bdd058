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
import type { KeptJob, Room } from '../first-come.ts';
import { WspError } from '../../protocol/errors.ts';

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

  /** In their order: ids are numbers that grow. Throws `WspError` (`failed`): one cannot be read. */
  jobs(): readonly KeptJob[] {
    return readdirSync(this.#directory)
      .filter(name => name.endsWith('.job'))
      .map(name => this.#read(name) as KeptJob)
      .toSorted((one, other) => Number(one.id) - Number(other.id));
  }

  putNodes(nodes: readonly Room[]): void {
    this.#write('nodes.json', JSON.stringify(nodes));
  }

  /** Throws as `jobs`. */
  nodes(): readonly Room[] {
    try {
      return this.#read('nodes.json') as Room[];
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw cause;
    }
  }

  #read(name: string): unknown {
    const path = join(this.#directory, name);
    const text = readFileSync(path, 'utf8');
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new WspError('failed', `what is kept of static nodes cannot be read: ${path}: it is not JSON`, {
        hint: 'put the file back from a backup, or remove it: agents join again by themselves, and end a job that the service does not know',
        cause,
      });
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
