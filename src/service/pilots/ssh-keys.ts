import { generateKeyPairSync } from 'node:crypto';
import type { KeyPair } from '../../protocol/plan.ts';

/** Makes an SSH key pair whose public line ends in `comment`. Injected: it is slow. */
export type MakeKeyPair = (comment: string) => KeyPair;

/**
 * A new ed25519 pair in OpenSSH's own format, which dropbear and every sshd since 6.5 read.
 * Source: OpenSSH's PROTOCOL.key (openssh-key-v1) and RFC 8709 (the public key's blob).
 */
export const makeSshKeyPair: MakeKeyPair = comment => {
  // Not as a KeyObject that is exported as a JWK: when garbage is collected in the middle of that,
  // Node.js 20 waits for ever for a lock that it holds itself.
  const made = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  // RFC 8410: both end with the key's own bytes.
  const publicKey = made.publicKey.subarray(-keyBytes);
  const seed = made.privateKey.subarray(-keyBytes);
  const blob = Buffer.concat([sshString(keyType), sshString(publicKey)]);
  return {
    privateKey: pem(privateKeyFile(publicKey, seed, blob, comment)),
    publicKey: `${keyType} ${blob.toString('base64')} ${comment}`,
  };
};

const keyType = 'ssh-ed25519';
/** Of the public key, and of the seed of the private one. */
const keyBytes = 32;
/** The cipher `none` has blocks of 8 bytes. */
const blockBytes = 8;

function privateKeyFile(publicKey: Buffer, seed: Buffer, blob: Buffer, comment: string): Buffer {
  // The two check numbers tell a decrypter that its passphrase was right; without one, any two equal numbers do.
  const check = publicKey.subarray(0, 4);
  const secret = Buffer.concat([
    check,
    check,
    sshString(keyType),
    sshString(publicKey),
    sshString(Buffer.concat([seed, publicKey])),
    sshString(comment),
  ]);
  const padding = Buffer.from(
    Array.from({ length: (blockBytes - (secret.length % blockBytes)) % blockBytes }, (_, index) => index + 1),
  );
  return Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    sshString('none'),
    sshString('none'),
    sshString(''),
    uint32(1),
    sshString(blob),
    sshString(Buffer.concat([secret, padding])),
  ]);
}

function sshString(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function pem(content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,70}/g) ?? [];
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join(
    '\n',
  );
}
