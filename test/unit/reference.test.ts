import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { referenceText } from '../documents/reference.ts';

it('docs/reference.md is what npm run reference writes', () => {
  const page = readFileSync(new URL('../../docs/reference.md', import.meta.url), 'utf8');
  expect(page).toBe(referenceText());
});
