import type { WspCommand } from '../command.ts';
import type { CommandContext } from '../program.ts';
import { loadBackup } from '../programs.ts';

/** Adds `wsp backup`, which copies the service's database while the service runs. */
export function addBackupCommand(program: WspCommand): void {
  program
    .command('backup')
    .argument('<file>', 'the file to write; it must not be there yet')
    .summary("copy the service's database")
    .description(
      "Copies the service's database into a file, while the service runs or not, and says what else belongs to a backup of the site.",
    )
    .requiredOption('--config <file>', 'the site file')
    .does((context, file: string, options: { config: string }) => backup(context, file, options.config));
}

async function backup(context: CommandContext, target: string, siteFile: string): Promise<void> {
  const made = (await loadBackup()).backUp(siteFile, target);
  const { file, bytes, schema, workspaces, live, events, besides } = made;
  const text = [
    `${file}: ${Math.ceil(bytes / 1_024)} KiB, ${workspaces} workspaces (${live} have not ended), ${events} events; schema version ${schema}`,
    'It holds secrets of leases and webhooks, and the hashes of tokens: keep it from everybody but administrators.',
    'A backup of the whole site has these too:',
    ...besides.map(path => `  ${path}`),
    '',
  ];
  context.answer(made, text.join('\n'));
}
