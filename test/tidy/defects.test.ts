import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** docs/reliability.md lists the original's measured defects; each has a test that is named after it, where the table says. */
const root = join(import.meta.dirname, '../..');
const rows = [
  ...readFileSync(join(root, 'docs/reliability.md'), 'utf8').matchAll(/^\| (\d+) \| .* \| `([^`]+)` \|$/gm),
].map(([, number = '', file = '']) => ({ number: Number(number), file }));

it('each defect of the original has its test', () => {
  expect(rows.map(({ number }) => number)).toEqual(rows.map((_row, index) => index + 1));
  expect(rows).not.toEqual([]);
  for (const { number, file } of rows)
    expect(readFileSync(join(root, file), 'utf8'), file).toContain(`original defect ${number},`);
});

it('no test names a defect that the table does not have', () => {
  const files = ['src', 'test/e2e', 'test/unit'].flatMap(directory =>
    readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.test.ts'))
      .map(name => join(directory, name)),
  );
  const named = files.flatMap(file =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/original defect (\d+),/g)].map(([, number]) => ({
      number: Number(number),
      file,
    })),
  );
  expect(named.toSorted((a, b) => a.number - b.number)).toEqual(rows);
});
