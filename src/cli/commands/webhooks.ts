import type { Command } from 'commander';
import type { EventType } from '../../protocol/events.ts';
import { withExamples } from '../help.ts';
import { table } from '../output.ts';
import type { CommandContext, Run } from '../program.ts';
import { repeat } from '../values.ts';

/** Adds the commands on webhooks: webhooks, webhook, unhook, rehook, dead-letters. */
export function addWebhookCommands(program: Command, run: Run): void {
  program
    .command('webhooks')
    .summary('list your webhooks')
    .description(
      'Lists your webhooks: the URLs that your events are posted to, and how far each has come. Administrators see those of all users.',
    )
    .action(() => run(webhooks));
  withExamples(
    program
      .command('webhook')
      .argument('<url>', 'where to post events: a URL that begins with http:// or https://')
      .summary('have your events posted to a URL')
      .description(
        'Has your events posted to a URL, from now on. Prints the id of the webhook, and the secret that signs the events, which is not shown again.',
      )
      .option('--workspace <name>', 'post only the events of this workspace (default: all that you may see)')
      .option(
        '--type <type>',
        'post only events of this type, such as vm.failed; repeatable (default: all types)',
        repeat,
      ),
    'wsp webhook https://ci.example.org/hook --type vm.failed --type workspace.ended',
  ).action((url: string, { workspace, type }: { workspace?: string; type?: string[] }) =>
    run(async context => {
      const hook = await context.client().createWebhook({
        url,
        ...(workspace === undefined ? {} : { workspace }),
        ...(type === undefined ? {} : { types: type as EventType[] }),
      });
      context.answer(hook, `${hook.id}\nsecret: ${hook.secret}\n`);
    }),
  );
  addUpkeepCommands(program, run);
}

/** The commands on one webhook. */
function addUpkeepCommands(program: Command, run: Run): void {
  program
    .command('unhook')
    .argument('<webhook>', "the webhook's id (wsp webhooks)")
    .summary('remove a webhook')
    .description(
      'Removes a webhook: no more events are posted to it, and its list of undelivered events is removed too.',
    )
    .action((id: string) =>
      run(async context => {
        await context.client().deleteWebhook(id);
        context.answer({ id }, `${id} is removed\n`);
      }),
    );
  program
    .command('rehook')
    .argument('<webhook>', "the webhook's id (wsp webhooks)")
    .summary('start a webhook that has stopped again')
    .description(
      'Starts a webhook that has stopped again. It goes on with the event after the last one that was delivered or given up.',
    )
    .action((id: string) =>
      run(async context => {
        const hook = await context.client().resumeWebhook(id);
        context.answer(hook, `${hook.id} goes on after event ${hook.deliveredUpTo}\n`);
      }),
    );
  program
    .command('dead-letters')
    .argument('<webhook>', "the webhook's id (wsp webhooks)")
    .summary('list the events that could not be delivered, and why')
    .description('Lists the events that could not be delivered to a webhook, and why.')
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
