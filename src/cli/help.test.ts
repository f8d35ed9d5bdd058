import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { commandsIn } from '../../test/documents/blocks.ts';
import { commandLine } from './command-line.ts';

const program = commandLine(() => Promise.resolve());
const visible = program.commands
  .flatMap(command => [command, ...command.commands])
  .filter(command => !(command as Command & { _hidden?: boolean })._hidden);
const named = visible.map(command => [command.name(), command] as const);

/** What `--help` prints, with the examples. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: part => void (text += part) });
  command.outputHelp();
  return text;
}

describe('--help', () => {
  it.each(named)('of %s has whole sentences', (_name, command) => {
    expect(command.description()).toMatch(/^[A-Z][\s\S]*\.$/);
    expect(command.summary()).toMatch(/^[a-z].*[^.]$/);
  });

  it.each(named)('of %s says of each argument and each flag what it is', (_name, command) => {
    const said = [...command.registeredArguments, ...command.options].map(({ description }) => description);
    for (const words of said) expect(words).toMatch(/^\S.*[^.;]$/);
    for (const words of said) expect(words).not.toMatch(/\b(he|his|him)\b|(?<!such )\bas (\d|\w+=|vm\.)/);
  });

  it.each(named)('of %s has examples that the command line accepts', async (name, command) => {
    const [, examples = ''] = helpOf(command).split(/\nExamples?:\n/);
    const typed = commandsIn(examples);
    for (const words of typed) {
      await commandLine(() => Promise.resolve()).parseAsync([...words], { from: 'user' });
      expect(words).toContain(name);
    }
  });

  it('says defaults and choices plainly', () => {
    const wait = visible.find(command => command.name() === 'wait');
    expect(wait === undefined ? '' : helpOf(wait).replace(/\s+/g, ' ')).toContain(
      '(one of: running, paused, stopped, terminated, ended; default: running)',
    );
  });
});
