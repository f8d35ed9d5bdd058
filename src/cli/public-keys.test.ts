import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { WspError } from '../protocol/errors.ts';
import { publicKeysIn } from './public-keys.ts';

const kind = 'ssh-ed25519';
const body = Buffer.concat([
  Buffer.from([0, 0, 0, kind.length]),
  Buffer.from(kind),
  Buffer.from([0, 0, 0, 32]),
  Buffer.alloc(32, 7),
]);
const key = `${kind} ${body.toString('base64')}`;

function refusal(text: string): string {
  try {
    publicKeysIn(text, 'k');
  } catch (cause) {
    if (cause instanceof WspError) return `${cause.message}; ${cause.hint ?? ''}`;
    throw cause;
  }
  return 'none';
}

describe('report 9: --ssh-key', () => {
  it('report 9: takes one key a line, with comments, empty lines, options and Windows’ line ends', () => {
    const text = `# mine\r\n\r\n${key} me@here\r\n  ${key}  \n\nno-pty,command="a b" ${key} x\n`;
    expect(publicKeysIn(text, 'k')).toEqual([`${key} me@here`, key, `no-pty,command="a b" ${key} x`]);
  });

  it.each<readonly [string, string]>([
    ...(['pkcs8', 'sec1'] as const).map(type => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return [type, privateKey.export({ type, format: 'pem' }).toString()] as const;
    }),
    ['OpenSSH', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----\n'],
    ['encrypted', '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n'],
    ['PuTTY', 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n'],
    ['one among public ones', `${key}\n-----BEGIN RSA PRIVATE KEY-----\nMII=\n`],
  ])('report 9: recognises a private key: %s', (_what, text) => {
    expect(refusal(text)).toMatch(
      /^k holds a private key, which is for you alone; nothing was sent; say --ssh-key k\.pub/,
    );
    expect(refusal(text)).not.toMatch(/MII|b3Bl/);
  });

  it.each([
    ['another form', '---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n', /in another form than OpenSSH's; convert it/],
    ['PEM', '-----BEGIN PUBLIC KEY-----\nMII=\n', /in another form/],
    ['a half', `${key}\n${kind} AAAA\n`, /^k: line 2 is not a public key/],
    ['a key of another kind', key.replace(kind, 'ssh-rsa'), /^k: line 1 is not a public key/],
    ['something else', 'hello\n', /^k: line 1 is not a public key/],
    ['nothing', '# none\n\n', /^k holds no public key/],
  ])('report 9: says in words what is wrong: %s', (_what, text, message) => {
    expect(refusal(text)).toMatch(message);
    expect(refusal(text)).not.toMatch(/pattern|\^|\\/);
  });
});
