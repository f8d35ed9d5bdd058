/**
 * Writes docs/tested.md: which test exercises which key of the site file, flag and route. Run it as
 * `npm run proofs`; a test fails when the page drifts.
 */
import { writeFileSync } from 'node:fs';
import { pageText } from '../test/proofs/tables.ts';

writeFileSync(new URL('../docs/tested.md', import.meta.url), pageText());
