import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Check } from '../protocol/check.ts';
import { checkSiteFile, examineHost } from './doctor.ts';

let directory: string;
let servers: Server[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-doctor-'));
  const image = join(directory, 'images/mini');
  mkdirSync(image, { recursive: true });
  writeFileSync(join(image, 'disk'), 'x');
  const boot = { boot: { kind: 'disk' }, disk: { file: 'disk', format: 'raw' }, machine: 'q35' };
  writeFileSync(
    join(image, 'image.json'),
    JSON.stringify({ name: 'mini', description: 'small', agent: false, minMemoryMiB: 16, ...boot }),
  );
});
afterEach(async () => {
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))));
  servers = [];
  rmSync(directory, { recursive: true, force: true });
});

type Document = Record<string, Record<string, unknown>>;
const site = (): Document => ({
  service: { listen: '127.0.0.1:0', stateDir: 'state', tokensFile: 'tokens' },
  lrm: { kind: 'local', nodes: 2 },
  images: { dir: 'images' },
  networks: [] as unknown as Record<string, unknown>,
  node: { workDir: 'work', helper: ['helper'], vmm: { kind: 'qemu' } },
});

function write(document: unknown): string {
  const file = join(directory, 'site.yaml');
  writeFileSync(file, JSON.stringify(document));
  return file;
}

/** The checks of one host, by name; all of a name where several have it. */
async function examine(document: Document): Promise<(name: string) => readonly Check[]> {
  const { config, checks: ofFile } = checkSiteFile(write(document));
  const checks = [...ofFile, ...(config ? await examineHost(config) : [])];
  return name => checks.filter(check => check.name === name);
}

describe('checkSiteFile', () => {
  it('tells every mistake, and still gives what can be looked at', () => {
    const document = site();
    document['service'] = { ...document['service'], listen: '127.0.0.1:70000' };
    document['images'] = { dir: 'none' };
    const { checks, config } = checkSiteFile(write(document));
    expect(checks.map(({ status, message }) => [status, message.split(':')[0]])).toEqual([
      ['fail', 'service.listen'],
      ['fail', 'images.dir'],
    ]);
    expect(config?.stateDir).toBe(join(directory, 'state'));
  });

  it('gives no configuration of a file of another shape', () => {
    const { checks, config } = checkSiteFile(write({ ...site(), lrm: { kind: 'lsf' }, node: {} }));
    expect(checks.length).toBeGreaterThan(1);
    expect(checks[0]?.message).toContain('lrm.kind');
    expect(config).toBeUndefined();
  });

  it.each([
    ['is not there', undefined],
    ['line 1', '{'],
  ])('a file that cannot be read: %s', (words, text) => {
    const file = join(directory, 'other.yaml');
    if (text !== undefined) writeFileSync(file, text);
    expect(checkSiteFile(file)).toMatchObject({ checks: [{ status: 'fail' }], config: undefined });
    expect(JSON.stringify(checkSiteFile(file).checks)).toContain(words);
  });
});

describe('examineHost', () => {
  it('finds nothing that fails at a good site', async () => {
    const found = await examine(site());
    for (const name of ['site-file', 'state-dir', 'image mini', 'listen', 'nodes-url'])
      expect(found(name), name).toMatchObject([{ status: 'ok' }]);
    expect(found('tokens-file')).toMatchObject([
      { status: 'warn', fix: expect.stringContaining('first start') },
    ]);
  });

  it.each([
    ['ok', 0o600, 'admin 0123456789abcdef\n', 'only its owner can read'],
    ['fail', 0o644, 'admin 0123456789abcdef\n', 'chmod 600'],
    ['fail', 0o600, 'admin short\n', 'shorter than'],
    ['fail', 0o600, '', 'holds no token'],
  ])('tokens file: %s (mode %o)', async (status, mode, text, words) => {
    const file = join(directory, 'tokens');
    writeFileSync(file, text);
    chmodSync(file, mode);
    expect((await examine(site()))('tokens-file')).toMatchObject([
      { status, message: expect.stringContaining(words) },
    ]);
  });

  it('security 26: sees a state directory where others can write', async () => {
    mkdirSync(join(directory, 'state'));
    chmodSync(join(directory, 'state'), 0o777);
    expect((await examine(site()))('state-dir')).toMatchObject([
      { status: 'fail', message: expect.stringContaining("not the service's alone") },
    ]);
  });

  it('sees a state directory that others can read, and one that cannot be made', async () => {
    mkdirSync(join(directory, 'state'));
    chmodSync(join(directory, 'state'), 0o755);
    expect((await examine(site()))('state-dir')).toMatchObject([
      { status: 'warn', fix: expect.stringContaining('chmod 700') },
    ]);
    writeFileSync(join(directory, 'file'), '');
    const document = site();
    document['service'] = { ...document['service'], stateDir: 'file/state' };
    const found = await examine(document);
    for (const name of ['site-file', 'state-dir'])
      expect(found(name), name).toMatchObject([{ status: 'fail' }]);
  });

  it('report I: a tokens file below a file is a mistake, not one that is made at the first start', async () => {
    writeFileSync(join(directory, 'file'), '');
    const document = site();
    document['service'] = { ...document['service'], tokensFile: 'file/tokens' };
    const found = await examine(document);
    for (const name of ['site-file', 'tokens-file'])
      expect(found(name), name).toMatchObject([{ status: 'fail' }]);
  });

  it('names each image that is not one, and misses images at all', async () => {
    mkdirSync(join(directory, 'images/broken'));
    writeFileSync(join(directory, 'images/broken/image.json'), '{}');
    expect((await examine(site()))('images')).toMatchObject([
      { status: 'fail', message: expect.stringContaining('broken') },
    ]);
    rmSync(join(directory, 'images'), { recursive: true });
    mkdirSync(join(directory, 'images'));
    expect((await examine(site()))('images')).toMatchObject([
      { status: 'fail', message: expect.stringContaining('no image') },
    ]);
  });

  it.each([
    ['ok', '{"status":"ok","version":"9.9"}', '9.9'],
    ['fail', 'hello', 'another program'],
  ])('listening where something listens already: %s', async (status, answer, words) => {
    const server = createServer((_request, response) => response.end(answer));
    servers.push(server);
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const document = site();
    const { port } = server.address() as AddressInfo;
    document['service'] = { ...document['service'], listen: `127.0.0.1:${port}` };
    expect((await examine(document))('listen')).toMatchObject([
      { status, message: expect.stringContaining(words) },
    ]);
  });

  it('cannot listen on an address of another host', async () => {
    const document = site();
    document['service'] = { ...document['service'], listen: '203.0.113.1:0' };
    expect((await examine(document))('listen')).toMatchObject([{ status: 'fail' }]);
  });
});

describe('a Slurm site', () => {
  /** Stands in for Slurm's commands. */
  function slurmSite(commands: Readonly<Record<string, string>>, more: Document = {}): Document {
    mkdirSync(join(directory, 'bin'));
    for (const [name, script] of Object.entries(commands))
      writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return { ...site(), lrm: { kind: 'slurm', binDir: 'bin' }, ...more };
  }
  /** Prints rows as it is asked to end their fields: the last argument says with what. */
  const rows = (...all: readonly string[]): string =>
    [
      'for last; do :; done',
      'row() { for field; do printf "%s%s" "$field" "${last##*:}"; done; echo; }',
      ...all.map(each => `row ${each}`),
    ].join('\n');
  const answers = {
    sinfo: rows(
      'PARTITION AVAIL TIMELIMIT NODELIST MEMORY CPUS STATE FEATURES',
      "'debug*' up 1-00:00:00 'n[1-4]' 2000 2 idle '(null)'",
    ),
    scontrol: "echo 'KillWait = 30 sec'",
    squeue: rows('JOBID USER STATE REASON START END PREEMPT NODELIST NAME COMMENT'),
    sbatch: 'echo "sbatch: Job 7 to start at once" >&2',
  };

  it('is asked what it can give', async () => {
    const found = await examine(slurmSite(answers, { leases: { maxDuration: '12h' } }));
    expect(found('lrm')).toMatchObject([
      { status: 'ok', message: expect.stringMatching(/4 nodes .* 2000 MiB and 2 processors, 30s/) },
    ]);
    expect(found('walltime')).toEqual([]);
    expect(found('lrm scripts')).toEqual([]);
  });

  it('security 26: that stores the scripts of jobs is warned of', async () => {
    const scontrol = "echo 'AccountingStoreFlags    = job_comment,job_script'";
    expect((await examine(slurmSite({ ...answers, scontrol })))('lrm scripts')).toMatchObject([
      { status: 'warn', message: expect.stringContaining('AccountingStoreFlags=job_script') },
    ]);
  });

  it.each([
    ['ok', 'exit 0', 'would take a lease of one node'],
    ['fail', 'Invalid account or account/partition combination specified', 'Invalid account'],
    ['warn', 'Unable to contact slurm controller (connect failure)', 'Unable to contact'],
  ])('site S5 is asked itself whether it would take a lease: %s, %s', async (status, says, words) => {
    const sbatch =
      status === 'ok' ? says : `echo "sbatch: error: Batch job submission failed: ${says}" >&2; exit 1`;
    expect((await examine(slurmSite({ ...answers, sbatch })))('lrm dry run')).toMatchObject([
      { status, message: expect.stringContaining(words) },
    ]);
  });

  it('warns of leases that are longer than its longest job', async () => {
    const found = await examine(slurmSite(answers, { leases: { maxDuration: '1d' } }));
    expect(found('walltime')).toMatchObject([{ status: 'warn', message: expect.stringContaining('1d2m') }]);
  });

  it.each([
    ['commands that are missing', {}, 'not installed'],
    [
      'a controller that does not answer',
      { ...answers, sinfo: 'echo "Unable to contact" >&2; exit 1' },
      'Unable',
    ],
    ['a squeue that prints something else', { ...answers, squeue: 'echo jobs' }, 'is not whole'],
  ])('fails with %s', async (_what, commands, words) => {
    expect((await examine(slurmSite(commands)))('lrm')).toMatchObject([
      { status: 'fail', message: expect.stringContaining(words) },
    ]);
  });

  it.each([
    ['fail', { listen: '127.0.0.1:0' }, 'each node itself'],
    ['fail', { listen: '0.0.0.0:0' }, 'service.url'],
    ['ok', { listen: '0.0.0.0:0', url: 'http://head.site:8080' }, 'http://head.site:8080'],
  ])('nodes that are to reach it: %s, %j', async (status, service, words) => {
    const document = slurmSite(answers);
    document['service'] = { ...document['service'], ...service };
    const [check] = (await examine(document))('nodes-url');
    expect(check).toMatchObject({ status });
    expect(`${check?.message} ${check?.fix}`).toContain(words);
  });
});
