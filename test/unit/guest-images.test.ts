import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { QemuVmm } from '../../src/control/vmm/qemu/driver.ts';
import type { RunningVm } from '../../src/control/vmm/vmm.ts';
import { systemClock, withDeadline } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { parseImageManifest } from '../../src/protocol/image.ts';
import {
  bootDeadlineMs,
  type GuestOptions,
  machineFor,
  makeScratch,
  noGuestsBecause,
} from '../support/guest.ts';

/** The guests themselves, really booted: what they make of their seed, and how they end. Networks are tested with control. */

const noGuests = noGuestsBecause();
if (noGuests !== undefined) console.warn(`guest images: skipped, because ${noGuests}`);

/** One for all: it finds out once what this machine can do. */
const driverCache = makeScratch();
afterAll(driverCache.remove);
const driver = new QemuVmm(
  { binary: 'qemu-system-x86_64', accelerator: 'auto', scratchDirectory: driverCache.directory },
  { clock: systemClock, log: silentLog },
);

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

interface Guest {
  readonly vm: RunningVm;
  /** What the guest reports: `ok`, or the message of its error. */
  context(): Promise<string>;
  /** Whether its end was orderly. */
  ended(): Promise<boolean>;
}

async function boot(image: string, options: GuestOptions = {}): Promise<Guest> {
  const { directory, remove } = makeScratch();
  cleanups.push(remove);
  const spec = await machineFor(image, directory, options);
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
  const directory = new URL('../../guest', import.meta.url).pathname;
  const names = readdirSync(directory).filter(name => existsSync(join(directory, name, 'image.json')));

  it.each(names)('%s has one that says its name', name => {
    const manifest = parseImageManifest(
      JSON.parse(readFileSync(join(directory, name, 'image.json'), 'utf8')),
    );
    expect(manifest.name).toBe(name);
  });
});

describe.skipIf(noGuests !== undefined)('guests', { timeout: 4 * bootDeadlineMs }, () => {
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

  it('report 6: hands over user data byte for byte', async () => {
    const odd = Buffer.from('# für Größe, \x80\xff', 'latin1');
    const sum = createHash('md5').update(odd).update('\n').digest('hex');
    const script = `[ "$(sed -n 2p /run/seed/user-data | md5sum)" = '${sum}  -' ]\n`;
    const bytes = Buffer.concat([Buffer.from('#!/bin/sh\n'), odd, Buffer.from(`\n${script}`)]);
    const guest = await boot('mini', { userData: { base64: bytes.toString('base64') } });
    expect(await guest.context()).toBe('ok');
  });

  it('reports that it has no seed', async () => {
    const guest = await boot('mini', { seed: false });
    expect(await guest.context()).toMatch(/there is no seed/);
  });
});
