import { readText } from '../client/files.ts';
import { fromFile, usageError } from './values.ts';

/** What OpenSSH (sshd(8), AUTHORIZED_KEYS FILE FORMAT) and dropbear call their kinds of keys. */
const kinds =
  /^(ssh-(ed25519|rsa|dss)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com|[a-z0-9-]+-cert-v01@openssh\.com)$/;
/** How files of private keys begin: PEM and OpenSSH's own, and PuTTY's. */
const privateKeys = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|^PuTTY-User-Key-File-/m;
/** How other forms of public keys begin: PEM, and RFC 4716. */
const otherForms = /-----BEGIN [A-Z0-9 ]*PUBLIC KEY-----|---- BEGIN SSH2 PUBLIC KEY ----/;

/** The keys behind `--ssh-key`. Throws `WspError` (`usage`), which never repeats what is there. */
export function readPublicKeys(path: string): readonly string[] {
  return publicKeysIn(fromFile('--ssh-key', path, readText), path);
}

/** The keys of a text; `path` is for messages. */
export function publicKeysIn(text: string, path: string): readonly string[] {
  if (privateKeys.test(text))
    throw usageError(
      `${path} holds a private key, which is for you alone; nothing was sent`,
      `say --ssh-key ${path}.pub, or make it: ssh-keygen -y -f ${path} > ${path}.pub`,
    );
  if (otherForms.test(text))
    throw usageError(
      `${path} holds a public key in another form than OpenSSH's`,
      `convert it: ssh-keygen -i -f ${path} (for a key that begins with -----BEGIN, with -m PKCS8)`,
    );
  const lines = text.split(/\r?\n/).map(line => line.trim());
  const keys = lines.filter(line => line !== '' && !line.startsWith('#'));
  const wrong = lines.findIndex(line => keys.includes(line) && !isPublicKey(line));
  if (wrong >= 0)
    throw usageError(
      `${path}: line ${wrong + 1} is not a public key`,
      'a line has the kind of the key (such as ssh-ed25519), the key and a comment, as files that end in .pub have; lines that begin with # are left out',
    );
  if (keys.length === 0) throw usageError(`${path} holds no public key`);
  return keys;
}

/** Whether a line has, after options, a kind and a key that begins with it (RFC 4253 §6.6). */
function isPublicKey(line: string): boolean {
  const words = line.split(/\s+/);
  const at = words.findIndex(word => kinds.test(word));
  const [kind = '', key = ''] = at < 0 ? [] : words.slice(at);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(key)) return false;
  const bytes = Buffer.from(key, 'base64');
  return (
    bytes.length > 4 + kind.length &&
    bytes.readUInt32BE() === kind.length &&
    bytes.toString('latin1', 4, 4 + kind.length) === kind
  );
}
