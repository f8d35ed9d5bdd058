import type { Command, Option } from 'commander';

/** What of `--help` is the same for all commands. */

/** The argument `<workspace>`. */
export const workspaceWords = "the workspace's id or name; a name means the newest workspace of that name";
/** The argument `<target>` of orders to VMs. */
export const targetWords = 'all VMs of workspace W, those of a group (W/GROUP), or one VM (W/VM)';
/** The argument `<target>` of ways into a VM. */
export const vmWords = 'one VM (W/VM), or the first VM of workspace W';

/**
 * Has a program's help say choices and defaults without quotation marks, and list commands without
 * `[options]`, which all of them have. Before its commands are added.
 */
export function plainHelp(program: Command): Command {
  return program.configureHelp({ optionDescription, subcommandTerm });
}

/** Adds examples below a command's help: lines that can be typed. */
export function withExamples(command: Command, ...lines: readonly string[]): Command {
  const heading = lines.length === 1 ? 'Example' : 'Examples';
  return command.addHelpText('after', `\n${heading}:\n${lines.map(line => `  ${line}\n`).join('')}`);
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
