import { Command, type Option } from 'commander';
import type { CommandContext, Run } from './program.ts';

/** The argument `<workspace>`. */
export const workspaceWords = "the workspace's id or name; a name means the newest workspace of that name";
/** The argument `<target>` of orders to VMs. */
export const targetWords = 'all VMs of workspace W, those of a group (W/GROUP), or one VM (W/VM)';
/** The argument `<target>` of ways into a VM. */
export const vmWords = 'one VM (W/VM), or the first VM of workspace W';

/** `wsp`, or one of its commands: what is the same for all of them. */
export class WspCommand extends Command {
  readonly #run: Run;

  constructor(run: Run, name?: string) {
    super(name);
    this.#run = run;
    // Choices and defaults without quotation marks, commands without `[options]`, which all have.
    this.configureHelp({ optionDescription, subcommandTerm });
  }

  override createCommand(name?: string): WspCommand {
    return new WspCommand(this.#run, name);
  }

  /** Lines that can be typed, below the help. */
  examples(...lines: readonly string[]): this {
    const heading = lines.length === 1 ? 'Example' : 'Examples';
    return this.addHelpText('after', `\n${heading}:\n${lines.map(line => `  ${line}\n`).join('')}`);
  }

  /** What carries it out, with its arguments and its flags. */
  does(work: (context: CommandContext, ...given: never[]) => Promise<number | void>): this {
    return this.action((...given) => this.#run(context => work(context, ...(given as never[]))));
  }
}

function subcommandTerm(command: Command): string {
  const words = command.registeredArguments.map(argument => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [command.name(), ...words].join(' ');
}

/** What a flag says, with its choices and its default: the same in docs/cli.md. */
export function optionDescription({ description, argChoices, defaultValue }: Option): string {
  const more = [
    ...(argChoices === undefined ? [] : [`one of: ${argChoices.join(', ')}`]),
    ...(typeof defaultValue === 'string' ? [`default: ${defaultValue}`] : []),
  ];
  return more.length === 0 ? description : `${description} (${more.join('; ')})`;
}
