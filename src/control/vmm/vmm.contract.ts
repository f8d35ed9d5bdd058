import { existsSync, rmSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import type { Reason } from '../../protocol/states.ts';
import type { MachineSpec, RunningVm, VmEvents, Vmm } from './vmm.ts';

/** A VMM with machines to try it on. */
export interface VmmUnderTest {
  readonly vmm: Vmm;
  /** A machine whose guest boots, reports its context and obeys `shutdown`, in a new directory of its own. */
  machine(): Promise<MachineSpec>;
  /** A machine that the VMM cannot start. */
  unstartable(): Promise<MachineSpec>;
  /** Whether a start of this machine is under way: the guest's process is there, or whatever comes before it. */
  isStarting(spec: MachineSpec): boolean;
  /** Processes that belong to a machine. */
  processesOf(spec: MachineSpec): readonly number[];
}

/** A guest boots in two seconds; other tests share the processors. */
const deadlineMs = 60_000;

/** What a VM's events have said so far. */
interface Told {
  readonly events: VmEvents;
  readonly contexts: string[];
  readonly ends: { readonly clean: boolean; readonly reason?: Reason }[];
  /** All, in the order in which they came. */
  readonly order: string[];
}

function listen(): Told {
  const told: Omit<Told, 'events'> = { contexts: [], ends: [], order: [] };
  return {
    ...told,
    events: {
      context(state) {
        told.contexts.push(state);
        told.order.push('context');
      },
      exited(outcome) {
        told.ends.push(outcome);
        told.order.push('exited');
      },
    },
  };
}

const until = (what: () => unknown) => expect.poll(what, { timeout: deadlineMs, interval: 10 });

/** Resolves when the stream has carried `text`. The stream stays open. */
async function says(stream: Duplex, text: string): Promise<void> {
  let said = '';
  stream.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await until(() => said).toContain(text);
}

/** What every VMM driver must do. */
export function vmmContract(name: string, under: VmmUnderTest): void {
  const { vmm } = under;
  const specs: MachineSpec[] = [];
  const running: RunningVm[] = [];
  const machine = async (kind: 'machine' | 'unstartable' = 'machine'): Promise<MachineSpec> => {
    const spec = await under[kind]();
    specs.push(spec);
    return spec;
  };
  const start = async (): Promise<{ vm: RunningVm; told: Told; spec: MachineSpec }> => {
    const spec = await machine();
    const told = listen();
    const vm = await vmm.start(spec, told.events);
    running.push(vm);
    return { vm, told, spec };
  };

  describe(`the VMM driver ${name}`, { timeout: 3 * deadlineMs }, () => {
    afterEach(async () => {
      await Promise.all(running.splice(0).map(vm => vm.destroy()));
      for (const spec of specs.splice(0)) {
        expect(under.processesOf(spec), `processes of ${spec.name}`).toEqual([]);
        rmSync(spec.directory, { recursive: true, force: true });
      }
    });

    it('says what it is, the same however often and from how many sides it is asked', async () => {
      const [facts, again] = await Promise.all([vmm.check(), vmm.check()]);
      expect(facts.version).not.toBe('');
      expect(facts.checks.filter(({ status }) => status === 'fail')).toEqual([]);
      expect(again).toEqual(facts);
      expect(await vmm.check()).toEqual(facts);
    });

    it('runs a guest that reports itself and ends when asked: cleanly, once, and nothing after it', async () => {
      const { vm, told, spec } = await start();
      expect(under.processesOf(spec)).toEqual(vm.pid === 0 ? [] : [vm.pid]);
      await until(() => told.contexts).toEqual(['ok']);
      vm.shutdown();
      await until(() => told.ends.length).toBe(1);
      expect(told.ends[0]).toMatchObject({ clean: true });
      expect(told.ends[0]).not.toHaveProperty('reason');
      vm.shutdown();
      vm.tell('too late');
      await vm.destroy();
      expect(told.order).toEqual(['context', 'exited']);
    });

    it('destroys at any moment, more than once and from two sides', async () => {
      const { vm, told, spec } = await start();
      await Promise.all([vm.destroy(), vm.destroy()]);
      expect(under.processesOf(spec)).toEqual([]);
      await until(() => told.ends.length).toBe(1);
      await vm.destroy();
      expect(told.ends).toHaveLength(1);
    });

    it('pauses and resumes, more than once; a paused one can be destroyed', async () => {
      const { vm, told } = await start();
      await until(() => told.contexts).toEqual(['ok']);
      for (let round = 0; round < 2; round++) {
        await vm.pause();
        await vm.pause();
        await vm.resume();
        await vm.resume();
      }
      vm.shutdown();
      await until(() => told.ends.length).toBe(1);
      expect(told.ends[0]).toMatchObject({ clean: true });
      const other = await start();
      await other.vm.pause();
      await other.vm.destroy();
      await until(() => other.told.ends.length).toBe(1);
    });

    it('starts the same machine again when it has ended', async () => {
      const { vm, spec } = await start();
      await vm.destroy();
      const told = listen();
      running.push(await vmm.start(spec, told.events));
      await until(() => told.contexts).toEqual(['ok']);
      expect(told.ends).toEqual([]);
    });

    it('destroys a guest that is shutting down', async () => {
      const { vm, told } = await start();
      await until(() => told.contexts).toEqual(['ok']);
      vm.shutdown();
      await vm.destroy();
      await until(() => told.ends.length).toBe(1);
    });

    it('says why a machine cannot start, leaves nothing of it, and tells of no VM', async () => {
      const spec = await machine('unstartable');
      const told = listen();
      const failed = vmm.start(spec, told.events);
      await expect(failed).rejects.toMatchObject({ name: 'VmmError', code: 'vmm_start_failed' });
      await expect(failed).rejects.toThrow(/\w{5}/);
      expect(under.processesOf(spec)).toEqual([]);
      expect(told.order).toEqual([]);
    });

    it('calls off a start that has not begun', async () => {
      const spec = await machine();
      const told = listen();
      const off = vmm.start(spec, told.events, AbortSignal.abort());
      await expect(off).rejects.toMatchObject({ name: 'VmmError', code: 'vmm_start_aborted' });
      expect(told.order).toEqual([]);
    });

    it('calls off a start that is half-way', async () => {
      const spec = await machine();
      const told = listen();
      const abort = new AbortController();
      const off = vmm.start(spec, told.events, abort.signal);
      off.catch(() => undefined);
      await expect.poll(() => under.isStarting(spec), { timeout: deadlineMs, interval: 1 }).toBe(true);
      abort.abort();
      await expect(off).rejects.toMatchObject({ name: 'VmmError', code: 'vmm_start_aborted' });
      expect(under.processesOf(spec)).toEqual([]);
      expect(told.order).toEqual([]);
    });

    it('does nothing for an abort that comes when the VM runs', async () => {
      const spec = await machine();
      const told = listen();
      const abort = new AbortController();
      const vm = await vmm.start(spec, told.events, abort.signal);
      running.push(vm);
      abort.abort();
      await until(() => told.contexts).toEqual(['ok']);
      expect(told.ends).toEqual([]);
    });

    it('has a console: what was said before is shown, a second reader takes it over, the end of the guest ends it', async () => {
      const { vm, told } = await start();
      await until(() => told.contexts).toEqual(['ok']);
      const first = await vm.openConsole();
      await says(first, '');
      const firstEnded = new Promise(resolve => {
        first.once('end', resolve);
      });
      const second = await vm.openConsole();
      await firstEnded;
      second.write('echo what-i-typed\n');
      await says(second, 'what-i-typed');
      const secondEnded = new Promise(resolve => {
        second.once('end', resolve);
      });
      await vm.destroy();
      await secondEnded;
      const late = await vm.openConsole();
      await says(late, 'what-i-typed');
      await until(() => late.readableEnded).toBe(true);
    });

    it("tells the guest's users what it is asked to tell", async () => {
      const { vm, told } = await start();
      await until(() => told.contexts).toEqual(['ok']);
      vm.tell('ends in ten minutes');
      await says(await vm.openConsole(), 'ends in ten minutes');
    });

    it('tells what it has used, ever more of it, and nothing when it has ended', async () => {
      const { vm, told } = await start();
      await until(() => told.contexts).toEqual(['ok']);
      const first = await vm.statistics();
      for (const count of Object.values(first)) expect(count).toSatisfy(Number.isSafeInteger);
      if (vm.pid !== 0) expect(first.memoryBytes).toBeGreaterThan(1_048_576);
      await until(async () => (await vm.statistics()).cpuMs).toBeGreaterThan(first.cpuMs);
      await vm.destroy();
      await expect(vm.statistics()).rejects.toThrow(/closed|ended/);
    });

    it('runs two at once that know nothing of each other', async () => {
      const [one, two] = await Promise.all([start(), start()]);
      await until(() => [...one.told.contexts, ...two.told.contexts]).toEqual(['ok', 'ok']);
      await one.vm.destroy();
      await until(() => one.told.ends.length).toBe(1);
      expect(two.told.ends).toEqual([]);
      expect(existsSync(two.spec.directory)).toBe(true);
      two.vm.shutdown();
      await until(() => two.told.ends.length).toBe(1);
      expect(two.told.ends[0]).toMatchObject({ clean: true });
    });
  });
}
