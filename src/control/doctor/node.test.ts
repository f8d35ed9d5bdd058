import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import {
  CommandFailure,
  type CommandResult,
  type ProcessRunner,
  systemProcesses,
} from '../../platform/process.ts';
import { systemRandom } from '../../platform/random.ts';
import type { Check } from '../../protocol/check.ts';
import { noGuestsBecause } from '../../../test/support/guest.ts';
import { checkImages, examineNode, type NodeExpectations, ordinaryNode } from './node.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-node-doctor-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What isa-debug-exit makes of the probe's guest. */
const guestRan = 33;

interface Host {
  readonly missing?: readonly string[];
  /** What QEMU says under each accelerator; absent: a guest runs. */
  readonly kvm?: CommandResult | 'hangs';
  readonly tcg?: CommandResult;
  /** false: QEMU was built without seccomp. */
  readonly sandbox?: false;
}

function result(code: number, stderr = ''): CommandResult {
  return { code, signal: null, stdout: code === 0 ? 'version 1.0\nand more' : '', stderr };
}

function hostRunner({ missing = [], kvm, tcg, sandbox }: Host): ProcessRunner['run'] {
  return (argv, options) => {
    const [program] = argv;
    if (missing.includes(program))
      return Promise.reject(
        new CommandFailure('not-found', argv, `${program} is not installed or not in PATH`),
      );
    if (argv.includes('info')) return Promise.resolve({ ...result(0), stdout: '{"format":"qcow2"}' });
    if (sandbox === false && argv.includes('-sandbox'))
      return Promise.resolve(result(1, '-sandbox support is not enabled in this QEMU binary'));
    if (!argv.includes('-accel')) return Promise.resolve(result(0));
    const outcome = argv.includes('kvm') ? kvm : tcg;
    if (outcome === 'hangs')
      return Promise.reject(new CommandFailure('timeout', argv, `not within ${options.deadlineMs} ms`));
    return Promise.resolve(outcome ?? result(guestRan));
  };
}

async function examine(
  host: Host = {},
  wanted: Partial<NodeExpectations> = {},
): Promise<ReadonlyMap<string, Check>> {
  const checks = await examineNode(
    { ...ordinaryNode, workDir: directory, ...wanted },
    { run: hostRunner(host), clock: systemClock, random: systemRandom },
  );
  return new Map(checks.map(check => [check.name, check]));
}

const qemu = (accelerator: 'auto' | 'kvm' | 'tcg'): Partial<NodeExpectations> => ({
  vmm: { kind: 'qemu', binary: 'qemu', accelerator },
});
const refused = result(1, 'failed to initialise KVM\n');

describe('examineNode', () => {
  it('finds nothing wrong with a node that has everything', async () => {
    const greets = `echo '{"id":0,"ok":true}'; read request; echo '{"id":1,"ok":true}'`;
    const checks = await examine({}, { helper: ['sh', '-c', greets] });
    expect([...checks.values()].filter(({ status }) => status !== 'ok')).toEqual([]);
    expect(checks.get('accelerator')?.message).toContain('KVM');
    expect(checks.get('qemu')?.message).toBe('version 1.0');
    expect([...checks.keys()]).toEqual(
      expect.arrayContaining(['qemu-img', 'nft', 'ip', 'dnsmasq', 'tun', 'helper', 'work-dir']),
    );
  });

  it.each(['qemu-img', 'genisoimage', 'nft', 'ip', 'bridge', 'dnsmasq', 'flock', 'setpriv', 'prlimit'])(
    'misses %s, and names its package',
    async program => {
      const check = (await examine({ missing: [program] })).get(program);
      expect(check).toMatchObject({ status: 'fail', message: expect.stringContaining('not installed') });
      expect(check?.fix).toMatch(/Debian: \S/);
    },
  );

  it('does not look for an accelerator without QEMU', async () => {
    const checks = await examine({ missing: ['qemu'] }, qemu('auto'));
    expect(checks.get('qemu')).toMatchObject({
      status: 'fail',
      fix: expect.stringContaining('node.vmm.binary'),
    });
    expect(checks.has('accelerator')).toBe(false);
  });

  it.each([
    ['auto', { kvm: refused }, 'warn', 'failed to initialise KVM'],
    ['auto', { kvm: 'hangs' }, 'warn', 'hangs'],
    ['auto', { kvm: refused, tcg: result(1, 'no tcg') }, 'fail', 'no tcg'],
    ['kvm', { kvm: refused }, 'fail', 'failed to initialise KVM'],
    ['kvm', {}, 'ok', 'KVM'],
    ['tcg', { kvm: refused }, 'ok', 'TCG'],
  ] as const)('accelerator %s, %j: %s', async (accelerator, host, status, words) => {
    expect((await examine(host, qemu(accelerator))).get('accelerator')).toMatchObject({
      status,
      message: expect.stringContaining(words),
    });
  });

  it('security 19 refuses a QEMU that was built without seccomp', async () => {
    const checks = await examine({ sandbox: false }, qemu('auto'));
    expect(checks.get('sandbox')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('not enabled in this QEMU'),
      fix: expect.stringContaining('seccomp'),
    });
    expect(checks.has('accelerator')).toBe(false);
    expect((await examine({}, qemu('auto'))).get('sandbox')).toMatchObject({ status: 'ok' });
  });

  it('says what is wrong with the helper, and where to read on', async () => {
    const broken = await examine({}, { helper: ['sh', '-c', 'echo "no sudo rule for you" >&2; exit 1'] });
    expect(broken.get('helper')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('no sudo rule for you'),
      fix: expect.stringContaining('docs/admin/helper.md'),
    });
    expect((await examine()).get('helper')).toMatchObject({ status: 'warn' });
  });

  it('looks at the room for a work directory that is not there yet', async () => {
    const checks = await examine({}, { workDir: join(directory, 'not/there') });
    expect(checks.get('work-dir')).toMatchObject({
      message: expect.stringContaining(`free in ${directory}`),
    });
  });

  it('fails on a work directory that cannot be made', async () => {
    const file = join(directory, 'file');
    writeFileSync(file, '');
    const checks = await examine({}, { workDir: join(file, 'work') });
    expect(checks.get('work-dir')).toMatchObject({ status: 'fail', message: expect.stringContaining(file) });
  });

  test('security 11 fails on a work directory that others can write to, and warns of one that they may make first', async () => {
    const open = join(directory, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    for (const workDir of [open, join(open, 'work')])
      expect((await examine({}, { workDir })).get('work-dir')).toMatchObject({
        status: 'fail',
        message: expect.stringContaining(`${open} can be written to by others`),
        fix: expect.stringContaining('install -d'),
      });
    chmodSync(open, 0o1777);
    expect((await examine({}, { workDir: join(open, 'work') })).get('work-dir')).toMatchObject({
      status: 'warn',
      message: expect.stringContaining('anybody may make it'),
    });
  });

  it('wants little for the simulated VMM', async () => {
    const checks = await examine(
      { missing: ['qemu', 'nft'] },
      { vmm: { kind: 'sim', startMs: 0, bootMs: 0, stopMs: 0 } },
    );
    expect([...checks.keys()]).toEqual(['vmm', 'work-dir']);
  });
});

describe('the images, as a node sees them', () => {
  const manifest = {
    description: 'd',
    machine: 'q35',
    agent: false,
    minMemoryMiB: 1,
    boot: { kind: 'disk' },
  };
  const imageOf = (images: string, name: string, files: readonly string[]): void => {
    mkdirSync(join(images, name), { recursive: true });
    const disk = { file: 'disk.qcow2', format: 'qcow2' };
    writeFileSync(join(images, name, 'image.json'), JSON.stringify({ ...manifest, name, disk }));
    for (const file of files) writeFileSync(join(images, name, file), '');
  };

  it('tells good ones from those whose files are missing', async () => {
    const imagesDir = join(directory, 'images');
    imageOf(imagesDir, 'whole', ['disk.qcow2']);
    imageOf(imagesDir, 'half', []);
    const checks = await examine({}, { imagesDir });
    expect(checks.get('image whole')).toMatchObject({ status: 'ok' });
    expect(checks.get('image half')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('disk.qcow2'),
    });
  });

  it.each(['none', 'empty'])('fails without any: %s', async name => {
    mkdirSync(join(directory, 'empty'), { recursive: true });
    const checks = await examine({}, { imagesDir: join(directory, name) });
    expect(checks.get('images')).toMatchObject({ status: 'fail', message: expect.stringContaining(name) });
  });

  describe.skipIf(noGuestsBecause() !== undefined)('opened by a real qemu-img', () => {
    const run = systemProcesses.run;
    const images = (): string => join(directory, 'real');
    const make = async (...argv: string[]): Promise<void> => {
      const { code, stderr } = await run(['qemu-img', 'create', '-q', ...argv], { deadlineMs: 30_000 });
      if (code !== 0) throw new Error(stderr);
    };
    const declared = (name: string, format: 'qcow2' | 'raw'): string => {
      imageOf(images(), name, []);
      const disk = { file: 'disk', format };
      writeFileSync(join(images(), name, 'image.json'), JSON.stringify({ ...manifest, name, disk }));
      return join(images(), name, 'disk');
    };

    it('report 12, security 20: a disk that is one file is good; one that names another, or that is not what it is declared to be, is not', async () => {
      const base = join(directory, 'base.qcow2');
      await make('-f', 'qcow2', base, '8M');
      const over = (disk: string, backing: string): Promise<void> =>
        make('-f', 'qcow2', '-F', 'qcow2', '-b', backing, disk);
      await make('-f', 'qcow2', declared('whole', 'qcow2'), '8M');
      await over(declared('layered', 'qcow2'), base);
      await make('-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', declared('reads-passwd', 'qcow2'));
      const data = `data_file=${join(directory, 'data')},data_file_raw=on`;
      await make('-f', 'qcow2', '-o', data, declared('data', 'qcow2'), '8M');
      // Not with LUKS: qemu-img measures this machine's speed for that, and gives up when it is busy.
      const secret = [
        '--object',
        'secret,id=key,data=abc',
        '-o',
        'encrypt.format=aes,encrypt.key-secret=key',
      ];
      await make('-f', 'qcow2', ...secret, declared('encrypted', 'qcow2'), '8M');
      const lost = join(directory, 'lost.qcow2');
      await make('-f', 'qcow2', lost, '8M');
      await over(declared('orphan', 'qcow2'), lost);
      rmSync(lost);
      await make('-f', 'qcow2', declared('called-raw', 'raw'), '8M');
      await make('-f', 'raw', declared('called-qcow2', 'qcow2'), '8M');
      await make('-f', 'raw', declared('plain', 'raw'), '8M');
      const checks = await checkImages(images(), run);
      const told = Object.fromEntries(
        checks.map(({ name, status, message }) => [name, `${status}: ${message}`]),
      );
      expect(told).toEqual({
        'image whole': 'ok: d',
        'image plain': 'ok: d',
        'image layered': expect.stringMatching(
          /^fail: .*names another file \(its backing file .*base\.qcow2\)/,
        ),
        'image orphan': expect.stringMatching(
          /^fail: .*names another file \(its backing file .*lost\.qcow2\)/,
        ),
        'image reads-passwd': expect.stringMatching(/^fail: .*names another file .*\/etc\/passwd/),
        'image data': expect.stringMatching(/^fail: .*names another file \(its data file .*\/data\)/),
        'image encrypted': expect.stringMatching(/^fail: .*is encrypted/),
        'image called-raw': expect.stringMatching(/^fail: .*is declared to be raw, and is qcow2/),
        'image called-qcow2': expect.stringMatching(/^fail: .*not in qcow2 format/),
      });
    });
  });
});
