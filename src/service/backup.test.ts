import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { backUp } from './backup.ts';
import { openSqliteStore } from './store/sqlite.ts';

let place = '';
const at = (name: string): string => join(place, name);

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-backup-'));
  mkdirSync(at('images'));
  const site = {
    service: {
      ...{ listen: '127.0.0.1:0', stateDir: 'state', tokensFile: 'tokens' },
      tls: { certificateFile: 'cert.pem', keyFile: 'key.pem' },
    },
    lrm: { kind: 'static', joinSecretFile: 'join' },
    images: { dir: 'images' },
    networks: [],
    node: { workDir: 'work', helper: ['true'], vmm: { kind: 'sim' } },
  };
  writeFileSync(at('site.yaml'), JSON.stringify(site));
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

it('says what a backup of the whole site has beside the database: what of it is there', async () => {
  await openSqliteStore({ directory: at('state') }).close();
  for (const file of ['tokens', 'key.pem', 'join']) writeFileSync(at(file), '', { mode: 0o600 });
  mkdirSync(at('state/pools/default'), { recursive: true });
  const { file, besides } = backUp(at('site.yaml'), at('copy.db'));
  expect(file).toBe(at('copy.db'));
  expect(besides).toEqual(['site.yaml', 'tokens', 'key.pem', 'join', 'state/pools'].map(at));
});

it('is refused where no service has been yet, and makes nothing', () => {
  expect(() => backUp(at('site.yaml'), at('copy.db'))).toThrow(`there is no database in ${at('state')}`);
  expect(() => backUp(at('other.yaml'), at('copy.db'))).toThrow('is not there');
});
