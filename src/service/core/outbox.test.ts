import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineBench, FakePilot, must } from '../../../test/support/engine.ts';
import { kindsOf } from '../../../test/support/lease.ts';
import { LrmError } from '../../lrm/lrm.ts';
import { Outbox } from './outbox.ts';
import type { LrmEffect } from '../../lease/decision.ts';
import { createVirtualClock, settle } from '../../platform/virtual-clock.ts';
import { workspaceView } from '../api/views.ts';
import { silentLog } from '../../platform/log.ts';

describe('effects on the LRM', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = await new EngineBench().start();
  });
  afterEach(() => bench.close());

  const unavailable = new LrmError('unavailable', 'slurmctld does not answer');

  it('submit one gang with the slot’s assignment in its program', async () => {
    const { slotId } = await bench.create(3);
    expect(bench.lrm.submitted).toHaveLength(1);
    const request = must(bench.lrm.submitted[0]);
    expect(request).toMatchObject({ jobName: `wsp-${slotId}`, nodes: 3, options: [] });
    const [first, ...rest] = request.program.split('\n');
    expect(rest).toEqual(['// the pilot']);
    const assignment = JSON.parse(must(first).slice('globalThis.wspAssignment='.length, -1)) as Record<
      string,
      unknown
    >;
    expect(assignment).toMatchObject({
      slotId,
      serviceUrl: 'http://service.test:1',
      nodeNameEnv: ['FAKE_NODE'],
      memoryMiB: bench.slot(slotId).memoryMiBPerNode,
      walltimeMs: bench.slot(slotId).walltimeMs,
      killDelayMs: 30_000,
    });
    expect(bench.engine.pilots.authenticate(slotId, String(assignment['secret']))).toBe(true);
    expect(bench.slot(slotId)).toMatchObject({ state: 'queued', lrmJobId: '1' });
    expect(await bench.pendingEffects()).toEqual([]);
  });

  it('are tried again, ever more rarely, while the LRM does not answer', async () => {
    bench.lrm.down = unavailable;
    const { slotId } = await bench.create();
    await bench.advance(20_000);
    expect(bench.slot(slotId).state).toBe('requested');
    const tries = bench.logged.filter(({ message }) => message.startsWith('an effect failed'));
    expect(tries.length).toBeGreaterThan(3);
    expect(tries.length).toBeLessThan(10);
    bench.lrm.down = undefined;
    await bench.advance(30_000);
    expect(bench.slot(slotId).state).toBe('queued');
    expect(bench.lrm.submitted).toHaveLength(1);
  });

  it('report 1: what the LRM does not take now is submitted again, and its words are shown meanwhile', async () => {
    bench.lrm.down = new LrmError('deferred', 'the limit of jobs is reached');
    const { id, slotId } = await bench.create();
    await bench.advance(20_000);
    expect(workspaceView(bench.engine.state, bench.workspace(id))).toMatchObject({
      state: 'requested',
      reason: { code: 'lrm_deferred', message: 'the limit of jobs is reached' },
      slot: { lrmTrouble: { doing: 'submit', kind: 'deferred' } },
    });
    bench.lrm.down = unavailable;
    await bench.advance(40_000);
    expect(workspaceView(bench.engine.state, bench.workspace(id)).reason).toEqual({
      code: 'lrm_unavailable',
      message: 'slurmctld does not answer',
    });
    const events = await bench.engine.events({ after: 0, limit: 100 });
    expect(events.filter(({ type }) => type === 'slot.lrm-trouble')).toHaveLength(2);
    bench.lrm.down = undefined;
    await bench.advance(30_000);
    expect(bench.slot(slotId)).toMatchObject({ state: 'queued', lrmTrouble: null });
  });

  it('report 1: a cancel that failed is not done, and is told until it is', async () => {
    const { id, slotId } = await bench.create();
    bench.lrm.down = unavailable;
    await bench.engine.workspaces.destroy(id, 'ann');
    await bench.advance(40_000);
    expect(bench.slot(slotId)).toMatchObject({
      state: 'releasing',
      lrmTrouble: { doing: 'cancel', message: 'slurmctld does not answer' },
    });
    bench.lrm.down = undefined;
    await bench.advance(60_000);
    expect(bench.lrm.cancelled).toEqual(['1']);
    expect(bench.slot(slotId).state).toBe('released');
  });

  it('site G5: a queue that the LRM does not have ends the workspace at once, in its words', async () => {
    bench.lrm.down = new LrmError('refused', 'there is no queue std');
    await bench.restart();
    const { id } = await bench.create();
    expect(bench.workspace(id)).toMatchObject({
      state: 'ended',
      reason: {
        code: 'lrm_refused',
        message: 'the batch scheduler refused the request: there is no queue std',
      },
    });
    const [pool] = await bench.engine.capacity();
    expect(pool?.trouble).toMatchObject({ kind: 'refused', message: 'there is no queue std' });
  });

  it('do not submit twice when the answer was lost', async () => {
    bench.lrm.answerLost = true;
    const { slotId } = await bench.create();
    await bench.advance(5_000);
    expect(bench.lrm.submitted).toHaveLength(1);
    expect(bench.slot(slotId)).toMatchObject({ state: 'queued', lrmJobId: '1' });
  });

  it('end the workspace when the LRM refuses', async () => {
    bench.lrm.refusal = 'Invalid account';
    const { id, slotId } = await bench.create();
    expect(bench.slot(slotId).state).toBe('failed');
    expect(bench.workspace(id)).toMatchObject({ state: 'ended', reason: { code: 'lrm_refused' } });
    expect(await bench.pendingEffects()).toEqual([]);
  });

  it('submit nothing for a slot that was given up meanwhile', async () => {
    bench.lrm.down = unavailable;
    const { id, slotId } = await bench.create();
    await bench.engine.workspaces.destroy(id, 'ann');
    bench.lrm.down = undefined;
    await bench.advance(2_000);
    expect(bench.lrm.submitted).toEqual([]);
    expect(bench.slot(slotId).state).toBe('released');
    expect(bench.workspace(id)).toMatchObject({ state: 'ended', cause: 'destroyed' });
  });

  it('cancel the job of a slot that is given up in the queue', async () => {
    const { id, slotId } = await bench.create();
    await bench.engine.workspaces.destroy(id, 'ann');
    await bench.advance(2_000);
    expect(bench.lrm.cancelled).toEqual(['1']);
    expect(bench.slot(slotId).state).toBe('released');
  });

  it('run again after a crash between the transaction and the effect', async () => {
    bench.lrm.down = unavailable;
    const { slotId } = await bench.create();
    bench.lrm.down = undefined;
    await bench.restart();
    expect(bench.lrm.submitted.map(({ jobName }) => jobName)).toEqual([`wsp-${slotId}`]);
    expect(bench.slot(slotId).state).toBe('queued');
  });

  it('find the job again after a crash between the effect and its answer', async () => {
    bench.store.hold();
    const created = bench.engine.workspaces.create('ann', {
      groups: [{ name: 'w', image: 'mini', count: 1, memoryMiB: 256, cpus: 1 }],
    });
    await bench.settle();
    bench.store.release();
    const { slotId } = await created;
    // The job is submitted, and the crash comes before that is stored.
    bench.store.failure = new Error('crashed');
    await bench.settle();
    expect(bench.lrm.submitted).toHaveLength(1);
    expect(bench.slot(slotId).lrmJobId).toBeNull();
    await bench.restart();
    expect(bench.lrm.submitted).toHaveLength(1);
    expect(bench.slot(slotId)).toMatchObject({ state: 'queued', lrmJobId: '1' });
  });
});

describe('commands to pilots', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = await new EngineBench().start();
  });
  afterEach(() => bench.close());

  it('wait for the pilot, and come again until it has acknowledged them', async () => {
    const { slotId } = await bench.create(2);
    const [one, two] = [new FakePilot(bench.engine, slotId, 'n0'), new FakePilot(bench.engine, slotId, 'n1')];
    for (const pilot of [one, two]) {
      pilot.hello();
      pilot.notify({ kind: 'node', state: 'reserving', address: `10.1.0.${pilot === one ? 1 : 2}` });
    }
    one.notify({ kind: 'node', state: 'reserved' });
    await bench.settle();
    one.session.closed();
    two.notify({ kind: 'node', state: 'reserved' });
    await bench.settle();
    expect([one.commands.length, two.commands.length]).toEqual([0, 1]);

    one.connect(bench.engine);
    one.hello();
    await bench.settle();
    expect(one.commands).toHaveLength(1);
    one.connect(bench.engine);
    one.hello();
    await bench.settle();
    expect(one.commands.map(({ key }) => key)).toEqual([one.commands[0]?.key, one.commands[0]?.key]);
    one.acknowledge(must(one.commands[0]).key);
    one.connect(bench.engine);
    one.hello();
    await bench.settle();
    expect(one.commands).toHaveLength(2);
    const { body } = must(one.commands[0]);
    expect(body).toMatchObject({
      kind: 'start-vm',
      vm: { nics: [{ bridge: { link: { peers: [{ address: '10.1.0.2', macs: ['52:54:0a:5a:00:02'] }] } } }] },
    });
  });

  it('come again after a crash of the service', async () => {
    const { slotId } = await bench.create();
    const pilot = new FakePilot(bench.engine, slotId, 'n0');
    pilot.hello();
    pilot.notify({ kind: 'node', state: 'reserved' });
    await bench.settle();
    expect(pilot.commands).toHaveLength(1);
    await bench.restart();
    expect(bench.slot(slotId).nodes).toMatchObject([{ name: 'n0', connected: false }]);
    pilot.connect(bench.engine);
    pilot.hello();
    await bench.settle();
    expect(pilot.commands).toHaveLength(2);
    expect(pilot.heard.filter(({ type }) => type === 'welcome').at(-1)).toMatchObject({
      type: 'welcome',
      ackedSeq: 1,
    });
  });

  it('are dropped when the slot is over', async () => {
    const { workspace } = await bench.running();
    await bench.engine.workspaces.destroy(workspace.id, 'ann');
    expect(kindsOf(await bench.pendingEffects())).toEqual(['stop-vm']);
    bench.lrm.change('1', { state: 'failed', reason: 'node down' });
    await bench.advance(1_000);
    expect(bench.slot(workspace.slotId).state).toBe('failed');
    await bench.create();
    expect(await bench.pendingEffects()).toEqual([]);
  });
});

describe('the outbox', () => {
  const effect = (key: string): LrmEffect => ({ kind: 'lrm.submit', key, slotId: key });

  it('runs a few at once, in order, and each key once at a time', async () => {
    const clock = createVirtualClock(0);
    const begun: string[] = [];
    const finish: (() => void)[] = [];
    const outbox = new Outbox({
      clock,
      log: silentLog,
      perform: ({ key }) => {
        begun.push(key);
        return new Promise(resolve => finish.push(resolve));
      },
      done: () => undefined,
    });
    for (const key of ['a', 'b', 'a', 'c', 'd', 'e', 'f']) outbox.add(effect(key), false);
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
    finish[2]?.();
    await clock.advanceBy(0);
    expect(begun).toEqual(['a', 'b', 'c', 'd', 'e']);
    outbox.stop();
    for (const resolve of finish) resolve();
    await clock.advanceBy(0);
    expect(begun).toHaveLength(5);
  });

  it('says when an effect may have been done before, and bounds its pauses', async () => {
    const clock = createVirtualClock(0);
    const tries: { at: number; again: boolean }[] = [];
    const outbox = new Outbox({
      clock,
      log: silentLog,
      perform: async (_effect, again) => {
        tries.push({ at: clock.now(), again });
        throw new Error('no');
      },
      done: () => undefined,
    });
    outbox.add(effect('a'), false);
    await clock.advanceBy(200_000);
    expect(tries.map(({ again }) => again).indexOf(true)).toBe(1);
    const pauses = tries.slice(1).map(({ at }, index) => at - must(tries[index]).at);
    expect(pauses.slice(0, 3)).toEqual([250, 500, 1_000]);
    expect(Math.max(...pauses)).toBe(30_000);
    outbox.stop();
    expect(clock.nextAt()).toBeUndefined();
  });

  it('has one cancelling of a job to do, however often it is emitted while the LRM is down', async () => {
    const clock = createVirtualClock(0);
    const tries: string[] = [];
    const notNeeded: string[] = [];
    let isDown = true;
    const outbox = new Outbox({
      clock,
      log: silentLog,
      perform: async ({ key }) => {
        tries.push(key);
        if (isDown) throw new Error('down');
      },
      done: key => notNeeded.push(key),
    });
    const cancel = (minute: number, jobId: string): LrmEffect => ({
      kind: 'lrm.cancel',
      key: `cancel:slot-aaaaaaaaaa:${jobId}:${minute}`,
      slotId: 'slot-aaaaaaaaaa',
      jobId,
    });
    for (let minute = 0; minute < 60; minute += 1) {
      outbox.add(cancel(minute, '1'), false);
      await clock.advanceBy(60_000);
    }
    expect(new Set(tries)).toEqual(new Set(['cancel:slot-aaaaaaaaaa:1:0']));
    expect(tries.length).toBeLessThan(130);
    expect(notNeeded).toHaveLength(59);
    outbox.add(cancel(0, '2'), false);
    await settle();
    expect(tries.at(-1)).toBe('cancel:slot-aaaaaaaaaa:2:0');
    isDown = false;
    await clock.advanceBy(60_000);
    const before = tries.length;
    outbox.add(cancel(99, '1'), false);
    await settle();
    expect(tries).toHaveLength(before + 1);
    outbox.stop();
  });
});
