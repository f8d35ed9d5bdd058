/**
 * Writes docs/reference.md: every state, end, kind of event and error, as they are defined in
 * `src/protocol`. Run it as `npm run reference`; a test fails when the page drifts.
 */
import { writeFileSync } from 'node:fs';
import { referenceText } from '../test/documents/reference.ts';

writeFileSync(new URL('../docs/reference.md', import.meta.url), referenceText());
