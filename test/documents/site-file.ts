import { expect } from 'vitest';
import { WspError } from '../../src/protocol/errors.ts';
import { parseSite } from '../../src/service/config/site.ts';

/**
 * Expects that the service reads a site file of the documents. Its directories are those of a site,
 * not of the machine that runs the tests.
 */
export function expectSiteFile(text: string): void {
  try {
    parseSite(text, '/etc/workspace-pilot/site.yaml');
  } catch (cause) {
    const details =
      cause instanceof WspError ? (cause.details ?? []) : [{ path: '', message: String(cause) }];
    expect(
      details.filter(({ message }) => !/^\/(srv|var|opt)\/.* is not a (directory|file)$/.test(message)),
    ).toEqual([]);
  }
}
