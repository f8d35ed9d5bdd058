import { EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { makeSeed } from '../../src/control/context/seed.ts';
import { makeOverlay } from '../../src/control/images/overlay.ts';
import { createQemuVmm } from '../../src/control/vmm/qemu/driver.ts';
import type { MachineSpec, RunningVm } from '../../src/control/vmm/vmm.ts';
import { systemClock, withDeadline } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { parseImageManifest } from '../../src/protocol/image.ts';
import type { KeyPair, VmPlan } from '../../src/protocol/plan.ts';

/** The guests themselves, really booted: what they make of their seed, and how they end. Networks are tested with control. */

const root = new URL('../..', import.meta.url).pathname;
const images = join(root, '.cache/images');
const built = existsSync(join(images, 'mini/image.json')) && existsSync('/usr/bin/qemu-system-x86_64');
if (!built) console.warn('guest images: skipped, because they are not built here (make setup)');

/** Two seconds when idle; other tests share the processors. */
const bootDeadlineMs = 60_000;

/** One for all: it finds out once what this machine can do. */
const driverCache = mkdtempSync(join(tmpdir(), 'wsp-guest-'));
afterAll(() => rmSync(driverCache, { recursive: true, force: true }));
const driver = createQemuVmm(
  { binary: 'qemu-system-x86_64', accelerator: 'auto', cacheDirectory: driverCache },
  { clock: systemClock, log: silentLog },
);

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'wsp-guest-'));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function keyPair(directory: string, name: string): Promise<KeyPair> {
  const file = join(directory, name);
  const made = await systemProcesses.run(
    ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file],
    { deadlineMs: 10_000 },
  );
  expect(made.stderr).toBe('');
  return { privateKey: readFileSync(file, 'utf8'), publicKey: readFileSync(`${file}.pub`, 'utf8').trim() };
}

/** The plan of a VM that is alone in its ensemble and reaches itself by name. */
async function planFor(image: string, directory: string, userData?: string): Promise<VmPlan> {
  const [hostKey, clusterKey] = await Promise.all([
    keyPair(directory, 'host'),
    keyPair(directory, 'cluster'),
  ]);
  return {
    vmId: 'vm-test',
    workspaceId: 'ws-test',
    name: 'worker-0',
    image: { name: image, directory: join(images, image) },
    memoryMiB: 192,
    cpus: 1,
    nics: [],
    contextTimeoutMs: bootDeadlineMs,
    context: {
      hostname: 'worker-0',
      workspace: 'test',
      roles: ['worker', 'storage'],
      authorizedKeys: [],
      hostKey,
      clusterKey,
      hosts: [{ name: 'worker-0', addresses: ['127.0.0.1'], hostPublicKey: hostKey.publicKey }],
      ...(userData === undefined ? {} : { userData }),
    },
  };
}

interface Guest {
  readonly vm: RunningVm;
  /** What the guest reports: `ok`, or the message of its error. */
  context(): Promise<string>;
  /** Whether its end was orderly. */
  ended(): Promise<boolean>;
}

interface BootOptions {
  readonly userData?: string;
  /** false: the guest gets no seed. */
  readonly seed?: boolean;
  /** Instead of the one that the image asks for. */
  readonly machine?: 'q35';
  /** false: without the agent's port, so that only ACPI can ask the guest to end. */
  readonly agent?: false;
}

async function boot(image: string, options: BootOptions = {}): Promise<Guest> {
  const directory = scratch();
  const manifest = parseImageManifest(JSON.parse(readFileSync(join(images, image, 'image.json'), 'utf8')));
  const plan = await planFor(image, directory, options.userData);
  const disks: MachineSpec['disks'][number][] = [];
  if (manifest.disk) {
    const backing = { path: join(images, image, manifest.disk.file), format: manifest.disk.format };
    const overlay = await makeOverlay(backing, plan.name, directory, systemProcesses.run);
    disks.push({ path: overlay, format: 'qcow2', readOnly: false });
  }
  if (options.seed !== false) {
    const seed = await makeSeed(plan, directory, systemProcesses.run);
    disks.push({ path: seed, format: 'raw', readOnly: true });
  }
  const how = manifest.boot;
  const spec: MachineSpec = {
    vmId: plan.vmId,
    name: plan.name,
    directory,
    memoryMiB: plan.memoryMiB,
    cpus: plan.cpus,
    boot:
      how.kind === 'disk'
        ? how
        : {
            ...how,
            kernel: join(images, image, how.kernel),
            initrd: how.initrd === undefined ? undefined : join(images, image, how.initrd),
          },
    machine: options.machine ?? manifest.machine,
    disks,
    nics: [],
    agent: options.agent ?? manifest.agent,
  };
  const events = new EventEmitter();
  const context = once(events, 'context');
  const ended = once(events, 'ended');
  const vm = await driver.start(spec, {
    context: (state, reason) => events.emit('context', state === 'ok' ? 'ok' : reason?.message),
    exited: outcome => events.emit('ended', outcome.clean),
  });
  cleanups.push(() => vm.destroy());
  const inTime = async <T>(what: string, event: Promise<unknown[]>): Promise<T> =>
    (await withDeadline(systemClock, bootDeadlineMs, what, event))[0] as T;
  return {
    vm,
    context: () => inTime<string>('the report of the guest', context),
    ended: () => inTime<boolean>('the end of the guest', ended),
  };
}

/** Resolves when the guest's console has said `text`. */
async function consoleSays(vm: RunningVm, text: string): Promise<void> {
  const stream = await vm.openConsole();
  const heard = (async (): Promise<void> => {
    let said = '';
    for await (const chunk of stream) {
      said += String(chunk);
      if (said.includes(text)) return;
    }
    throw new Error(`the console ended without "${text}": ${said}`);
  })();
  await withDeadline(systemClock, bootDeadlineMs, `"${text}" on the console`, heard);
}

/** A program that succeeds only in a guest that took all of its identity from the seed. */
const proveIdentity = `#!/bin/sh -e
[ "$(hostname)" = worker-0 ]
[ "$(cat /etc/wsp-roles | tr '\\n' ' ')" = 'worker storage ' ]
[ "$(ssh worker-0 hostname < /dev/null)" = worker-0 ]
`;

describe('manifests', () => {
  const directory = join(root, 'guest');
  const names = readdirSync(directory).filter(name => existsSync(join(directory, name, 'image.json')));

  it.each(names)('%s has one that says its name', name => {
    const manifest = parseImageManifest(
      JSON.parse(readFileSync(join(directory, name, 'image.json'), 'utf8')),
    );
    expect(manifest.name).toBe(name);
  });
});

describe.skipIf(!built)('guests', { timeout: 4 * bootDeadlineMs }, () => {
  it.each([
    ['mini', undefined],
    ['mini', 'q35'],
    ['mini-disk', undefined],
  ] as const)(
    '%s takes its identity from the seed and ends when asked (machine %s)',
    async (image, machine) => {
      const guest = await boot(image, { userData: proveIdentity, ...(machine ? { machine } : {}) });
      expect(await guest.context()).toBe('ok');
      guest.vm.shutdown();
      expect(await guest.ended()).toBe(true);
    },
  );

  it.each(['mini', 'mini-disk'])('%s obeys the power button alone', async image => {
    const guest = await boot(image, { agent: false });
    await consoleSays(guest.vm, 'login-free console');
    guest.vm.shutdown();
    expect(await guest.ended()).toBe(true);
  });

  it('reports user data that fails, with its exit code', async () => {
    const guest = await boot('mini', { userData: '#!/bin/sh\necho no luck\nexit 3\n' });
    expect(await guest.context()).toMatch(/user-data ended with exit code 3/);
    await consoleSays(guest.vm, 'no luck');
  });

  it('reports that it has no seed', async () => {
    const guest = await boot('mini', { seed: false });
    expect(await guest.context()).toMatch(/there is no seed/);
  });
});
