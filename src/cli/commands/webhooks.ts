import type { Command } from 'commander';
import type { EventType } from '../../protocol/events.ts';
import { table } from '../output.ts';
import type { CommandContext, Run } from '../program.ts';

const repeat = (value: string, earlier: string[] = []): string[] => [...earlier, value];

/** Adds the commands on webhooks: webhooks, webhook, unhook, rehook, dead-letters. */
export function addWebhookCommands(program: Command, run: Run): void {
  program
    .command('webhooks')
    .description('where your events are posted to, and how it goes')
    .action(() => run(webhooks));
  program
    .command('webhook <url>')
    .description('have your events posted to a URL, from now on; prints the secret that they are signed with')
    .option('--workspace <name>', 'only those of one workspace')
    .option('--type <type>', 'only those of this type, as vm.failed; repeatable', repeat)
    .action((url: string, { workspace, type }: { workspace?: string; type?: string[] }) =>
      run(async context => {
        const hook = await context.client().createWebhook({
          url,
          ...(workspace === undefined ? {} : { workspace }),
          ...(type === undefined ? {} : { types: type as EventType[] }),
        });
        context.answer(hook, `${hook.id}\nsecret: ${hook.secret}\n`);
      }),
    );
  program
    .command('unhook <webhook>')
    .description('no more events to that webhook')
    .action((id: string) =>
      run(async context => {
        await context.client().deleteWebhook(id);
        context.answer({ id }, `${id} is gone\n`);
      }),
    );
  program
    .command('rehook <webhook>')
    .description('let a webhook that has stopped go on where it was')
    .action((id: string) =>
      run(async context => {
        const hook = await context.client().resumeWebhook(id);
        context.answer(hook, `${hook.id} goes on after event ${hook.deliveredUpTo}\n`);
      }),
    );
  program
    .command('dead-letters <webhook>')
    .description('the events that could not be delivered, and why')
    .action((id: string) =>
      run(async context => {
        const deadLetters = await context.client().deadLetters(id);
        const rows = deadLetters.map(each => [
          String(each.event),
          each.at,
          String(each.attempts),
          each.error,
        ]);
        context.answer({ deadLetters }, table(['EVENT', 'GIVEN UP', 'TRIES', 'WHY'], rows));
      }),
    );
}

async function webhooks(context: CommandContext): Promise<void> {
  const webhooks = await context.client().listWebhooks();
  const rows = webhooks.map(hook => [
    hook.id,
    hook.owner,
    hook.url,
    hook.stopped ?? `delivered up to event ${hook.deliveredUpTo}`,
    String(hook.deadLetters),
  ]);
  context.answer({ webhooks }, table(['WEBHOOK', 'OWNER', 'URL', 'HOW IT GOES', 'DEAD LETTERS'], rows));
}
