import { keys, type Proof } from './proof.ts';

/** Which test exercises which key of the site file, on the part that it is about. */
export const keyProofs: readonly Proof[] = [
  {
    file: 'test/e2e/suites/virtual-clusters.ts',
    title: 'brings guests up, one a node, reaches them by name, and gives the nodes back as they were',
    of: [
      ...keys('service', 'listen', 'stateDir', 'tokensFile', 'urlFile'),
      ...keys('networks[]', 'name', 'subnet', 'first', 'last', 'gateway'),
      ...keys('networks[].link', 'uplink', 'vxlan.firstVni'),
      'defaultNetwork',
      'images.dir',
      ...keys('node', 'workDir', 'helper'),
      'node.vmm[qemu].kind',
      ...['slurm', 'gridengine'].flatMap(kind => keys(`lrm[${kind}]`, 'kind', 'options', 'node')),
      'lrm[slurm].conf',
      ...keys(
        'lrm[gridengine]',
        'root',
        'cell',
        'qmasterPort',
        'execdPort',
        'parallelEnvironments',
        'memoryResource',
      ),
    ],
  },
  {
    file: 'test/e2e/suites/leases.ts',
    title: 'has types: what can be leased, and what is free now',
    of: ['slurm', 'gridengine'].flatMap(kind => keys(`lrm[${kind}]`, 'queue', 'account')),
  },
  {
    file: 'test/e2e/lrm-slurm.test.ts',
    title: 'tells an LRM that is missing or silent from one that says no',
    of: ['lrm[slurm].binDir'],
  },
  {
    file: 'test/e2e/lrm-gridengine.test.ts',
    title: 'tells an LRM that is missing or silent from one that says no',
    of: ['lrm[gridengine].binDir'],
  },
  {
    file: 'test/e2e/lrm-gridengine.test.ts',
    title: 'shows the program to the job’s user alone, and leaves nothing of it',
    of: ['lrm[gridengine].programDir'],
  },
  {
    file: 'test/e2e/cluster-pbs.test.ts',
    title: 'through %s a virtual cluster runs, one VM on each node, and nothing of it is left',
    of: keys(
      'lrm[pbs]',
      ...['kind', 'dialect', 'queue', 'account', 'options', 'binDir', 'programDir', 'node'],
    ),
  },
  {
    file: 'test/e2e/pbs-keys.test.ts',
    title: 'the server that the site names is asked, and no other: lrm.server',
    of: ['lrm[pbs].server'],
  },
  {
    file: 'test/e2e/transports.test.ts',
    title: 'leases over plain requests, through cuts, and with byte streams',
    of: [
      'service.url',
      'service.transports[][websocket].kind',
      'service.transports[][http].kind',
      ...keys('lrm[local]', 'kind', 'nodes', 'memoryPerNode', 'cpusPerNode', 'namespaces'),
    ],
  },
  {
    file: 'test/e2e/transports.test.ts',
    title: 'leases over ssh where only that leaves the nodes',
    of: keys('service.transports[][ssh]', 'kind', 'host', 'user', 'identityFile', 'options', 'command'),
  },
  {
    file: 'test/e2e/logins.test.ts',
    title: 'carries a lease from its request to a shell in a real guest',
    of: keys('service.tls', 'certificateFile', 'keyFile'),
  },
  {
    file: 'test/e2e/logins.test.ts',
    title: 'makes a Unix user of the head node himself, by the socket',
    of: ['service.socket'],
  },
  {
    file: 'test/e2e/logins.test.ts',
    title: 'makes him himself by MUNGE, from anywhere of its realm',
    of: ['service.munge'],
  },
  {
    file: 'test/e2e/pools.test.ts',
    title: 'is used first, several VMs on it, and gives way to the batch queue when it is full',
    of: [
      ...keys('lrm[static]', 'kind', 'joinSecretFile', 'lostAfter'),
      ...keys('pools[]', 'name', 'lrm', 'policy'),
    ],
  },
  {
    file: 'test/e2e/pool-nodes.test.ts',
    title: 'has simulated VMs in one pool and real guests in another, each in its own directory',
    of: ['pools[].node'],
  },
  {
    file: 'test/e2e/suites/policies.ts',
    title: 'runs several guests on a node, which reach each other there and across nodes, and leaves nothing',
    of: keys('policy[pack]', 'kind', 'vmsPerNode'),
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'slots are longer by the factor of extendable and of reuse',
    of: [...keys('policy[extendable]', 'kind', 'factor'), 'policy[reuse].factor'],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'reuse: as many VMs on a node as the site says, and a slot that others may have afterwards',
    of: keys('policy[reuse]', 'kind', 'keep', 'vmsPerNode', 'shared'),
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'warm: a slot of the size and length that the site says, which several owners are in at once',
    of: keys(
      'policy[warm]',
      ...['kind', 'slots', 'nodes', 'memoryPerNode', 'cpusPerNode', 'duration', 'vmsPerNode', 'shared'],
    ),
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title:
      'a lease that names no time has the default, none is longer than the longest, and the job is longer by the pad',
    of: ['policy[exact].kind', ...keys('leases', 'defaultDuration', 'maxDuration', 'walltimePad')],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'the memory that is asked for has what the site gives each VMM and the pilot',
    of: ['leases.vmmOverhead', 'leases.pilotOverhead'],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'a pool has the networks that the site says, and no others',
    of: ['pools[].networks'],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'a user may have %s up to the limit of users',
    of: keys('quotas.user', 'vms', 'cpus', 'memory', 'vmMinutes', 'maxDuration'),
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'a project may have %s up to the limit of projects',
    of: keys('quotas.project', 'vms', 'cpus', 'memory', 'vmMinutes', 'maxDuration'),
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'so many live workspaces, of a user and of a project: %s',
    of: ['quotas.user.workspaces', 'quotas.project.workspaces'],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'who asks more than the burst at once is told when to come again, and may then',
    of: keys('service.rate', 'perSecond', 'burst'),
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'VMs that do not run within deployTimeout end their workspace, and its nodes are given back',
    of: ['leases.deployTimeout'],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title:
      'a guest that has not reported within contextTimeout is in error; one that ignores its shutdown is ended after the grace',
    of: [
      'leases.contextTimeout',
      'leases.shutdownGrace',
      ...keys('node.vmm[sim]', 'kind', 'boot', 'ignoreShutdown'),
    ],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'a node that does not give itself back within releaseTimeout is taken back',
    of: ['leases.releaseTimeout'],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'a lease whose job is not taken within submitTimeout ends, with what the scheduler said',
    of: ['leases.submitTimeout'],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'a lease leaves a job that Slurm suspends, where the site says so',
    of: ['leases.suspended'],
  },
  {
    file: 'test/e2e/site-keys.test.ts',
    title: 'a later pilot removes the others: node.keepLogs',
    of: ['node.keepLogs.slots', 'node.keepLogs.for'],
  },
  {
    file: 'test/e2e/access.test.ts',
    title: 'lease up to their quota, of themselves and of their project',
    of: keys('node.vmm[sim]', 'start', 'stop'),
  },
  {
    file: 'test/e2e/cli.test.ts',
    title: 'the life of a workspace, as JSON',
    of: keys('node.vmm[sim]', 'failStart', 'failBoot'),
  },
  {
    file: 'test/e2e/guest-flags.test.ts',
    title:
      "a network's name server, MTU, VXLAN port and VNI are the guest's and its nodes': dns, mtu, vxlan.port, vxlan.lastVni",
    of: [...keys('networks[]', 'dns', 'mtu'), ...keys('networks[].link.vxlan', 'port', 'lastVni')],
  },
  {
    file: 'test/e2e/guest-flags.test.ts',
    title: 'the VMM is run as the site file says: binary, accelerator',
    of: [...keys('node.vmm[qemu]', 'binary', 'accelerator'), 'node.adaptation'],
  },
  {
    file: 'test/e2e/guest-flags.test.ts',
    title: 'a guest of an isolated network has an address there, and nobody else: link isolated',
    of: ['networks[].link'],
  },
  {
    file: 'test/e2e/suites/leases.ts',
    title:
      'is announced before its end to its owner and inside its guests, and can be extended as far as its job lasts',
    of: ['leases.endNotices'],
  },
  {
    file: 'test/e2e/crash-matrix.test.ts',
    title: '%s',
    of: ['leases.reserveTimeout'],
  },
  {
    file: 'test/e2e/heal.test.ts',
    title:
      'has a VM whose VMM is killed replaced, and is started anew when a pilot is killed; the same names and addresses',
    of: ['leases.pilotSilence'],
  },
  {
    file: 'test/e2e/drain.test.ts',
    title:
      'a lease leaves a node that is drained: it ends as preempted, in the words of the administrator, and nothing is left',
    of: ['leases.drain'],
  },
  {
    file: 'test/e2e/events.test.ts',
    title: 'wsp events -f, the event stream and a webhook bring every event',
    of: ['webhooks.allow'],
  },
];
