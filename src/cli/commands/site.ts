import type { Command } from 'commander';
import { table } from '../output.ts';
import type { CommandContext, Run } from '../program.ts';

/** Adds the commands on what the site has: slots, nodes, images. */
export function addSiteCommands(program: Command, run: Run): void {
  program
    .command('slots')
    .description('nodes held through the batch scheduler')
    .action(() => run(slots));
  program
    .command('nodes')
    .description('nodes of the live slots')
    .action(() => run(nodes));
  program
    .command('images')
    .description("the site's images")
    .action(() => run(images));
}

async function slots(context: CommandContext): Promise<void> {
  const slots = await context.client().listSlots();
  const rows = slots.map(slot => [
    slot.id,
    slot.state,
    slot.workspace ?? '-',
    slot.lrmJobId ?? '-',
    `${slot.nodes.length}/${slot.nodesWanted}`,
    slot.reason?.message ?? slot.lrmReason ?? '',
  ]);
  context.answer({ slots }, table(['SLOT', 'STATE', 'WORKSPACE', 'JOB', 'NODES', 'WHY'], rows));
}

async function nodes(context: CommandContext): Promise<void> {
  const nodes = await context.client().listNodes();
  const rows = nodes.map(node => [
    node.name,
    node.state,
    node.connected ? 'yes' : 'no',
    node.address ?? '-',
    node.vms.join(' '),
  ]);
  context.answer({ nodes }, table(['NODE', 'STATE', 'CONNECTED', 'ADDRESS', 'VMS'], rows));
}

async function images(context: CommandContext): Promise<void> {
  const images = await context.client().listImages();
  const rows = images.map(image => [
    image.name,
    image.boot,
    `${Math.ceil(image.sizeBytes / 1_048_576)}M`,
    image.description,
  ]);
  context.answer({ images }, table(['IMAGE', 'BOOT', 'SIZE', 'WHAT'], rows));
}
