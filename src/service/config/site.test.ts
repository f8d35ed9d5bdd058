import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WspError } from '../../protocol/errors.ts';
import { leaseSettings, loadSite, parseSite, type SiteConfig } from './site.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-site-file-'));
  mkdirSync(join(directory, 'images'));
  writeFileSync(join(directory, 'open-tokens'), 'admin 0123456789abcdef\n');
  chmodSync(join(directory, 'open-tokens'), 0o644);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

type Document = Record<string, unknown>;
const good = (): Document => ({
  service: { listen: '127.0.0.1:0', stateDir: 'state', tokensFile: 'tokens' },
  lrm: { kind: 'local', nodes: 4 },
  images: { dir: 'images' },
  networks: [
    { name: 'public', subnet: '10.78.0.0/24', gateway: '10.78.0.1', link: { uplink: 'eth1' } },
    { name: 'private', subnet: '10.90.0.0/16', link: { vxlan: { firstVni: 4_000 } } },
  ],
  defaultNetwork: 'private',
  node: { workDir: 'work', helper: ['sudo', '-n', './bin/helper'], vmm: { kind: 'qemu' } },
});

const parse = (document: unknown): SiteConfig =>
  parseSite(JSON.stringify(document), join(directory, 'site.yaml'));

function mistakesOf(text: string): string[] {
  try {
    parseSite(text, join(directory, 'site.yaml'));
  } catch (error) {
    if (!(error instanceof WspError)) throw error;
    expect(error.code).toBe('invalid_file');
    return (error.details ?? []).map(({ path, message }) => `${path}: ${message}`);
  }
  return [];
}

describe('a path that begins with ~', () => {
  const service = good()['service'] as Document;
  const node = good()['node'] as Document;
  const slurm = { kind: 'slurm' };
  it.each<[string, Document]>([
    ...['stateDir', 'tokensFile', 'socket', 'munge', 'urlFile'].map((key): [string, Document] => [
      `service.${key}`,
      { service: { ...service, [key]: '~/x' } },
    ]),
    ['service.tls.keyFile', { service: { ...service, tls: { certificateFile: 'c', keyFile: '~/x' } } }],
    ['images.dir', { images: { dir: '~/x' } }],
    ['node.workDir', { node: { ...node, workDir: '~/x' } }],
    ['node.helper[0]', { node: { ...node, helper: ['~/x'] } }],
    ['node.vmm.binary', { node: { ...node, vmm: { kind: 'qemu', binary: '~/x' } } }],
    ['lrm.binDir', { lrm: { ...slurm, binDir: '~/x' } }],
    ['lrm.conf', { lrm: { ...slurm, conf: '~ann/x' } }],
    ['lrm.node', { lrm: { ...slurm, node: '~/x' } }],
    ['lrm.joinSecretFile', { lrm: { kind: 'static', joinSecretFile: '~/x' } }],
    ['lrm.root', { lrm: { kind: 'gridengine', root: '~/x' } }],
    ['lrm.programDir', { lrm: { kind: 'pbs', programDir: '~/x' } }],
  ])('report 10: %s is refused, with what to write', (at, changed) => {
    const mistakes = mistakesOf(JSON.stringify({ ...good(), ...changed }));
    expect(mistakes.filter(line => line.startsWith(`${at}: `))).toEqual([
      expect.stringMatching(/must be a (path that|program or).* does not begin with ~.*write the whole path/),
    ]);
  });
});

describe('a good site file', () => {
  it('becomes numbers and absolute paths, with defaults', () => {
    const config = parse(good());
    expect(config).toMatchObject({
      listen: { host: '127.0.0.1', port: 0 },
      url: null,
      stateDir: join(directory, 'state'),
      imagesDir: join(directory, 'images'),
      pools: [
        {
          name: 'default',
          at: 'lrm',
          lrm: { kind: 'local', nodes: 4, namespaces: 'auto' },
          policy: { kind: 'exact' },
          memory: { vmm: { fixedMiB: 112, perCpuMiB: 4, guestShare: 1 / 64 }, pilotMiB: 96 },
        },
      ],
      node: {
        workDir: join(directory, 'work'),
        helper: ['sudo', '-n', join(directory, 'bin/helper')],
        shutdownGraceMs: 10_000,
        keepLogs: { slots: 100, forMs: 14 * 24 * 3_600_000 },
        vmm: { kind: 'qemu', binary: 'qemu-system-x86_64', accelerator: 'auto' },
      },
      leases: {
        defaultDurationMs: 3_600_000,
        maxDurationMs: 14 * 24 * 3_600_000,
        walltimePadMs: 120_000,
        drain: 'wait',
        contextTimeoutMs: 120_000,
      },
    });
  });

  it('gives each network its pool: the hosts without the gateway', () => {
    const [open, closed] = parse(good()).networks;
    expect(open).toEqual({
      name: 'public',
      prefixLength: 24,
      firstAddress: '10.78.0.2',
      lastAddress: '10.78.0.254',
      gateway: '10.78.0.1',
      dns: [],
      link: { kind: 'uplink', interface: 'eth1' },
      mtu: null,
    });
    expect(closed).toMatchObject({
      firstAddress: '10.90.0.1',
      lastAddress: '10.90.255.254',
      link: { port: 4_789 },
    });
  });

  it('takes the only network as the default one', () => {
    const document = good();
    document['networks'] = [{ name: 'one', subnet: '10.1.0.0/24', link: 'isolated' }];
    delete document['defaultNetwork'];
    expect(parse(document).defaultNetwork).toBe('one');
  });

  it('has several pools, each with its policy and its networks', () => {
    const { lrm: _, ...document } = good();
    const pools = [
      {
        name: 'own',
        lrm: { kind: 'static', joinSecretFile: 'join' },
        policy: { kind: 'pack' },
        networks: ['private'],
      },
      { name: 'batch', lrm: { kind: 'slurm' } },
    ];
    expect(parse({ ...document, pools }).pools).toMatchObject([
      {
        name: 'own',
        lrm: { kind: 'static', joinSecretFile: join(directory, 'join'), lostAfterMs: 60_000 },
        policy: { kind: 'pack', vmsPerNode: 64 },
        reaches: ['private'],
      },
      { name: 'batch', at: 'pools[1].lrm', lrm: { kind: 'slurm' }, policy: { kind: 'exact' }, reaches: null },
    ]);
  });

  it('has pools whose own node keys stand in the place of the site’s, each as a whole; memory goes by them', () => {
    const { lrm: _, ...document } = good();
    const node = { ...(document['node'] as Document), keepLogs: { slots: 7, for: '1d' } };
    const pools = [
      { name: 'sim', lrm: { kind: 'slurm' }, node: { workDir: 'sim', vmm: { kind: 'sim', boot: '2s' } } },
      { name: 'kvm', lrm: { kind: 'slurm' }, node: { vmm: { kind: 'qemu', accelerator: 'kvm' } } },
      { name: 'as-the-site', lrm: { kind: 'slurm' }, node: { keepLogs: { slots: 3 } } },
    ];
    const site = parse({ ...document, node, pools });
    expect(site.pools.map(pool => pool.node)).toEqual([
      {
        ...site.node,
        workDir: join(directory, 'sim'),
        vmm: { kind: 'sim', startMs: 0, bootMs: 2_000, stopMs: 0 },
      },
      { ...site.node, vmm: { kind: 'qemu', binary: 'qemu-system-x86_64', accelerator: 'kvm' } },
      { ...site.node, keepLogs: { slots: 3, forMs: 14 * 24 * 3_600_000 } },
    ]);
    expect(site.pools.map(({ memory }) => memory.vmm.fixedMiB)).toEqual([0, 48, 112]);
  });

  it('tells a mistake in a pool’s own node by its path', () => {
    const { lrm: _, ...document } = good();
    const pool = (node: Document) => ({ ...document, pools: [{ name: 'a', lrm: { kind: 'slurm' }, node }] });
    expect(mistakesOf(JSON.stringify(pool({ vmm: { kind: 'sim', failBoot: '(' } })))).toEqual([
      expect.stringMatching(/^pools\[0\]\.node\.vmm\.failBoot: Invalid regular expression/),
    ]);
    expect(mistakesOf(JSON.stringify(pool({ vmm: { kind: 'xen' } })))).toEqual([
      'pools[0].node.vmm.kind: must be one of qemu, sim',
    ]);
    expect(mistakesOf(JSON.stringify(pool({ memory: 1 })))).toEqual([
      expect.stringMatching(/^pools\[0\]\.node\.memory: is not known here; known: workDir, helper/),
    ]);
  });

  it('becomes the settings of the lease core', () => {
    const settings = leaseSettings(parse(good()));
    expect(settings.networks).toEqual([
      { name: 'public', firstAddress: '10.78.0.2', lastAddress: '10.78.0.254', vnis: null },
      {
        name: 'private',
        firstAddress: '10.90.0.1',
        lastAddress: '10.90.255.254',
        vnis: { first: 4_000, last: 16_777_215 },
      },
    ]);
    expect(settings).toMatchObject({ defaultNetwork: 'private', reserveTimeoutMs: 60_000 });
    expect(settings).not.toHaveProperty('contextTimeoutMs');
  });

  it.each(['site-local.yaml', 'site-slurm.yaml'])('examples/%s is one', name => {
    const copy = join(directory, 'examples', name);
    mkdirSync(join(directory, '.cache/images'), { recursive: true });
    mkdirSync(join(directory, 'examples'), { recursive: true });
    copyFileSync(new URL(`../../../examples/${name}`, import.meta.url), copy);
    const config = loadSite(copy);
    expect(config.networks.map(network => network.name)).toEqual(['public', 'private']);
    expect(config.imagesDir).toBe(join(directory, '.cache/images'));
  });
});

const network =
  (entry: Document): ((document: Document) => void) =>
  document => {
    document['networks'] = [{ name: 'private', link: 'isolated', subnet: '10.90.0.0/16', ...entry }];
  };
const secondNetwork =
  (entry: Document): ((document: Document) => void) =>
  document => {
    (document['networks'] as Document[])[1] = {
      name: 'private',
      link: 'isolated',
      subnet: '10.90.0.0/16',
      ...entry,
    };
  };
const inside =
  (section: string, entry: Document): ((document: Document) => void) =>
  document => {
    document[section] = { ...(document[section] as Document), ...entry };
  };

describe('a bad site file', () => {
  it.each<[string, (document: Document) => void, RegExp]>([
    ['unknown section', d => (d['nodes'] = {}), /^nodes: is not known here; known: service, lrm/],
    ['unknown key', inside('service', { port: 1 }), /^service\.port: is not known here/],
    ['missing section', d => delete d['node'], /^node: is missing$/],
    ['listen', inside('service', { listen: '8080' }), /^service\.listen: must be an address and a port/],
    ['port', inside('service', { listen: '127.0.0.1:70000' }), /^service\.listen: port 70000 is over 65535$/],
    [
      'no transport',
      inside('service', { transports: [] }),
      /^service\.transports: must have at least 1 entries$/,
    ],
    [
      'unknown transport',
      inside('service', { transports: [{ kind: 'pigeon' }] }),
      /^service\.transports\[0\]\.kind: must be/,
    ],
    [
      'ssh without a host',
      inside('service', { transports: [{ kind: 'ssh' }] }),
      /^service\.transports\[0\]\.host: is missing$/,
    ],
    [
      'a host that is an option',
      inside('service', { transports: [{ kind: 'ssh', host: '-oProxyCommand=x' }] }),
      /^service\.transports\[0\]\.host: must be the name of a host/,
    ],
    [
      'a command for a shell',
      inside('service', { transports: [{ kind: 'ssh', host: 'head', command: ['wsp', 'ingest; id'] }] }),
      /^service\.transports\[0\]\.command\[1\]: must be a word without special characters/,
    ],
    [
      'a transport twice',
      inside('service', { transports: [{ kind: 'http' }, { kind: 'websocket' }, { kind: 'http' }] }),
      /^service\.transports\[2\]: is the same as service\.transports\[0\]; leave one out$/,
    ],
    ['url with a path', inside('service', { url: 'http://a/b' }), /^service\.url: must be a URL such as/],
    [
      'state dir is a file',
      inside('service', { stateDir: 'open-tokens' }),
      /^service\.stateDir: .*open-tokens is not a directory$/,
    ],
    [
      'state dir below a file',
      inside('service', { stateDir: 'open-tokens/state' }),
      /^service\.stateDir: .*state cannot be read: ENOTDIR/,
    ],
    [
      'tokens below a file',
      inside('service', { tokensFile: 'open-tokens/tokens' }),
      /^service\.tokensFile: .*tokens cannot be read: ENOTDIR/,
    ],
    [
      'tokens others can read',
      inside('service', { tokensFile: 'open-tokens' }),
      /^service\.tokensFile: .* has mode 0644: .*chmod 600/,
    ],
    ['no LRM at all', d => delete d['lrm'], /lrm or pools is missing/],
    [
      'LRM and pools',
      d => (d['pools'] = [{ name: 'a', lrm: { kind: 'slurm' } }]),
      /^lrm: cannot be used together with pools$/,
    ],
    [
      'pools of one name',
      d => {
        delete d['lrm'];
        d['pools'] = [1, 2].map(() => ({ name: 'a', lrm: { kind: 'slurm' } }));
      },
      /^pools\[1\]\.name: a is the name of another pool too$/,
    ],
    [
      'pool with an unknown network',
      d => {
        delete d['lrm'];
        d['pools'] = [{ name: 'a', lrm: { kind: 'slurm' }, networks: ['ib'] }];
      },
      /^pools\[0\]\.networks: ib is none of the networks \(public, private\)$/,
    ],
    [
      'LRM kind',
      d => (d['lrm'] = { kind: 'lsf' }),
      /^lrm\.kind: must be one of slurm, gridengine, pbs, local, static$/,
    ],
    [
      'no LRM kind',
      d => (d['lrm'] = { nodes: 2 }),
      /^lrm\.kind: is missing: one of slurm, gridengine, pbs, local, static$/,
    ],
    [
      'key of another kind',
      d => (d['lrm'] = { kind: 'slurm', nodes: 2 }),
      /^lrm\.nodes: is not known here; known: kind, queue/,
    ],
    ['no nodes', d => (d['lrm'] = { kind: 'local', nodes: 0 }), /^lrm\.nodes: must be >= 1 \(it is 0\)$/],
    [
      'memory of nodes',
      inside('lrm', { memoryPerNode: 'much' }),
      /^lrm\.memoryPerNode: must be a size such as/,
    ],
    [
      'Slurm bin dir',
      d => (d['lrm'] = { kind: 'slurm', binDir: 'none' }),
      /^lrm\.binDir: .*none is not a directory$/,
    ],
    ['Slurm conf', d => (d['lrm'] = { kind: 'slurm', conf: 'none' }), /^lrm\.conf: .*none is not a file$/],
    ['images', d => (d['images'] = { dir: 'none' }), /^images\.dir: .*none is not a directory$/],
    [
      'subnet',
      network({ subnet: '10.90.0.0' }),
      /^networks\[0\]\.subnet: must be a network such as 10\.90\.0\.0\/16/,
    ],
    [
      'subnet octet',
      network({ subnet: '10.900.0.0/16' }),
      /^networks\[0\]\.subnet: must be a network such as/,
    ],
    [
      'subnet with host bits',
      network({ subnet: '10.90.0.1/16' }),
      /^networks\[0\]\.subnet: .* write 10\.90\.0\.0\/16$/,
    ],
    [
      'subnet too small',
      network({ subnet: '10.90.0.0/31' }),
      /^networks\[0\]\.subnet: the prefix must be from \/8 to \/30/,
    ],
    ['link-local subnet', network({ subnet: '169.254.0.0/16' }), /^networks\[0\]\.subnet: .* is linkLocal/],
    [
      'first outside',
      network({ first: '10.91.0.1' }),
      /^networks\[0\]\.first: 10\.91\.0\.1 is not a host of 10\.90\.0\.0\/16/,
    ],
    [
      'last is broadcast',
      network({ last: '10.90.255.255' }),
      /^networks\[0\]\.last: 10\.90\.255\.255 is not a host/,
    ],
    ['no address', network({ first: '10.90.0' }), /^networks\[0\]\.first: must be an IPv4 address/],
    [
      'last before first',
      network({ first: '10.90.0.9', last: '10.90.0.8' }),
      /^networks\[0\]\.last: 10\.90\.0\.8 is before the first address 10\.90\.0\.9$/,
    ],
    [
      'gateway in the pool',
      network({ gateway: '10.90.0.9' }),
      /^networks\[0\]\.gateway: 10\.90\.0\.9 is among the addresses/,
    ],
    [
      'security 2 name server in the pool',
      network({ dns: ['10.0.0.1', '10.90.0.9'] }),
      /^networks\[0\]: the name server 10\.90\.0\.9 is among the addresses/,
    ],
    [
      'gateway outside',
      network({ gateway: '10.91.0.1' }),
      /^networks\[0\]\.gateway: 10\.91\.0\.1 is not a host/,
    ],
    [
      'link',
      network({ link: 'bridge' }),
      /^networks\[0\]\.link: must be one of \{uplink\}, \{vxlan\}, isolated \(it is "bridge"\)$/,
    ],
    [
      'uplink name',
      network({ link: { uplink: 'eth 1' } }),
      /^networks\[0\]\.link\.uplink: must be the name of a network interface/,
    ],
    [
      'VNI',
      network({ link: { vxlan: { firstVni: 0 } } }),
      /^networks\[0\]\.link\.vxlan\.firstVni: must be >= 1/,
    ],
    [
      'VNI too high',
      network({ link: { vxlan: { firstVni: 16_777_000 } } }),
      /^networks\[0\]\.link\.vxlan\.firstVni: with 65534 addresses/,
    ],
    ['name', d => network({ name: 'Private' })(d), /^networks\[0\]\.name: must be a name: lower-case/],
    [
      'same name',
      d => (secondNetwork({ name: 'public' })(d), delete d['defaultNetwork']),
      /^networks\[1\]\.name: is the name of networks\[0\] too$/,
    ],
    [
      'overlap',
      secondNetwork({ subnet: '10.78.0.128/25' }),
      /^networks\[1\]\.subnet: its addresses 10\.78\.0\.129 to 10\.78\.0\.254 overlap those of networks\[0\]/,
    ],
    [
      'same uplink',
      secondNetwork({ link: { uplink: 'eth1' } }),
      /^networks\[1\]\.link\.uplink: eth1 is the uplink of networks\[0\] too/,
    ],
    [
      'default network',
      d => (d['defaultNetwork'] = 'other'),
      /^defaultNetwork: other is none of the networks \(public, private\)$/,
    ],
    ['VMM kind', inside('node', { vmm: { kind: 'xen' } }), /^node\.vmm\.kind: must be one of qemu, sim$/],
    [
      'accelerator',
      inside('node', { vmm: { kind: 'qemu', accelerator: 'hvf' } }),
      /^node\.vmm\.accelerator: must be one of auto, kvm, tcg \(it is "hvf"\)$/,
    ],
    [
      'regular expression',
      inside('node', { vmm: { kind: 'sim', failStart: '(' } }),
      /^node\.vmm\.failStart: Invalid regular expression/,
    ],
    ['helper', inside('node', { helper: 'sudo helper' }), /^node\.helper: must be a list/],
    [
      'duration',
      d => (d['leases'] = { walltimePad: 'long' }),
      /^leases\.walltimePad: must be a duration such as 90s/,
    ],
    [
      'no duration',
      d => (d['leases'] = { reserveTimeout: '0s' }),
      /^leases\.reserveTimeout: must be a duration greater than zero/,
    ],
    [
      'report A: two local pools with namespaces, of which the second never starts a lease',
      d => {
        const lrm = { kind: 'local', nodes: 1, memoryPerNode: '1G' };
        delete d['lrm'];
        d['pools'] = [
          { name: 'one', lrm },
          { name: 'two', lrm: { ...lrm, namespaces: 'none' } },
          { name: 'three', lrm },
        ];
      },
      /^pools\[2\]\.lrm\.namespaces: must be none: the nodes of one local pool only/,
    ],
    ['no way to drain', d => (d['leases'] = { drain: 'kill' }), /^leases\.drain: /],
    ['too long', d => (d['leases'] = { maxDuration: '15d' }), /^leases\.maxDuration: must be at most 14d$/],
    [
      'default over max',
      d => (d['leases'] = { maxDuration: '30m' }),
      /^leases\.defaultDuration: is longer than leases\.maxDuration \(30m\)$/,
    ],
    [
      'grace over release',
      d => (d['leases'] = { shutdownGrace: '2m' }),
      /^leases\.shutdownGrace: must be shorter than leases\.releaseTimeout \(1m\)$/,
    ],
  ])('%s', (_what, spoil, expected) => {
    const document = good();
    spoil(document);
    const mistakes = mistakesOf(JSON.stringify(document));
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toMatch(expected);
  });

  it('VNIs that overlap are one mistake, with both ranges', () => {
    const document = good();
    document['networks'] = [
      { name: 'a', subnet: '10.1.0.0/24', link: { vxlan: { firstVni: 100, lastVni: 353 } } },
      { name: 'private', subnet: '10.2.0.0/24', link: { vxlan: { firstVni: 300, lastVni: 553 } } },
    ];
    expect(mistakesOf(JSON.stringify(document))).toEqual([
      'networks[1].link.vxlan.firstVni: VNIs 300-553 overlap those of networks[0], 100-353',
    ]);
  });

  it('VNIs go up to the next network’s, and are at least as many as addresses', () => {
    const document = good();
    const withLinks = (...links: readonly object[]): string => {
      document['networks'] = links.map((vxlan, index) => ({
        name: index === 0 ? 'private' : 'b',
        subnet: `10.${index + 1}.0.0/24`,
        link: { vxlan },
      }));
      return JSON.stringify(document);
    };
    const networks = parseSite(withLinks({ firstVni: 5_000 }, { firstVni: 100 }), join(directory, 'x.yaml'));
    expect(networks.networks.map(({ link }) => link)).toMatchObject([
      { firstVni: 5_000, lastVni: 16_777_215 },
      { firstVni: 100, lastVni: 4_999 },
    ]);
    expect(mistakesOf(withLinks({ firstVni: 300 }, { firstVni: 100 }))).toEqual([
      'networks[1].link.vxlan.firstVni: with 254 addresses the last VNI must be 353 at least, and it is 299',
    ]);
    expect(mistakesOf(withLinks({ firstVni: 100, lastVni: 352 }))).toEqual([
      'networks[0].link.vxlan.firstVni: with 254 addresses the last VNI must be 353 at least, and it is 352',
    ]);
  });

  it("report C: a site's own figures for VMM and pilot stand instead of the driver's", () => {
    const document = good();
    document['leases'] = { vmmOverhead: '200M', pilotOverhead: '64M' };
    const [pool] = parseSite(JSON.stringify(document), join(directory, 'site.yaml')).pools;
    expect(pool?.memory).toEqual({ vmm: { fixedMiB: 200, perCpuMiB: 0, guestShare: 0 }, pilotMiB: 64 });
  });

  it('tells all mistakes at once', () => {
    const document = good();
    inside('service', { listen: '127.0.0.1:70000' })(document);
    inside('images', { dir: 'none' })(document);
    secondNetwork({ subnet: '10.90.0.1/16' })(document);
    document['leases'] = { vmmOverhead: '0M' };
    expect(mistakesOf(JSON.stringify(document)).map(line => line.split(':')[0])).toEqual([
      'networks[1].subnet',
      'service.listen',
      'leases.vmmOverhead',
      'images.dir',
    ]);
  });

  it("report 5: tells which of the scheduler's options leases cannot work with, and what to use instead", () => {
    const lrm = { kind: 'slurm', options: ['--constraint=kvm', '--array=1-3'] };
    expect(mistakesOf(JSON.stringify({ ...good(), lrm }))).toEqual([
      'lrm.options[1]: --array cannot be used: a lease is one job',
    ]);
    const pools = [{ name: 'one', lrm }];
    expect(mistakesOf(JSON.stringify({ ...good(), lrm: undefined, pools }))[0]).toMatch(
      /^pools\[0\]\.lrm\.options\[1\]: /,
    );
  });

  it('tells line and column of a syntax error', () => {
    expect(mistakesOf('service:\n  listen: [\n')[0]).toMatch(/^line 3, column 1: /);
  });

  it('that is not there is not_found', () => {
    expect(() => loadSite(join(directory, 'none.yaml'))).toThrow(
      expect.objectContaining({ code: 'not_found' }),
    );
  });
});
