import type { Duplex } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../platform/log.ts';
import { createVirtualClock, type VirtualClock } from '../platform/virtual-clock.ts';
import type { VmReport } from '../protocol/pilot.ts';
import type { VmPlan } from '../protocol/plan.ts';
import { ControlError } from './control.ts';
import type { VmHosting } from './hosting.ts';
import { mostWords } from './guest-words.ts';
import { HostedVm } from './vm.ts';
import { type MachineSpec, type RunningVm, type VmEvents, type Vmm, VmmError } from './vmm/vmm.ts';

/** One VM against a host and a VMM that do what each test says: every arrow of the diagram in vm.ts. */

/** A promise that the test settles. */
function later<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (cause: unknown) => void;
} {
  let resolve: (value: T) => void = () => undefined;
  let reject: (cause: unknown) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

let clock: VirtualClock;
let reports: VmReport[];
let did: string[];
let prepared: ReturnType<typeof later<MachineSpec>>;
let started: ReturnType<typeof later<void>>;
let adopted: ReturnType<typeof later<void>>;
let destroyed: ReturnType<typeof later<void>>;
let disposed: ReturnType<typeof later<void>>;
let events: VmEvents | undefined;
let vm: HostedVm;
let pauseFails: boolean;

const machine = { agent: true } as MachineSpec;
const states = (): readonly string[] => reports.map(({ state }) => state);
const last = (): VmReport | undefined => reports.at(-1);
const settle = (): Promise<void> => clock.advanceBy(0);

beforeEach(() => {
  clock = createVirtualClock(0);
  reports = [];
  did = [];
  [prepared, started, adopted, destroyed, disposed] = [later(), later(), later(), later(), later()];
  events = undefined;
  pauseFails = false;
  const hosting: VmHosting = {
    prepare: () => prepared.promise,
    adopt: () => adopted.promise,
    dispose: () => {
      did.push('dispose');
      return disposed.promise;
    },
    connect: port => Promise.resolve({ port } as unknown as Duplex),
  };
  const running: RunningVm = {
    pid: 7,
    shutdown: () => void did.push('shutdown'),
    pause: () => {
      did.push('pause');
      return pauseFails ? Promise.reject(new VmmError('vmm_failed', 'QMP says no')) : Promise.resolve();
    },
    resume: () => Promise.resolve(void did.push('resume')),
    tell: message => void did.push(`tell ${message}`),
    destroy: () => {
      did.push('destroy');
      return destroyed.promise;
    },
    statistics: () => Promise.resolve({ cpuMs: 1, memoryBytes: 2, diskReadBytes: 3, diskWrittenBytes: 4 }),
    openConsole: () => Promise.resolve({ console: true } as unknown as Duplex),
  };
  const vmm: Pick<Vmm, 'start'> = {
    async start(_, itsEvents, signal) {
      did.push('start');
      events = itsEvents;
      const called = new Promise<never>((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new VmmError('vmm_start_aborted', 'called off')));
      });
      await Promise.race([started.promise, called]);
      return running;
    },
  };
  const plan = { vmId: 'vm-1', name: 'one', contextTimeoutMs: 5_000 } as VmPlan;
  vm = new HostedVm(plan, { vmm, hosting, clock, log: silentLog, report: report => reports.push(report) });
});

async function run(): Promise<void> {
  prepared.resolve(machine);
  started.resolve();
  adopted.resolve();
  await settle();
}
/** The VMM's process ends, as it does when it is killed. */
async function gone(outcome: Parameters<VmEvents['exited']>[0] = { clean: true }): Promise<void> {
  events?.exited(outcome);
  destroyed.resolve();
  disposed.resolve();
  await settle();
}

describe('a VM', () => {
  it('goes from pending to running, and ends when its guest powers off', async () => {
    expect(states()).toEqual(['propagating']);
    prepared.resolve(machine);
    await settle();
    expect(states()).toEqual(['propagating', 'starting']);
    await run();
    expect(last()).toMatchObject({ state: 'running', context: 'pending' });
    events?.context('ok');
    expect(last()).toMatchObject({ state: 'running', context: 'ok' });
    await gone();
    expect(last()).toMatchObject({ state: 'terminated', reason: { code: 'guest_shutdown' } });
    await vm.over;
  });

  it('has no context to wait for where the image has no agent', async () => {
    prepared.resolve({ ...machine, agent: false });
    await run();
    await clock.advanceBy(60_000);
    expect(reports.map(({ state, context }) => `${state} ${context}`)).toEqual([
      'propagating none',
      'starting none',
      'running none',
    ]);
  });

  it('shuts down when asked, and is destroyed when it does not', async () => {
    await run();
    vm.stop(3_000);
    expect(last()?.state).toBe('stopping');
    await clock.advanceBy(2_999);
    expect(did).toEqual(['start', 'shutdown']);
    await clock.advanceBy(1);
    expect(did).toEqual(['start', 'shutdown', 'destroy']);
    await gone();
    expect(last()).toEqual({ vmId: 'vm-1', state: 'terminated', context: 'pending' });
  });

  it('is destroyed at once by a stop without grace, and earlier by a second stop, never later', async () => {
    await run();
    vm.stop(10_000);
    vm.stop(1_000);
    vm.stop(60_000);
    await clock.advanceBy(1_000);
    expect(did.filter(what => what !== 'start')).toEqual(['shutdown', 'destroy']);
  });

  it('says nothing final before its files are gone', async () => {
    await run();
    vm.stop(0);
    events?.exited({ clean: true });
    destroyed.resolve();
    await settle();
    expect([last()?.state, did.at(-1)]).toEqual(['stopping', 'dispose']);
    disposed.resolve();
    await settle();
    expect(last()?.state).toBe('terminated');
  });

  it.each([
    ['while its disk is made', () => undefined],
    ['while it starts', () => prepared.resolve(machine)],
  ])('ends without passing stopping when it is stopped %s', async (_, begin) => {
    begin();
    await settle();
    vm.stop(5_000);
    prepared.resolve(machine);
    disposed.resolve();
    await settle();
    expect(states()).not.toContain('stopping');
    expect(last()).toEqual({ vmId: 'vm-1', state: 'terminated', context: 'none' });
  });

  it.each([
    ['disk_full', () => prepared.reject(new ControlError('disk_full', 'no space'))],
    [
      'vmm_start_failed',
      () => {
        prepared.resolve(machine);
        started.reject(new VmmError('vmm_start_failed', 'QEMU says no'));
      },
    ],
    ['internal', () => prepared.reject(new TypeError('a mistake of ours'))],
  ])('fails with the reason %s, and leaves nothing', async (code, fail) => {
    fail();
    disposed.resolve();
    await settle();
    expect(last()).toMatchObject({ state: 'failed', reason: { code } });
    expect(did.at(-1)).toBe('dispose');
  });

  it('fails, and its VMM is ended, when the undo of its process cannot be recorded', async () => {
    prepared.resolve(machine);
    started.resolve();
    adopted.reject(new ControlError('helper_died', 'no helper'));
    destroyed.resolve();
    disposed.resolve();
    await settle();
    expect(did).toEqual(['start', 'destroy', 'dispose']);
    expect(last()).toMatchObject({ state: 'failed', reason: { code: 'helper_died' } });
  });

  it('fails with what its VMM said when that dies', async () => {
    await run();
    await gone({ clean: false, reason: { code: 'vmm_died', message: 'killed by signal 9' } });
    expect(last()).toMatchObject({ state: 'failed', reason: { message: 'killed by signal 9' } });
  });

  it('fails as stuck when the VMM cannot be killed, also when it was asked to stop', async () => {
    await run();
    vm.stop(0);
    disposed.resolve();
    await clock.advanceBy(20_000);
    expect(last()).toMatchObject({ state: 'failed', reason: { code: 'vmm_stuck' } });
  });

  it('tells of a guest that does not report in time, once, and goes on', async () => {
    await run();
    await clock.advanceBy(5_000);
    expect(last()).toMatchObject({
      state: 'running',
      context: 'error',
      reason: { code: 'context_timeout' },
    });
    const told = reports.length;
    await clock.advanceBy(60_000);
    expect(reports).toHaveLength(told);
  });

  it("keeps the guest's word that comes before we call it running", async () => {
    prepared.resolve(machine);
    await settle();
    started.resolve();
    events?.context('error', { code: 'context_failed', message: 'user-data failed' });
    adopted.resolve();
    await settle();
    expect(last()).toMatchObject({
      state: 'running',
      context: 'error',
      reason: { code: 'context_failed' },
    });
  });

  it('ends although its files cannot be removed: the undo of the slot tries again', async () => {
    await run();
    vm.stop(0);
    events?.exited({ clean: true });
    destroyed.resolve();
    disposed.reject(new Error('busy'));
    await settle();
    expect(last()?.state).toBe('terminated');
  });

  it('can be reached while it runs, and only then', async () => {
    await expect(vm.openPort(22)).rejects.toMatchObject({ code: 'unreachable' });
    vm.tellGuest('nobody hears');
    await run();
    expect(await vm.openPort(22)).toEqual({ port: 22 });
    expect(await vm.openConsole()).toEqual({ console: true });
    vm.tellGuest('hello');
    expect(did).toEqual(['start', 'tell hello']);
    vm.stop(0);
    await gone();
    await expect(vm.openConsole()).rejects.toMatchObject({ code: 'unreachable' });
    vm.stop(0);
    expect(last()?.state).toBe('terminated');
  });

  it('is paused and resumed', async () => {
    await run();
    vm.operate('resume', 0);
    vm.operate('pause', 0);
    await settle();
    vm.operate('pause', 0);
    await settle();
    vm.operate('resume', 0);
    await settle();
    expect(states().slice(2)).toEqual(['running', 'paused', 'running']);
    expect(did).toEqual(['start', 'pause', 'resume']);
  });

  it('is shut down by an order and started again, its files kept', async () => {
    await run();
    vm.operate('shutdown', 3_000);
    expect(last()?.state).toBe('stopping');
    destroyed.resolve();
    events?.exited({ clean: true });
    await settle();
    expect(last()?.state).toBe('stopped');
    expect(did).not.toContain('dispose');
    await expect(vm.openConsole()).rejects.toMatchObject({ code: 'unreachable' });
    vm.operate('start', 0);
    await settle();
    expect(states().slice(-3)).toEqual(['stopped', 'starting', 'running']);
    // Nothing of the first run's deadline is left.
    await clock.advanceBy(3_000);
    expect(last()?.state).toBe('running');
  });

  it('is destroyed, and stopped all the same, when it does not shut down in time', async () => {
    await run();
    vm.operate('shutdown', 3_000);
    await clock.advanceBy(3_000);
    expect(did).toEqual(['start', 'shutdown', 'destroy']);
    destroyed.resolve();
    events?.exited({ clean: true });
    await settle();
    expect(last()?.state).toBe('stopped');
  });

  it('reboots: shuts down and starts again', async () => {
    await run();
    vm.operate('pause', 0);
    await settle();
    vm.operate('reboot', 3_000);
    await settle();
    destroyed.resolve();
    events?.exited({ clean: true });
    await settle();
    expect(states().slice(2)).toEqual(['running', 'paused', 'rebooting', 'running']);
    expect(did).toEqual(['start', 'pause', 'resume', 'shutdown', 'destroy', 'start']);
  });

  it('waits for the word of each run: that of a guest before it is none of this one', async () => {
    prepared.resolve(machine);
    started.resolve();
    await settle();
    // Before we have said that it runs.
    events?.context('ok');
    adopted.resolve();
    await settle();
    expect(last()).toMatchObject({ state: 'running', context: 'ok' });
    vm.operate('reboot', 3_000);
    destroyed.resolve();
    events?.exited({ clean: true });
    await settle();
    expect(last()).toMatchObject({ state: 'running', context: 'pending' });
    await clock.advanceBy(5_000);
    expect(last()).toMatchObject({ context: 'error', reason: { code: 'context_timeout' } });
  });

  it('ends from being stopped, and takes no order on its way out', async () => {
    await run();
    vm.operate('shutdown', 3_000);
    destroyed.resolve();
    events?.exited({ clean: true });
    await settle();
    vm.stop(1_000);
    vm.operate('start', 0);
    disposed.resolve();
    await settle();
    expect(states().slice(-2)).toEqual(['stopped', 'terminated']);
    await vm.over;
  });

  it('fails when it dies while it reboots or is shut down', async () => {
    await run();
    vm.operate('reboot', 3_000);
    await gone({ clean: false, reason: { code: 'vmm_died', message: 'killed by signal 9' } });
    expect(last()).toMatchObject({ state: 'failed', reason: { code: 'vmm_died' } });
  });

  it('says so when the VMM does not obey', async () => {
    await run();
    pauseFails = true;
    vm.operate('pause', 0);
    await settle();
    expect(last()).toMatchObject({ state: 'running', reason: { code: 'operation_failed' } });
  });

  it('is over once: no report follows the final one', async () => {
    await run();
    events?.context('ok');
    vm.stop(1_000);
    await gone();
    const told = reports.length;
    await clock.advanceBy(60_000);
    expect(reports).toHaveLength(told);
    expect(did.filter(what => what === 'dispose')).toHaveLength(1);
  });
});

describe('security 7: a guest that changes its word all the time', () => {
  const told = (): readonly VmReport[] => reports.filter(({ state }) => state === 'running');

  it('is heard once a second, with its newest word', async () => {
    await run();
    const before = told().length;
    for (let flip = 0; flip < 1_000; flip++) {
      events?.context('ok');
      events?.context('error', { code: 'context_failed', message: `try ${flip}` });
    }
    expect(told().length - before).toBe(1);
    await clock.advanceBy(1_000);
    expect(told().length - before).toBe(2);
    expect(last()).toMatchObject({ context: 'error', reason: { message: 'try 999' } });
    await clock.advanceBy(10_000);
    expect(told().length - before).toBe(2);
  });

  it('is not heard any more after so many words, which is told', async () => {
    await run();
    const before = told().length;
    for (let second = 0; second < 10 * mostWords; second++) {
      events?.context(second % 2 === 0 ? 'ok' : 'error', { code: 'context_failed', message: `at ${second}` });
      await clock.advanceBy(1_000);
    }
    expect(told().length - before).toBe(mostWords + 1);
    expect(last()).toMatchObject({
      state: 'running',
      context: 'error',
      reason: { code: 'context_unsteady' },
    });
  });
});
