import { createInterface } from 'node:readline';
import type { HelperAnswer } from '../../src/control/helper/requests.ts';
import { type Child, startChild } from '../../src/platform/children.ts';
import { systemClock, withDeadline } from '../../src/platform/clock.ts';

const answerDeadlineMs = 60_000;

/** A helper that is spoken to by the line, as a hostile pilot would. */
export interface RawHelper {
  readonly pid: number;
  /** Every line that it has said, its greeting first. */
  readonly said: readonly string[];
  /** All that it has said on its standard error. */
  readonly complaints: () => string;
  /** Writes text as it is. */
  write(text: string | Buffer): void;
  /** The answer to one request, whose id is set here. */
  ask(request: object): Promise<HelperAnswer>;
  /** Resolves when it has said so many lines; rejects when it has ended before. */
  lines(count: number): Promise<void>;
  /** Closes its input; its exit code, when it has undone its slot. */
  end(): Promise<number | null>;
  kill(): Promise<void>;
}

/** Starts one and resolves when it has greeted. */
export async function startRawHelper(argv: readonly [string, ...string[]]): Promise<RawHelper> {
  const child = await startChild(argv, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const said: string[] = [];
  let complaints = '';
  const heard = listen(child, said);
  child.stderr?.on('data', (chunk: Buffer) => {
    complaints += chunk.toString('utf8');
  });
  let lastId = 0;
  const lines = (count: number): Promise<void> =>
    withDeadline(systemClock, answerDeadlineMs, `line ${count} of the helper's`, heard(count)).catch(
      (cause: unknown) => {
        throw new Error(`${String(cause)}; its standard error: ${complaints}`);
      },
    );
  const helper: RawHelper = {
    pid: child.pid,
    said,
    complaints: () => complaints,
    write: text => void child.stdin?.write(text),
    lines,
    async ask(request) {
      lastId += 1;
      child.stdin?.write(`${JSON.stringify({ ...request, id: lastId })}\n`);
      // One at a time: its answer is the next line.
      await lines(lastId + 1);
      const answer = JSON.parse(said[lastId] ?? '') as HelperAnswer;
      if (answer.id !== lastId) throw new Error(`request ${lastId} got ${JSON.stringify(answer)}`);
      return answer;
    },
    async end() {
      child.stdin?.end();
      return (await child.exited).code;
    },
    async kill() {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
  await lines(1);
  return helper;
}

/** What resolves when so many lines are there. */
function listen(child: Child, said: string[]): (count: number) => Promise<void> {
  const waiting = new Set<() => void>();
  let ended = false;
  const look = (): void => [...waiting].forEach(each => each());
  if (child.stdout) {
    const lines = createInterface({ input: child.stdout });
    lines.on('line', line => {
      said.push(line);
      look();
    });
  }
  void child.exited.then(() => {
    ended = true;
    look();
  });
  return count =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        if (said.length < count && !ended) return;
        waiting.delete(check);
        if (said.length >= count) resolve();
        else reject(new Error('the helper has ended'));
      };
      waiting.add(check);
      check();
    });
}
