/**
 * `make demo`: the paper's example (§2.3) on this machine. Starts a site (LRM=local: the embedded
 * LRM; LRM=slurm, LRM=gridengine: a private, real one; LRM=openpbs, LRM=torque: a stand-in, because
 * Debian has no package of them), leases the OSG cluster of examples/osg-cluster.yaml, logs into its
 * head and from there reaches every other VM by name, shows the lease's timeline, gives the nodes
 * back, and proves it.
 */
import { startChild } from '../src/platform/children.ts';
import { systemClock } from '../src/platform/clock.ts';
import { systemProcesses } from '../src/platform/process.ts';
import type { WorkspaceView } from '../src/protocol/api.ts';
import { formatDuration } from '../src/protocol/units.ts';
import { root, startSite } from '../test/support/site.ts';

const nodes = 4;
const names = {
  local: 'the embedded LRM',
  slurm: 'a private Slurm',
  gridengine: 'a private Grid Engine',
  openpbs: 'a stand-in for OpenPBS (Debian has no package of it)',
  torque: 'a stand-in for Torque (Debian has no package of it)',
} as const;
/** `scripts/demo` has seen to it that it is one of them. */
const lrm = (process.env['LRM'] ?? 'local') as keyof typeof names;
const startedMs = systemClock.monotonicMs();
const say = (text: string): void =>
  console.log(`\n[${formatDuration(systemClock.monotonicMs() - startedMs)}] ${text}`);

say(`starting ${names[lrm]} with ${nodes} nodes`);
const others = new Set(await allNamespaces());
const site = await startSite({ lrm, nodes });
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    say(`interrupted by ${signal}: everything is taken down`);
    void site.stop().finally(() => process.exit(130));
  });
}
let failed = false;
try {
  const namespaces = site.cluster
    ? site.cluster.nodes.map(({ netns }) => netns)
    : (await allNamespaces()).filter(name => !others.has(name) && /-n\d+$/.test(name)).sort();
  if (namespaces.length !== nodes)
    throw new Error(`${namespaces.length} node namespaces are there instead of ${nodes}`);
  const before = await Promise.all(namespaces.map(nodeState));
  say('wsp create -f examples/osg-cluster.yaml --wait');
  await wsp('create', '-f', `${root}/examples/osg-cluster.yaml`, '--name', 'osg', '--wait');
  const workspace = await site.json<WorkspaceView>(['show', 'osg']);
  const [head, ...peers] = workspace.vms.map(vm => vm.name);
  say(`logging into ${head}, and from there to every other VM by its name`);
  await wsp(
    'ssh',
    `osg/${head}`,
    '--',
    `echo "on $(hostname)"; for vm in ${peers.join(' ')}; do ssh $vm 'echo "  reached $(hostname)"' || exit 1; done`,
  );
  say('wsp timeline osg');
  await wsp('timeline', 'osg');
  say('wsp destroy osg --wait');
  await wsp('destroy', 'osg', '--wait');
  const after = await Promise.all(namespaces.map(nodeState));
  for (const [index, name] of namespaces.entries()) {
    const same = before[index] === after[index];
    failed ||= !same;
    if (!same) console.log(`before:\n${before[index]}\nafter:\n${after[index]}`);
    console.log(`${name}: ${same ? 'as before: links, addresses, routes, filters' : 'NOT as before'}`);
  }
} catch (cause) {
  failed = true;
  console.error(cause instanceof Error ? cause.message : String(cause));
} finally {
  await site.stop();
}
say(failed ? 'the demonstration FAILED' : 'done');
process.exitCode = failed ? 1 : 0;

async function wsp(...args: string[]): Promise<void> {
  const child = await startChild([`${root}/bin/wsp`, ...args], {
    stdio: [0, 1, 2],
    env: { ...site.clientEnv, TERM: process.env['TERM'] },
  });
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`wsp ${args[0]} ended with exit code ${code}`);
}

async function allNamespaces(): Promise<string[]> {
  const { stdout } = await systemProcesses.run(['ip', 'netns', 'list'], { deadlineMs: 10_000 });
  return stdout.split('\n').map(line => line.split(' ')[0] ?? '');
}

async function nodeState(netns: string): Promise<string> {
  const queries = [
    ['ip', '-br', 'link'],
    ['ip', '-br', 'addr'],
    ['ip', 'route'],
    ['nft', 'list', 'ruleset'],
  ];
  const answers = [];
  for (const query of queries) {
    answers.push(
      (await systemProcesses.run(['nsenter', `--net=/run/netns/${netns}`, ...query], { deadlineMs: 10_000 }))
        .stdout,
    );
  }
  return answers.join('---\n');
}
