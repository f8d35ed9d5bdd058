import { flags, type Proof } from './proof.ts';

const cli = 'test/e2e/cli.test.ts';
const access = 'test/e2e/access.test.ts';
const more = 'test/e2e/flags.test.ts';
const leases = 'test/e2e/suites/leases.ts';
const orders = ['start', 'shutdown', 'pause', 'resume', 'reboot', 'kill'].map(name => `wsp ${name}`);

/** Which test exercises which command and flag, with a service that runs. */
export const commandProofs: readonly Proof[] = [
  {
    file: cli,
    title: 'the life of a workspace, as JSON',
    of: [
      ...['wsp create', ...flags('wsp create', 'image', 'count', 'name', 'wait')],
      ...['wsp ls', 'wsp ls --all', 'wsp show', 'wsp events', 'wsp timeline', 'wsp slots', 'wsp images'],
      ...['wsp nodes', 'wsp destroy', 'wsp destroy --wait'],
    ],
  },
  {
    file: cli,
    title: 'the same for people: sentences and tables, and no progress when it is no terminal',
    of: ['wsp create --file'],
  },
  { file: cli, title: 'events as they happen, one document a line', of: ['wsp events --follow'] },
  {
    file: cli,
    title: 'a wait that is too short; the workspace goes on',
    of: ['wsp create --timeout', 'wsp destroy --timeout'],
  },
  {
    file: cli,
    title: 'a console that ends with its VM, though its standard input stays open',
    of: ['wsp console'],
  },
  {
    file: cli,
    title: 'finds this site in order, with its service running: exit code 0',
    of: ['wsp doctor', 'wsp doctor --config'],
  },
  {
    file: cli,
    title: 'helper-policy prints what the site needs of the helper, and install-helper takes it',
    of: ['wsp helper-policy', ...flags('wsp helper-policy', 'config')],
  },
  {
    file: access,
    title: 'lease up to their quota, of themselves and of their project',
    of: flags('wsp create', 'project', 'duration'),
  },
  {
    file: access,
    title: 'are made with their projects and quotas, and get tokens that are shown once',
    of: [
      ...[
        'wsp whoami',
        'wsp user',
        ...flags('wsp user', 'project', 'quota'),
        'wsp project',
        'wsp project --quota',
      ],
      ...['wsp token', ...flags('wsp token', 'user', 'lasts')],
    ],
  },
  {
    file: access,
    title: "do not see each other's workspaces, an operator does, and may end them",
    of: ['wsp user --role'],
  },
  {
    file: access,
    title: 'are shut out by a revoked token, and by being disabled',
    of: ['wsp user --disabled', 'wsp revoke', 'wsp token --scope'],
  },
  {
    file: access,
    title: 'have their usage, to the second, from what has happened',
    of: ['wsp usage', 'wsp usage --since'],
  },
  {
    file: access,
    title: 'leave a trace of all that they did and tried',
    of: ['wsp audit', 'wsp audit --limit'],
  },
  {
    file: 'test/e2e/events.test.ts',
    title: 'wsp events -f, the event stream and a webhook bring every event',
    of: ['wsp webhook', 'wsp webhooks'],
  },
  {
    file: leases,
    title: 'grows group by group until it is launched as a whole, on nodes of one job',
    of: [
      ...flags('wsp create', 'group', 'pending'),
      ...['wsp add', ...flags('wsp add', 'image', 'group', 'count'), 'wsp launch', 'wsp launch --wait'],
    ],
  },
  {
    file: leases,
    title:
      'is announced before its end to its owner and inside its guests, and can be extended as far as its job lasts',
    of: ['wsp extend'],
  },
  {
    file: leases,
    title: 'that cannot start by its latest time is given up, and says what it waited for',
    of: flags('wsp create', 'start-by', 'cpus'),
  },
  {
    file: leases,
    title: 'is one however often its client token comes, also at once; another request is a conflict',
    of: ['wsp create --client-token'],
  },
  {
    file: leases,
    title: 'can be tried out: what would be asked for, or why not; and nothing comes of it',
    of: ['wsp create --dry-run'],
  },
  { file: leases, title: 'has types: what can be leased, and what is free now', of: ['wsp types'] },
  {
    file: 'test/e2e/suites/virtual-clusters.ts',
    title: 'brings guests up, one a node, reaches them by name, and gives the nodes back as they were',
    of: [...flags('wsp create', 'network', 'memory'), 'wsp ssh', 'wsp proxy'],
    by: "'ssh'",
  },
  {
    file: 'test/e2e/suites/orders.ts',
    title:
      'VMs are paused, resumed, rebooted, shut down, started again and killed, and each is reached after it',
    of: [...orders, ...orders.map(name => `${name} --wait`), 'wsp show --errors'],
  },
  {
    file: more,
    title: 'wsp %s waits no longer than --timeout says, and goes on',
    of: orders.map(name => `${name} --timeout`),
  },
  {
    file: more,
    title: 'wsp %s ends a guest that does not listen after --grace, not after what the site gives',
    of: ['wsp reboot --grace', 'wsp shutdown --grace'],
  },
  {
    file: more,
    title: 'is launched, and waited for no longer than --timeout says',
    of: ['wsp launch --timeout'],
  },
  { file: more, title: 'runs with the VMs that come up: --keep-partial', of: ['wsp create --keep-partial'] },
  {
    file: more,
    title: 'grows by groups of a file, and by one with processors, networks and data of its own: wsp add',
    of: flags('wsp add', 'file', 'memory', 'cpus', 'network', 'user-data'),
  },
  {
    file: more,
    title: 'are listed with their projects: wsp users, wsp projects',
    of: ['wsp users', 'wsp projects'],
  },
  {
    file: more,
    title: 'have tokens with labels, which administrators see all of: wsp token --label, wsp tokens --all',
    of: ['wsp tokens', 'wsp tokens --all', 'wsp token --label'],
  },
  {
    file: more,
    title:
      'find workspaces and deeds by what the flags say: wsp ls --state, --owner, --name, --since, wsp audit --user, --since',
    of: [...flags('wsp ls', 'state', 'owner', 'name', 'since'), ...flags('wsp audit', 'user', 'since')],
  },
  { file: more, title: 'have their usage until a time: wsp usage --until', of: ['wsp usage --until'] },
  {
    file: more,
    title:
      'get what they asked for and no more, go on when told to, and end: --workspace, --type, rehook, dead-letters, unhook',
    of: [...flags('wsp webhook', 'workspace', 'type'), 'wsp rehook', 'wsp dead-letters', 'wsp unhook'],
  },
  {
    file: more,
    title: 'looks at a node as the flags say: --node, --qemu, --work-dir, --images',
    of: flags('wsp doctor', 'node', 'qemu', 'work-dir', 'images'),
  },
  {
    file: more,
    title:
      'runs by hand with the assignment of a file, is not taken by a service that does not know it, and leaves when it is told: --assignment',
    of: ['wsp pilot', 'wsp pilot --assignment'],
  },
  {
    file: 'test/e2e/pool-nodes.test.ts',
    title: 'is looked at by the doctor, and given a policy for its helper, pool by pool',
    of: ['wsp doctor --pool', 'wsp helper-policy --pool'],
  },
  {
    file: 'test/e2e/guest-flags.test.ts',
    title:
      'user data runs in the guest, a second key may log in, and the user to be is taken: --user-data, --ssh-key, ssh --login',
    of: [...flags('wsp create', 'user-data', 'ssh-key'), 'wsp ssh --login'],
  },
  {
    file: 'test/e2e/guest-flags.test.ts',
    title: 'files are copied to a VM, from it, and between two: scp, --recursive, --preserve, --login',
    of: ['wsp scp', ...flags('wsp scp', 'recursive', 'preserve', 'login')],
  },
  {
    file: 'test/e2e/guest-flags.test.ts',
    title: "OpenSSH's own programs reach each VM by its name: ssh-config, --login",
    of: ['wsp ssh-config', 'wsp ssh-config --login'],
  },
  {
    file: 'test/e2e/guest-flags.test.ts',
    title: 'what a VM uses is shown while it runs: top, --count',
    of: ['wsp top', 'wsp top --count'],
  },
  {
    file: 'test/e2e/guest-flags.test.ts',
    title: "a guest's port is reached through a port of this host, until Ctrl-C: forward, --address",
    of: ['wsp forward', 'wsp forward --address'],
  },
  {
    file: 'test/e2e/drain.test.ts',
    title:
      'a lease leaves a node that is drained: it ends as preempted, in the words of the administrator, and nothing is left',
    of: ['wsp wait', ...flags('wsp wait', 'for', 'timeout')],
  },
  {
    file: 'test/e2e/preemption.test.ts',
    title:
      'a workspace with --requeue is started anew when the urgent job is over: the same names and addresses, another slot',
    of: ['wsp create --requeue'],
  },
  {
    file: 'test/e2e/heal.test.ts',
    title:
      'has a VM whose VMM is killed replaced, and is started anew when a pilot is killed; the same names and addresses',
    of: ['wsp create --heal'],
  },
  {
    file: 'test/e2e/pools.test.ts',
    title: 'is used first, several VMs on it, and gives way to the batch queue when it is full',
    of: [
      ...['wsp create --pool', 'wsp agent'],
      ...flags('wsp agent', 'service', 'pool', 'secret-file', 'node', 'memory', 'cpus'),
    ],
  },
  {
    file: 'test/e2e/pools.test.ts',
    title: 'joins, carries a workspace, is seen, and is removed',
    of: [
      ...['wsp nodes add', 'wsp nodes remove'],
      ...flags('wsp nodes add', 'login', 'directory', 'node-program', 'ssh-option', 'pool', 'secret-file'),
      ...flags('wsp nodes add', 'service', 'name', 'memory', 'cpus'),
      ...flags('wsp nodes remove', 'login', 'directory', 'node-program', 'ssh-option'),
    ],
  },
  {
    file: 'test/e2e/transports.test.ts',
    title: 'leases over ssh where only that leaves the nodes',
    of: ['wsp ingest'],
  },
  {
    file: 'test/e2e/refusals.test.ts',
    title: 'a bad site file: every mistake with its path, and the service does not start',
    of: ['wsp service', 'wsp service --config'],
  },
  {
    file: 'test/e2e/operating.test.ts',
    title:
      'is copied while it writes, by its user alone, and never over another file; people are told what else to keep',
    of: ['wsp backup', 'wsp backup --config'],
  },
  {
    file: 'test/e2e/helper.test.ts',
    title: 'is undone to the last line: two interfaces, a process, a directory',
    of: ['wsp helper', ...flags('wsp helper', 'state-dir', 'disk-dir', 'node', 'slot')],
  },
  {
    file: 'test/e2e/install-helper.test.ts',
    title: "lets the job's user start the helper, which greets, serves and tidies up",
    of: flags('wsp helper', 'policy'),
    by: '--policy',
  },
  {
    file: 'test/e2e/helper.test.ts',
    title: 'is undone by kill-all when pilot and helper are both killed; twice at once is as good',
    of: ['wsp kill-all', ...flags('wsp kill-all', 'state-dir', 'disk-dir', 'node', 'slot', 'json')],
  },
];
