import { secondsOf } from '../../../src/lrm/commands.ts';
import { sizeMiB } from '../../../src/lrm/pbs/job.ts';
import { type Job, Refusal, type ShimConfig, type ShimRequest, serverName } from './model.ts';

const withValue = ['-N', '-l', '-r', '-m', '-j', '-o', '-e', '-S', '-v', '-q', '-A', '-W', '-k', '-P'];

/** qsub(1B): the job that is asked for. Throws `Refusal` in the recorded words. */
export function jobOf(
  config: ShimConfig,
  { args, input, env }: ShimRequest,
  given: { readonly number: number; readonly cookie: string; readonly now: number },
): Job {
  const options = optionsOf(args);
  const one = (name: string): string | undefined => options.get(name)?.at(-1);
  const { dialect } = config;
  const queue = one('-q') ?? queueOf(dialect);
  if (!queuesOf(dialect).includes(queue)) throw unknownQueue(dialect);
  const resources = new Map(
    (options.get('-l') ?? []).flatMap(list =>
      list.split(',').map(each => [each.replace(/=.*$/s, ''), each.replace(/^[^=]*=/, '')] as const),
    ),
  );
  const walltimeSeconds = secondsOf(resources.get('walltime') ?? '01:00:00');
  if (walltimeSeconds === undefined) throw illegal('Resource_List.walltime');
  const passed = (options.get('-v') ?? []).flatMap(names => names.split(','));
  return {
    id: `${given.number}.${serverName}`,
    name: one('-N') ?? 'STDIN',
    owner: `${env['USER'] ?? 'root'}@${serverName}`,
    queue,
    ...chunksOf(dialect, resources),
    rerunable: one('-r') !== 'n',
    joins: one('-j') === 'oe',
    output: one('-o'),
    keeps: one('-k') === 'oe',
    project: one('-P') ?? '_pbs_project_default',
    submitArguments: args.join(' '),
    script: input,
    env: Object.fromEntries(
      passed.flatMap(name => (env[name] === undefined ? [] : [[name, env[name] ?? '']])),
    ),
    cookie: given.cookie,
    createdAt: given.now,
    walltimeSeconds,
    state: options.has('-h') ? 'H' : 'Q',
    comment: '',
    changedAt: given.now,
    startedAt: undefined,
    endedAt: undefined,
    exitStatus: undefined,
    substate: options.has('-h') ? 20 : 10,
    runs: 0,
    hosts: [],
    tasks: [],
    ending: undefined,
    stopTimers: [],
  };
}

/** The queues of a server: the default one, and the one that sites give to leases. */
export function queuesOf(dialect: ShimConfig['dialect']): readonly string[] {
  return [queueOf(dialect), 'vms'];
}

/** The default queue. */
function queueOf(dialect: ShimConfig['dialect']): string {
  return dialect === 'openpbs' ? 'workq' : 'batch';
}

function optionsOf(args: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const options = new Map<string, string[]>();
  for (let at = 0; at < args.length; at += 1) {
    const name = args[at] ?? '';
    if (!withValue.includes(name) && name !== '-h') throw new Refusal(2, `usage: qsub: unknown: ${name}`);
    const value = name === '-h' ? '' : (args[(at += 1)] ?? '');
    options.set(name, [...(options.get(name) ?? []), value]);
  }
  return options;
}

/** `select=2:ncpus=2:mpiprocs=1:mem=512mb`, or `nodes=2:ppn=2` with the `mem` of all together. */
function chunksOf(
  dialect: ShimConfig['dialect'],
  resources: ReadonlyMap<string, string>,
): Pick<Job, 'nodes' | 'cpus' | 'memoryMiB' | 'select'> {
  const select = resources.get(dialect === 'openpbs' ? 'select' : 'nodes') ?? '1';
  const [count = '1', ...rest] = select.split(':');
  const chunk = new Map(rest.map(each => [each.replace(/=.*$/, ''), each.replace(/^[^=]*=/, '')]));
  const cpus = chunk.get(dialect === 'openpbs' ? 'ncpus' : 'ppn') ?? '1';
  for (const [what, number] of [
    ['select', count],
    ['select.ncpus', cpus],
  ] as const)
    if (!/^[1-9]\d*$/.test(number)) throw illegal(what);
  const nodes = Number(count);
  const memory = dialect === 'openpbs' ? chunk.get('mem') : resources.get('mem');
  const memoryMiB = memory === undefined ? 0 : sizeMiB(memory);
  if (memoryMiB === undefined) throw illegal('select.mem');
  return {
    nodes,
    cpus: Number(cpus),
    memoryMiB: dialect === 'openpbs' ? memoryMiB : Math.ceil(memoryMiB / nodes),
    select,
  };
}

function illegal(what: string): Refusal {
  return new Refusal(166, `qsub: Illegal attribute or resource value ${what}`);
}

function unknownQueue(dialect: ShimConfig['dialect']): Refusal {
  return dialect === 'openpbs'
    ? new Refusal(170, 'qsub: Unknown queue')
    : new Refusal(172, 'qsub: submit error (Unknown queue MSG=requested queue not found)');
}
