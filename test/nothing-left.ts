/**
 * Whether anything of a lease is left on nodes: `node --import tsx test/nothing-left.ts --state-dir DIR --disk-dir DIR --work-dir DIR [--slurm-conf FILE] [--netns NAME]…`
 * Looks at the given network namespaces, or at this host's own; prints one line for each thing that is left and exits with 1, or says that nothing is. It shares no code with the product.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemProcesses } from '../src/platform/process.ts';

export interface Nodes {
  /** Names of network namespaces; none: this process's own. */
  readonly namespaces: readonly string[];
  /** The helpers' state directory. */
  readonly stateDir: string;
  /** Where helpers keep what outlives a power loss. */
  readonly diskDir: string;
  /** The pilots' work directory. */
  readonly workDir: string;
  /** What is in the queue of the scheduler, which has to be empty: one line for each job. */
  readonly jobs?: (() => Promise<readonly string[]>) | undefined;
}

/** One sentence for each thing that is left; none when all nodes are job nodes again. */
export async function findLeftovers(nodes: Nodes): Promise<string[]> {
  const namespaces = nodes.namespaces.length > 0 ? nodes.namespaces : [undefined];
  const inNamespaces = await Promise.all(namespaces.map(leftInNamespace));
  return [
    ...inNamespaces.flat(),
    ...undoEntries(nodes.stateDir),
    ...undoEntries(nodes.diskDir),
    ...vmFiles(nodes.workDir),
    ...((await nodes.jobs?.()) ?? []).map(job => `LRM job ${job}`),
  ];
}

async function leftInNamespace(name: string | undefined): Promise<string[]> {
  const enter = name === undefined ? [] : ['nsenter', `--net=/run/netns/${name}`];
  const ask = async (...argv: readonly [string, ...string[]]): Promise<string[]> => {
    const [program = '', ...rest] = [...enter, ...argv];
    const result = await systemProcesses.run([program, ...rest], { deadlineMs: 10_000 });
    if (result.code !== 0)
      throw new Error(`${argv.join(' ')} in ${name ?? 'this host'}: ${result.stderr.trim()}`);
    return result.stdout.split('\n').filter(line => line !== '');
  };
  const links = (await ask('ip', '-o', 'link')).map(line => /^\d+: ([^@:]+)/.exec(line)?.[1] ?? '');
  const tables = await ask('nft', 'list', 'tables');
  const routes = await ask('ip', 'route');
  const found = [
    ...links.filter(link => /^w[tb]/.test(link)).map(link => `interface ${link}`),
    ...tables.filter(table => table.includes(' wsp-')).map(table => `filter ${table}`),
    ...routes.filter(route => / dev w[tb]/.test(route)).map(route => `route ${route}`),
    ...processes(name),
  ];
  return found.map(what => `${name ?? 'this host'}: ${what}`);
}

/** QEMU, DHCP services, helpers and pilots in a namespace. */
function processes(namespace: string | undefined): string[] {
  const own =
    namespace === undefined
      ? readlinkSync('/proc/self/ns/net')
      : `net:[${statSync(`/run/netns/${namespace}`).ino}]`;
  return readdirSync('/proc')
    .filter(entry => /^\d+$/.test(entry) && entry !== String(process.pid))
    .flatMap(pid => {
      try {
        if (readlinkSync(`/proc/${pid}/ns/net`) !== own) return [];
        const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
        return argv.some(isOurs(argv)) ? [`process ${pid}: ${argv.slice(0, 4).join(' ')}`] : [];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}

function isOurs(argv: readonly string[]): (argument: string, index: number) => boolean {
  // On standard input; or, of Grid Engine, in a file.
  const isPilot =
    /(^|\/)node$/.test(argv[0] ?? '') && argv.length === 2 && /^-$|\/wsp-slot-\w+\.cjs$/.test(argv[1] ?? '');
  return argument =>
    isPilot ||
    /(^|\/)qemu-system-[a-z0-9_]+$/.test(argument) ||
    argument.startsWith('--interface=wb') ||
    (argument === 'helper' && argv.includes('--slot'));
}

function undoEntries(stateDir: string): string[] {
  return filesUnder(stateDir).map(path => `undo state ${path}`);
}

function vmFiles(workDir: string): string[] {
  return filesUnder(workDir)
    .filter(path => path.split('/').includes('vms'))
    .map(path => `VM file ${path}`);
}

function filesUnder(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => !entry.isDirectory())
    .map(entry => join(entry.parentPath, entry.name));
}

async function slurmJobs(conf: string): Promise<string[]> {
  const { code, stdout, stderr } = await systemProcesses.run(['squeue', '-h', '-o', '%i %j %T'], {
    deadlineMs: 30_000,
    env: { ...process.env, SLURM_CONF: conf },
  });
  if (code !== 0) throw new Error(`squeue: ${stderr.trim()}`);
  return stdout.split('\n').filter(line => line !== '');
}

async function main(): Promise<number> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      'state-dir': text,
      'disk-dir': text,
      'work-dir': text,
      'slurm-conf': text,
      netns: { type: 'string', multiple: true },
    },
  });
  const conf = values['slurm-conf'];
  const left = await findLeftovers({
    namespaces: values.netns ?? [],
    stateDir: values['state-dir'] ?? '/run/workspace-pilot-helper',
    diskDir: values['disk-dir'] ?? '/var/lib/workspace-pilot-helper',
    workDir: values['work-dir'] ?? '/var/lib/workspace-pilot-vms',
    jobs: conf === undefined ? undefined : () => slurmJobs(conf),
  });
  console.log(left.length === 0 ? 'nothing is left' : left.join('\n'));
  return left.length === 0 ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main();
