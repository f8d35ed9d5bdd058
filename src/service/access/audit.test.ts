import { beforeEach, expect, it } from 'vitest';
import { silentLog } from '../../platform/log.ts';
import { nextTurn } from '../../platform/clock.ts';
import type { AuditEntry } from '../store/store.ts';
import { AuditLog } from './audit.ts';

let written: string[][];
let logged: string[];
let loggedFields: unknown[];
/** How many writings were under way at once. */
let mostAtOnce: number;
let hold: Promise<void>;
let failure: Error | undefined;
let audit: AuditLog;
beforeEach(() => {
  [written, logged, loggedFields, hold, failure] = [[], [], [], Promise.resolve(), undefined];
  mostAtOnce = 0;
  let atOnce = 0;
  audit = new AuditLog(
    {
      appendAudit: async entries => {
        atOnce += 1;
        mostAtOnce = Math.max(mostAtOnce, atOnce);
        await hold;
        atOnce -= 1;
        if (failure) throw failure;
        written.push(entries.map(({ user }) => String(user)));
      },
      audit: query => Promise.resolve([query] as never),
    },
    {
      ...silentLog,
      error: (message, fields) => {
        logged.push(message);
        loggedFields.push(fields);
      },
    },
  );
});

/** A line is told by its user. */
const entry = (user: string): AuditEntry => ({ user }) as unknown as AuditEntry;

it('lines that come together are written together, in their order, and answered when they are', async () => {
  let release = (): void => undefined;
  hold = new Promise(resolve => {
    release = resolve;
  });
  let answered = 0;
  const count = (): void => void (answered += 1);
  const first = ['one', 'two'].map(user => audit.write(entry(user)).then(count));
  await nextTurn();
  await nextTurn();
  const later = ['three', 'four'].map(user => audit.write(entry(user)).then(count));
  await nextTurn();
  expect([written, answered]).toEqual([[], 0]);
  release();
  await Promise.all([...first, ...later]);
  expect(written).toEqual([
    ['one', 'two'],
    ['three', 'four'],
  ]);
  expect(mostAtOnce).toBe(1);
  await audit.write(entry('five'));
  expect(written.at(-1)).toEqual(['five']);
});

it('lines that cannot be written hold nobody up, stand in the log, and are followed by others', async () => {
  failure = new Error('disk full');
  await audit.write(entry('one'));
  expect([written, logged]).toEqual([[], ['the audit log could not be written']]);
  expect(loggedFields).toEqual([expect.objectContaining({ entries: [entry('one')] })]);
  failure = undefined;
  await audit.write(entry('two'));
  expect(written).toEqual([['two']]);
});

it('more than the disk can keep up with is in the log alone', async () => {
  const all = Array.from({ length: 20_000 }, (_, index) => audit.write(entry(String(index))));
  await audit.write(entry('one more'));
  expect(logged).toEqual(['the audit log cannot keep up']);
  expect(loggedFields).toEqual([{ entry: entry('one more') }]);
  await Promise.all(all);
  expect(written.flat()).toHaveLength(20_000);
  expect(written.flat()).not.toContain('one more');
});

it('is read as it is asked for', async () => {
  const query = { limit: 7 } as Parameters<AuditLog['read']>[0];
  expect(await audit.read(query)).toEqual([query]);
});
