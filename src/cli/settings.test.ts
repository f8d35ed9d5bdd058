import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cliSettings } from './settings.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-settings-'));
  mkdirSync(join(directory, 'wsp'));
  writeFileSync(join(directory, 'wsp/config.yaml'), 'url: http://configured:1\ntokenFile: token\n');
  writeFileSync(join(directory, 'wsp/token'), 'admin from-the-file\nsecond line\n', { mode: 0o600 });
  writeFileSync(join(directory, 'plain'), 'plain-token\n', { mode: 0o600 });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** This host may have the product installed, and a config file for all of its users. */
const host = (): NodeJS.ProcessEnv => ({ XDG_CONFIG_DIRS: join(directory, 'none') });
const configured = (): NodeJS.ProcessEnv => ({ ...host(), XDG_CONFIG_HOME: directory });
const nothing = (): NodeJS.ProcessEnv => ({ ...host(), XDG_CONFIG_HOME: join(directory, 'none') });

describe('cliSettings', () => {
  it('reads the config file; its token file is relative to it', () => {
    expect(cliSettings(configured())).toEqual({ url: 'http://configured:1', token: 'from-the-file' });
    expect(cliSettings({ ...nothing(), WSP_CONFIG: join(directory, 'wsp/config.yaml') }).token).toBe(
      'from-the-file',
    );
  });

  it('takes the environment before the file', () => {
    expect(cliSettings({ ...configured(), WSP_URL: 'https://env', WSP_TOKEN: 't' })).toEqual({
      url: 'https://env',
      token: 't',
    });
    expect(cliSettings({ ...configured(), WSP_TOKEN_FILE: join(directory, 'plain') }).token).toBe(
      'plain-token',
    );
  });

  it('takes what an administrator has said for all users of the host, after what the user says', () => {
    const shared = join(directory, 'host');
    mkdirSync(join(shared, 'wsp'), { recursive: true });
    writeFileSync(join(shared, 'wsp/config.yaml'), 'url: unix:/run/ours\nserviceUser: wsp\n');
    const env = { XDG_CONFIG_DIRS: `relative:/none:${shared}` };
    expect(cliSettings({ ...nothing(), ...env })).toMatchObject({
      url: 'unix:/run/ours',
      serviceUser: 'wsp',
    });
    expect(cliSettings({ ...configured(), ...env })).toMatchObject({
      url: 'http://configured:1',
      serviceUser: 'wsp',
    });
    expect(cliSettings({ ...nothing(), ...env, WSP_SERVICE_USER: 'other' }).serviceUser).toBe('other');
  });

  it('takes the socket of the service on this host where nothing says where a service is', () => {
    const socket = join(directory, 'plain');
    expect(cliSettings(nothing(), socket).url).toBe(`unix:${socket}`);
    expect(cliSettings({ WSP_URL: 'http://a' }, socket).url).toBe('http://a');
  });

  it.each([
    ['no URL', { WSP_TOKEN: 't' }, /URL of the service is not known/],
    ['an empty URL', { WSP_URL: '', WSP_TOKEN: 't' }, /URL of the service is not known/],
    ['no http URL', { WSP_URL: 'head:8080', WSP_TOKEN: 't' }, /must begin with http.*head:8080/],
    ['an empty token', { WSP_URL: 'http://a', WSP_TOKEN: '' }, /the token is empty/],
    [
      'a certificate file that is not there',
      { WSP_URL: 'https://a', WSP_CA_FILE: '/none/x' },
      /certificate file \/none\/x cannot be read/,
    ],
    [
      'a certificate file without one',
      { WSP_URL: 'https://a', WSP_CA_FILE: '/dev/null' },
      /holds no certificate/,
    ],
    [
      'a token file that is not there',
      { WSP_URL: 'http://a', WSP_TOKEN_FILE: '/none/x' },
      /token file \/none\/x cannot be read/,
    ],
    ['a config file that is not there', { WSP_CONFIG: '/none/y' }, /config file \/none\/y cannot be used/],
  ])('refuses %s, and says where it is given', (_what, env, words) => {
    expect(() => cliSettings({ ...nothing(), ...env }, '/none/socket')).toThrow(
      expect.objectContaining({
        code: 'usage',
        message: expect.stringMatching(words),
        hint: expect.stringMatching(/WSP_|config/),
      }),
    );
  });

  it.each([
    ['not YAML', '{', /cannot be used/],
    ['no mapping', 'just text', /not a mapping/],
    ['a key that is not known', 'token: abc', /token is not known here; known: url, tokenFile/],
    ['a value that is no text', 'url: 7', /url is not a text/],
  ])('refuses a config file with %s', (_what, text, words) => {
    const path = join(directory, 'bad.yaml');
    writeFileSync(path, text);
    expect(() => cliSettings({ WSP_CONFIG: path, WSP_TOKEN: 't' })).toThrow(words);
  });
});
