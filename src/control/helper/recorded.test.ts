import { expect, it } from 'vitest';
import { recorded } from '../../../test/support/recorded.ts';
import { parseRequest } from './requests.ts';

/** The other end, a helper of that version, is in client.test.ts. */
it('what a pilot of protocol 1 asked is understood as it was meant', () => {
  const asked = recorded<'pilot' | 'helper'>('helper-1.jsonl').filter(({ from }) => from === 'pilot');
  expect(asked).toHaveLength(8);
  for (const { message } of asked) expect(parseRequest(JSON.stringify(message))).toEqual(message);
});
