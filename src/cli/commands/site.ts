import type { Client } from '../../client/client.ts';
import { formatDuration } from '../../protocol/units.ts';
import type { WspCommand } from '../command.ts';
import type { CommandContext } from '../program.ts';
import { describeSlot } from '../describe.ts';

/** Adds the commands on what the site has: types, slots, images. */
export function addSiteCommands(program: WspCommand): void {
  program
    .command('types')
    .summary('show what can be leased here, and what is free now')
    .description(
      'Shows what can be leased here: pools, images, networks, the largest VM, and how long leases may be. The batch scheduler is asked now what is free.',
    )
    .does(types);
  program
    .command('slots')
    .summary('list slots: nodes that are held through the batch scheduler')
    .description(
      'Lists slots: the nodes that are held for workspaces through jobs of the batch scheduler. You see those of workspaces that you may see.',
    )
    .does(slots);
  program
    .command('images')
    .summary('list the images that VMs can boot')
    .description('Lists the images that VMs can boot.')
    .does(images);
}

async function types(context: CommandContext): Promise<void> {
  const types = await context.client().types();
  const lines = [
    ...types.pools.map(pool => `pool:      ${poolLine(pool, types)}`),
    `images:    ${types.images.map(({ name }) => name).join(', ') || 'none'}`,
    `networks:  ${types.networks.map(each => `${each.name} (${each.freeAddresses} of ${each.addresses} addresses free)${each.name === types.defaultNetwork ? ', the default' : ''}`).join('; ') || 'none'}`,
    `leases:    ${formatDuration(types.defaultDurationMs)} unless asked otherwise, at most ${formatDuration(types.maxDurationMs)}`,
    `notices:   ${types.endNoticesMs.map(formatDuration).join(' and ') || 'none'} before the end`,
  ];
  context.answer(types, `${lines.join('\n')}\n`);
}

type Types = Awaited<ReturnType<Client['types']>>;

function poolLine(pool: Types['pools'][number], types: Types): string {
  const { name, lrm, policy, networks, nodes } = pool;
  if (nodes === null) return `${name} (${lrm}) ${whyNot(pool)}`;
  const free = nodes.idle === null ? '' : `, ${nodes.idle} of them idle now`;
  const reached =
    networks.length === types.networks.length ? '' : `; networks: ${networks.join(', ') || 'none'}`;
  return `${name} (${lrm}, ${policy}): ${nodes.count} nodes${free}; a VM there has at most ${nodes.vmMemoryMiB}M and ${nodes.vmCpus} processors${reached}${sizesText(nodes.sizes)}`;
}

/** Nodes of several sizes, as lines of their own below the pool. */
function sizesText(sizes: NonNullable<Types['pools'][number]['nodes']>['sizes']): string {
  if (sizes.length < 2) return '';
  return sizes
    .map(({ count, idle, memoryMiB, cpus }) => {
      const free = idle === null ? '' : `, ${idle} idle`;
      return `\n  ${count} nodes of ${memoryMiB}M and ${cpus} processors${free}`;
    })
    .join('');
}

/** Why a pool tells nothing of its nodes. */
function whyNot({ trouble }: Types['pools'][number]): string {
  if (trouble === null) return 'does not answer';
  const { kind, message, since } = trouble;
  return kind === 'refused'
    ? `is set up wrongly, so that nothing can be leased from it: ${message}`
    : `does not answer since ${since}: ${message}; leases that run go on, and the service asks again for those that wait`;
}

async function slots(context: CommandContext): Promise<void> {
  context.list('slots', await context.client().listSlots(), {
    SLOT: slot => slot.id,
    STATE: slot => slot.state,
    WORKSPACE: slot => slot.workspaces.join(', ') || (slot.warm ? '(warm)' : null),
    POOL: slot => slot.pool,
    JOB: slot => slot.lrmJobId,
    NODES: slot => `${slot.nodes.length}/${slot.nodesWanted}`,
    'WHAT NEXT': describeSlot,
  });
}

async function images(context: CommandContext): Promise<void> {
  context.list('images', await context.client().listImages(), {
    IMAGE: image => image.name,
    BOOT: image => image.boot,
    SIZE: image => `${Math.ceil(image.sizeBytes / 1_048_576)}M`,
    WHAT: image => image.description,
  });
}
