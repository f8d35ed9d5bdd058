import type { EventType } from '../../protocol/events.ts';
import type { WspCommand } from '../command.ts';
import type { CommandContext } from '../program.ts';
import { repeat } from '../values.ts';

/** Adds the commands on webhooks: webhooks, webhook, unhook, rehook, dead-letters. */
export function addWebhookCommands(program: WspCommand): void {
  program
    .command('webhooks')
    .summary('list your webhooks')
    .description(
      'Lists your webhooks: the URLs that your events are posted to, and how far each has come. Administrators see those of all users.',
    )
    .does(webhooks);
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
    )
    .examples('wsp webhook https://ci.example.org/hook --type vm.failed --type workspace.ended')
    .does(async (context, url: string, { workspace, type }: { workspace?: string; type?: string[] }) => {
      const hook = await context.client().createWebhook({
        url,
        ...(workspace === undefined ? {} : { workspace }),
        ...(type === undefined ? {} : { types: type as EventType[] }),
      });
      context.answer(hook, `${hook.id}\nsecret: ${hook.secret}\n`);
    });
  addUpkeepCommands(program);
}

/** The commands on one webhook. */
function addUpkeepCommands(program: WspCommand): void {
  program
    .command('unhook')
    .argument('<webhook>', "the webhook's id (wsp webhooks)")
    .summary('remove a webhook')
    .description(
      'Removes a webhook: no more events are posted to it, and its list of undelivered events is removed too.',
    )
    .does(async (context, id: string) => {
      await context.client().deleteWebhook(id);
      context.answer({ id }, `${id} is removed\n`);
    });
  program
    .command('rehook')
    .argument('<webhook>', "the webhook's id (wsp webhooks)")
    .summary('start a webhook that has stopped again')
    .description(
      'Starts a webhook that has stopped again. It goes on with the event after the last one that was delivered or given up.',
    )
    .does(async (context, id: string) => {
      const hook = await context.client().resumeWebhook(id);
      context.answer(hook, `${hook.id} goes on after event ${hook.deliveredUpTo}\n`);
    });
  program
    .command('dead-letters')
    .argument('<webhook>', "the webhook's id (wsp webhooks)")
    .summary('list the events that could not be delivered, and why')
    .description('Lists the events that could not be delivered to a webhook, and why.')
    .does(async (context, id: string) => {
      context.list('deadLetters', await context.client().deadLetters(id), {
        EVENT: each => each.event,
        'GIVEN UP': each => each.at,
        TRIES: each => each.attempts,
        WHY: each => each.error,
      });
    });
}

async function webhooks(context: CommandContext): Promise<void> {
  context.list('webhooks', await context.client().listWebhooks(), {
    WEBHOOK: hook => hook.id,
    OWNER: hook => hook.owner,
    URL: hook => hook.url,
    'HOW IT GOES': hook => hook.stopped ?? `delivered up to event ${hook.deliveredUpTo}`,
    'DEAD LETTERS': hook => hook.deadLetters,
  });
}
