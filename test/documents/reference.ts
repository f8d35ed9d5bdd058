import { errorCodes } from '../../src/protocol/errors.ts';
import { eventMeanings } from '../../src/protocol/events.ts';
import {
  contextMeanings,
  endMeanings,
  slotMeanings,
  slotNodeMeanings,
  vmMeanings,
  workspaceMeanings,
} from '../../src/protocol/states.ts';

type Meanings = Readonly<Record<string, string>>;

const lists: readonly (readonly [heading: string, word: string, meanings: Meanings])[] = [
  ['States of a workspace', 'state', workspaceMeanings],
  ['How a workspace ended', 'cause', endMeanings],
  ['States of a VM', 'state', vmMeanings],
  ['What a guest says of its set-up', 'context', contextMeanings],
  ['States of a slot', 'state', slotMeanings],
  ['States of a node in a slot', 'state', slotNodeMeanings],
  ['Kinds of events', 'type', eventMeanings],
];

/** docs/reference.md, made of the tables in `src/protocol`. */
export function referenceText(): string {
  const errors = Object.entries(errorCodes).map(
    ([code, { status, exit, meaning }]) => `| \`${code}\` | ${status} | ${exit} | ${meaning} |`,
  );
  return [
    '# States, events and errors',
    'Each word that the service, the command line and the pilots use for these, and what it means. This page is generated (`npm run reference`) from `src/protocol`.',
    '',
    ...lists.flatMap(([heading, word, meanings]) => [
      `## ${heading}`,
      `| ${word} | means |`,
      '|---|---|',
      ...Object.entries(meanings).map(([each, meaning]) => `| \`${each}\` | ${meaning} |`),
      '',
    ]),
    '## Errors',
    'In the answers of the API, and under `--json`; `wsp` ends with the exit code.',
    '',
    '| code | HTTP status | exit code | means |',
    '|---|---|---|---|',
    ...errors,
    '',
  ].join('\n');
}
