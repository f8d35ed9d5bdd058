import { type LrmCommands, secondsOf } from '../commands.ts';
import { oneLine } from '../../platform/one-line.ts';
import { type LrmCapabilities, LrmError } from '../lrm.ts';
import { answerError } from './answers.ts';
import type { GridEngineSettings } from './section.ts';
import type { Facts } from './facts.ts';
import { capacityWithin, parseHosts, type Sizes } from './hosts.ts';

/** What the site can give. Throws `LrmError`: `refused` when what the site names is of no use. */
export async function capabilities(
  commands: LrmCommands,
  settings: GridEngineSettings,
  facts: Facts,
  sizes: Sizes,
): Promise<LrmCapabilities> {
  const { environments } = await facts.now();
  const queues = await queuesWith(commands, settings);
  const names = queues.map(queue => queue('qname'));
  const listed = await commands.ask('qhost', ['-q', '-F', settings.memoryResource, '-xml']);
  const hosts = sizes.of(parseHosts(listed, names, settings.memoryResource));
  const limits = queues.flatMap(queue => secondsOf(queue('h_rt')) ?? []);
  const slots = environments.map(({ slotsPerNode }) => slotsPerNode);
  const { sizes: bySize, ...capacity } = capacityWithin(hosts, Math.max(0, ...slots));
  return {
    ...capacity,
    ...(bySize.length > 1 ? { sizes: bySize } : {}),
    ...(limits.length === queues.length ? { maxWalltimeMs: Math.max(0, ...limits) * 1_000 } : {}),
    // The shortest warning that any of them gives (queue_conf(5), notify).
    killDelayMs: Math.min(...queues.map(queue => secondsOf(queue('notify')) ?? 60)) * 1_000,
    nodeNameEnv: ['HOSTNAME'],
    // Grid Engine does not tell the job: its time is from its start.
    jobEndEnv: [],
    walltimeStepMs: 1_000,
  };
}

type Queue = (key: string) => string;

/** The queues that gangs can go to: the site's, or all that have a parallel environment of ours. */
async function queuesWith(
  { run, ask }: LrmCommands,
  { queue, parallelEnvironments }: GridEngineSettings,
): Promise<readonly Queue[]> {
  const names = queue ?? (await ask('qconf', ['-sql'])).trim().split('\n').join(',');
  const { code, stdout, stderr } = await run('qconf', ['-sq', names]);
  if (code !== 0) throw answerError(`lrm.queue ${names}`, code, oneLine(stderr || stdout));
  const queues = queuesOf(stdout).filter(each =>
    parallelEnvironments.some(name =>
      each('pe_list')
        .split(/[\s,]+/)
        .includes(name),
    ),
  );
  if (queues.length > 0) return queues;
  throw new LrmError(
    'refused',
    `${queue === undefined ? 'no queue' : `queue ${queue} is not one that`} has a parallel environment of ${parallelEnvironments.join(', ')} in its pe_list; an administrator can add one (qconf -mq)`,
  );
}

/** `qconf -sq` of several queues. A value may be overridden for hosts; the ordinary one counts. */
function queuesOf(text: string): readonly Queue[] {
  const blocks = text
    .replaceAll(/\\\n\s*/g, '')
    .split(/^(?=qname\s)/m)
    .filter(block => block.startsWith('qname'));
  return blocks.map(block => {
    const values = new Map(
      block.split('\n').map(line => [line.split(/\s/)[0] ?? '', line.replace(/^\S+\s+/, '')]),
    );
    return key => (values.get(key) ?? '').split(',[')[0]?.trim() ?? '';
  });
}
