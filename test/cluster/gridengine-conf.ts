import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { NodeNetworks } from '../../src/lrm/local/namespaces.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { untilLetGo } from './held-prolog.ts';

export interface GridEngineOptions {
  readonly nodes: number;
  /** From the warning signal to SIGKILL (queue_conf(5), notify). Default 10. */
  readonly notifySeconds?: number;
  /** What the nodes have, in turn. Default: two sizes. */
  readonly memoryMiB?: readonly number[];
  /** How long the prolog of each job takes. Default 2. */
  readonly prologSeconds?: number;
  /** After so long a node that is silent counts as lost. Default 300, as Grid Engine's own. */
  readonly maxUnheardSeconds?: number;
}

/**
 * The site file's `lrm`, as a site has to fill it in here: its queue is not the only one, and jobs
 * without a project or the nodes' feature do not get there.
 */
export const gridEngineTerms = {
  queue: 'vms.q',
  account: 'physics',
  options: ['-l', 'kvm=1', '-p', '-10'],
} as const;

/** A Grid Engine that runs, before its administrator has made anything. */
export interface ToConfigure {
  readonly directory: string;
  readonly options: GridEngineOptions;
  readonly nodes: NodeNetworks['nodes'];
  /** qconf on the head node; resolves with what it printed. */
  qconf(...what: string[]): Promise<string>;
}

/** A file for qconf: keys and values. */
function fileOf(directory: string, name: string, lines: Readonly<Record<string, string>>): string {
  const path = join(directory, name);
  writeFileSync(
    path,
    Object.entries(lines)
      .map(([key, value]) => `${key} ${value}\n`)
      .join(''),
  );
  return path;
}

/**
 * Makes everything that an administrator makes once: hosts, what jobs ask for, parallel
 * environments, a project, queues.
 */
export async function configure(site: ToConfigure): Promise<void> {
  await hurry(site);
  await makeHosts(site);
  await makeQueues(site);
}

async function makeHosts({ directory, options, nodes, qconf }: ToConfigure): Promise<void> {
  const file = (name: string, lines: Readonly<Record<string, string>>) => fileOf(directory, name, lines);
  // No two clusters at once may share a group: the end of a job is the end of all processes that
  // have its group.
  const firstGroup = 100_000 + systemRandom.bytes(2).reduce((high, low) => high * 256 + low, 0) * 1_000;
  for (const [index, { name }] of nodes.entries()) {
    await qconf('-ah', name);
    const none = [
      'load_scaling',
      'user_lists',
      'xuser_lists',
      'projects',
      'xprojects',
      'usage_scaling',
      'report_variables',
    ];
    await qconf(
      '-Ae',
      file(name, {
        hostname: name,
        ...Object.fromEntries(none.map(key => [key, 'NONE'])),
        complex_values: `mem_free=${memoryOf(options, index)}M,slots=2,kvm=TRUE`,
      }),
    );
    // Groups by which a node knows its jobs' processes; the nodes share one process table here.
    const first = firstGroup + index * 50;
    mkdirSync(join(directory, 'local'), { recursive: true });
    const path = join(directory, 'local', name);
    writeFileSync(path, `gid_range ${first}-${first + 49}\n`);
    await qconf('-Aconf', path);
  }
  await qconf(
    '-Ahgrp',
    file('hosts-group', { group_name: '@allhosts', hostlist: nodes.map(({ name }) => name).join(' ') }),
  );
}

async function makeQueues(site: ToConfigure): Promise<void> {
  const { directory, options, nodes, qconf } = site;
  const file = (name: string, lines: Readonly<Record<string, string>>) => fileOf(directory, name, lines);
  for (const { name } of nodes) {
    const path = join(directory, 'tmp', name);
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o1777);
  }
  for (const slots of [1, 2]) await qconf('-Ap', file(`pe-${slots}`, parallelEnvironment(slots)));
  const project = { name: 'physics', oticket: '0', fshare: '0', acl: 'NONE', xacl: 'NONE' };
  await qconf('-Aprj', file('project', project));
  const prolog = join(directory, 'prolog');
  const script = ['#!/bin/sh', `sleep ${options.prologSeconds ?? 2}`, untilLetGo(directory)];
  writeFileSync(prolog, `${script.join('\n')}\n`, { mode: 0o755 });
  await qconf(
    '-Aq',
    file('queue', queue(site, { qname: 'vms.q', pe_list: 'wsp1 wsp2', projects: 'physics', prolog })),
  );
  // What others have: on the same nodes, and without what a gang needs.
  await qconf(
    '-Aq',
    file('queue', queue(site, { qname: 'all.q', pe_list: 'NONE', projects: 'NONE', prolog: 'NONE' })),
  );
}

/** The nodes' memory, in turn. */
function memoryOf({ memoryMiB = [1_400, 2_100] }: GridEngineOptions, index: number): number {
  return memoryMiB[index % memoryMiB.length] ?? 0;
}

/**
 * Memory that is counted is taken from its node's; what is measured is as Grid Engine is installed.
 * (h_vmem would limit addresses, of which Node.js reserves many.)
 */
export async function setMemory(
  { directory, options, nodes, qconf }: ToConfigure,
  how: 'measured' | 'counted',
): Promise<void> {
  const counted = how === 'counted';
  const complexes = (await qconf('-sc')).replace(
    /^(mem_free\s+\S+\s+\S+\s+\S+\s+\S+\s+)(YES|NO)/m,
    `$1${counted ? 'YES' : 'NO'}`,
  );
  writeFileSync(join(directory, 'complexes'), complexes);
  await qconf('-Mc', join(directory, 'complexes'));
  for (const [index, { name }] of nodes.entries()) {
    const values = `slots=2,kvm=TRUE${counted ? `,mem_free=${memoryOf(options, index)}M` : ''}`;
    await qconf('-rattr', 'exechost', 'complex_values', values, name);
  }
}

/** A scheduler that looks every second, and memory that is counted. */
async function hurry({ directory, qconf }: ToConfigure): Promise<void> {
  await qconf('-as', hostname());
  const scheduler = await qconf('-ssconf');
  const faster: Readonly<Record<string, string>> = {
    schedule_interval: '0:0:1',
    flush_submit_sec: '1',
    flush_finish_sec: '1',
    schedd_job_info: 'true',
  };
  const written = scheduler
    .split('\n')
    .map(line => {
      const key = line.split(/\s/)[0] ?? '';
      return faster[key] === undefined ? line : `${key} ${faster[key]}`;
    })
    .join('\n');
  writeFileSync(join(directory, 'scheduler'), written);
  await qconf('-Msconf', join(directory, 'scheduler'));
  const complexes = (await qconf('-sc')).replace(
    /^(mem_free\s+\S+\s+\S+\s+\S+\s+\S+\s+)NO(\s+)0/m,
    '$1YES$20',
  );
  const path = join(directory, 'complexes');
  writeFileSync(path, complexes.replace(/^load_avg/m, 'kvm kvm BOOL == FORCED NO 0 0\nload_avg'));
  await qconf('-Mc', path);
}

/**
 * sge_pe(5): so many slots on each of n nodes, and their execds let the job start something there.
 */
const parallelEnvironment = (slots: number): Record<string, string> => ({
  pe_name: `wsp${slots}`,
  slots: '999',
  user_lists: 'NONE',
  xuser_lists: 'NONE',
  start_proc_args: 'NONE',
  stop_proc_args: 'NONE',
  allocation_rule: String(slots),
  control_slaves: 'TRUE',
  job_is_first_task: 'FALSE',
  urgency_slots: 'min',
  accounting_summary: 'FALSE',
  qsort_args: 'NONE',
});

function queue(
  { directory, nodes, options }: ToConfigure,
  own: {
    readonly qname: string;
    readonly pe_list: string;
    readonly projects: string;
    readonly prolog: string;
  },
): Record<string, string> {
  const none =
    'load_thresholds suspend_thresholds ckpt_list epilog starter_method suspend_method resume_method terminate_method owner_list user_lists xuser_lists subordinate_list complex_values xprojects calendar';
  const unlimited = ['rt', 'cpu', 'fsize', 'data', 'stack', 'core', 'rss', 'vmem'].flatMap(limit => [
    `s_${limit}`,
    `h_${limit}`,
  ]);
  return {
    ...own,
    hostlist: '@allhosts',
    seq_no: '0',
    nsuspend: '1',
    suspend_interval: '00:05:00',
    priority: '0',
    min_cpu_interval: '00:05:00',
    processors: 'UNDEFINED',
    qtype: 'BATCH INTERACTIVE',
    rerun: 'FALSE',
    slots: '2',
    // The nodes share this machine's /tmp: each has its own part.
    tmpdir: ['/tmp', ...nodes.map(({ name }) => `[${name}=${join(directory, 'tmp', name)}]`)].join(','),
    shell: '/bin/sh',
    shell_start_mode: 'unix_behavior',
    notify: clockTime(options.notifySeconds ?? 10),
    initial_state: 'default',
    ...Object.fromEntries(none.split(' ').map(key => [key, 'NONE'])),
    ...Object.fromEntries(unlimited.map(key => [key, 'INFINITY'])),
  };
}

/** `0:01:30`, as Grid Engine writes times. */
export function clockTime(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${two(seconds / 3_600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}
