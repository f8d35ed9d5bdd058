import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startChild } from '../../src/platform/children.ts';
import { transportContract, type TransportUnderTest } from '../../src/pilot/transport.contract.ts';
import { sshTransport } from '../../src/pilot/transport-ssh.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { freePort } from '../cluster/slurm.ts';
import { type CutProxy, startCutProxy } from '../support/cut-proxy.ts';
import { makePlace, removePlace } from '../support/temp-dirs.ts';
import { startSshd, type Sshd } from '../support/sshd.ts';
import { root, startSite, type TestSite } from '../support/site.ts';

/** Pilots whose WebSockets do not get through: over plain requests, and over a real ssh with a key that may do nothing else. */

let place: string;
let sshd: Sshd;
const config = (): string => join(place, 'config.yaml');
const tellUrl = (url: string): void => writeFileSync(config(), `url: ${url}\n`);
const options = (port: number): string[] => [
  `Port=${port}`,
  `UserKnownHostsFile=${join(place, 'known_hosts')}`,
  'StrictHostKeyChecking=accept-new',
  // The proxies of the tests stand for one host.
  'HostKeyAlias=head',
];

beforeAll(async () => {
  place = makePlace('wsp-site-');
  mkdirSync(join(place, 'home'));
  const environment = `WSP_CONFIG=${config()} HOME=${join(place, 'home')}`;
  sshd = await startSshd(place, {
    address: '127.0.0.1',
    port: await freePort('127.0.0.1'),
    // As docs/admin/transports.md has it.
    restriction: `restrict,command="env ${environment} ${process.execPath} ${root}/dist/wsp.js ingest"`,
  });
});
afterAll(async () => {
  await sshd.stop();
  await removePlace(place);
});

const overSsh: TransportUnderTest = {
  begin(serviceUrl) {
    tellUrl(serviceUrl);
    rmSync(join(place, 'known_hosts'), { force: true });
    return sshd.port;
  },
  make: (assignment, node, port, clock) =>
    sshTransport(
      {
        kind: 'ssh',
        host: '127.0.0.1',
        user: null,
        identityFile: sshd.identityFile,
        options: options(port),
        command: ['wsp', 'ingest'],
      },
      assignment,
      node,
      { clock, startChild },
    ),
};
transportContract('ssh', () => overSsh);

describe('a site whose pilots cannot use WebSockets', () => {
  let site: TestSite;
  let proxy: CutProxy;
  beforeAll(async () => {
    const port = await freePort('127.0.0.1');
    proxy = await startCutProxy(port, first => /^upgrade: websocket\r$/im.test(first.toString('latin1')));
    const transports = [{ kind: 'websocket' }, { kind: 'http' }];
    site = await startSite({
      lrm: 'local',
      nodes: 2,
      vmm: { kind: 'sim', start: '10ms', boot: '10ms', stop: '10ms' },
      more: { lrm: { kind: 'local', nodes: 2, memoryPerNode: '1G', cpusPerNode: 2, namespaces: 'none' } },
      service: () => ({ listen: `127.0.0.1:${port}`, url: `http://127.0.0.1:${proxy.port}`, transports }),
    });
  });
  afterAll(async () => {
    await site.stop();
    await proxy.close();
  });

  const create = (name: string): Promise<WorkspaceView> =>
    site.json(['create', '--image', 'mini', '--memory', '128M', '--count', '2', '--name', name, '--wait']);
  /** What the pilots of all slots so far were connected by. */
  const ways = (): string[] =>
    readdirSync(site.workDir, { recursive: true, encoding: 'utf8' })
      .filter(path => path.endsWith('pilot.log'))
      .flatMap(path => readFileSync(join(site.workDir, path), 'utf8').trim().split('\n'))
      .map(line => JSON.parse(line) as { msg: string; via?: string })
      .flatMap(({ msg, via }) => (msg === 'connected' && via !== undefined ? [via] : []));
  const destroyed = async (name: string): Promise<void> => {
    await site.json(['destroy', name, '--wait']);
    const { events } = await site.client().events({ workspace: name, limit: 1_000 });
    for (const type of ['vm.running', 'node.reserved', 'node.released'])
      expect([type, events.filter(event => event.type === type).length]).toEqual([type, 2]);
    expect(await site.leftovers()).toEqual([]);
  };

  it('leases over plain requests, through cuts, and with byte streams', async () => {
    const lease = await create('plain');
    expect(lease.state).toBe('running');
    expect(ways()).toEqual(['http', 'http']);
    const console = await site.client().openStream('plain', lease.vms[0]?.name ?? '', { kind: 'console' });
    expect(String(await once(console, 'data'))).toContain('simulated VM');
    console.destroy();
    proxy.cut();
    await destroyed('plain');
  });

  it('leases over ssh where only that leaves the nodes', async () => {
    proxy.behave('refuse');
    const file = JSON.parse(readFileSync(site.siteFile, 'utf8')) as { service: Record<string, unknown> };
    const ssh = {
      kind: 'ssh',
      host: '127.0.0.1',
      user: 'root',
      identityFile: sshd.identityFile,
      options: options(sshd.port),
      command: ['wsp', 'ingest'],
    };
    file.service['transports'] = [{ kind: 'websocket' }, ssh];
    writeFileSync(site.siteFile, JSON.stringify(file));
    await site.killService('SIGTERM');
    await site.startService();
    tellUrl(site.url);
    expect(await create('far')).toMatchObject({ state: 'running' });
    expect(ways().toSorted()).toEqual(['http', 'http', 'ssh 127.0.0.1', 'ssh 127.0.0.1']);
    const nodes = await site.client().listNodes();
    expect(nodes.map(({ address }) => address)).toEqual(['127.0.0.1', '127.0.0.1']);
    await destroyed('far');
  });
});
