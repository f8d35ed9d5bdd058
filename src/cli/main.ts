import { CommanderError } from 'commander';
import { exitWith, NotPrinted } from '../platform/printing.ts';
import { WspError } from '../protocol/errors.ts';
import { commandLine } from './command-line.ts';
import { commandContext, reportFailure } from './program.ts';
import { usageError } from './values.ts';

/** `wsp`: parses the command line, runs one command, ends with its exit code (docs/cli.md). */
async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  // Before the command line is understood it must be known how to tell that it is not.
  const own = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined);
  const json = own.includes('--json');
  let exitCode = 0;
  const program = commandLine(async work => {
    exitCode = (await work(commandContext(env, json))) ?? 0;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (cause) {
    // Told at the exit.
    if (cause instanceof NotPrinted) return 0;
    if (!(cause instanceof CommanderError)) return reportFailure(cause, json, env);
    if (cause.exitCode === 0) return 0;
    const command = program.commands.find(each => own.includes(each.name()));
    return reportFailure(commandError(cause, command?.name()), json, env);
  }
}

function commandError({ message }: CommanderError, command: string | undefined): WspError {
  const words = message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
  const hint = command === undefined ? 'wsp --help' : `wsp ${command} --help`;
  return usageError(words === '(outputHelp)' ? 'no command given' : words, hint);
}

await exitWith(await main(process.argv.slice(2), process.env), 'wsp');
