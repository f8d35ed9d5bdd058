import type { Rule } from './tree.ts';
import { typeScriptOf } from './typescript.ts';

/**
 * Node.js 20 holds a key's lock while it exports the key as a JWK; when garbage is collected in the middle, what made the key is destroyed, which waits for that lock: for ever, and
 * all of the process with it. About one key in 5,000 in a loop that makes and exports them: too seldom to be tried by a test. Encoded as it is made (DER), a key has no such moment.
 */
export const noJwk: Rule = {
  name: 'no key is exported as a JWK',
  check: files =>
    typeScriptOf(files)
      .filter(({ text }) => /format:\s*['"]jwk['"]/.test(text))
      .map(
        ({ path }) =>
          `${path}: exports a key as a JWK, which can hang: give generateKeyPairSync the encodings`,
      ),
};
