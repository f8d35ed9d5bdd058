import { Duplex } from 'node:stream';
import { ControlError, type WorkspaceControl } from '../../src/control/control.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import type { PilotMessage, ServiceMessage, SlotAssignment, VmReport } from '../../src/protocol/pilot.ts';
import { memoryJournal } from '../../src/pilot/journal.ts';
import { PilotSession } from '../../src/pilot/session.ts';
import { type LinkHandlers, NotAcceptedError, type Transport } from '../../src/pilot/transport.ts';

const assignment: SlotAssignment = {
  slotId: 'slot-aaaaaaaaaa',
  secret: 'a-secret-of-enough-length',
  serviceUrl: 'http://127.0.0.1:1',
  serviceCa: null,
  transports: [{ kind: 'websocket' }],
  nodeNameEnv: [],
  jobEndEnv: [],
  walltimeMs: 600_000,
  memoryMiB: 256,
  cpus: 1,
  networks: [],
  killDelayMs: 30_000,
  node: {
    workDir: '/nowhere',
    helper: ['true'],
    adaptation: 'none',
    keepLogs: { slots: 100, forMs: 86_400_000 },
    shutdownGraceMs: 5_000,
    vmm: { kind: 'sim', startMs: 0, bootMs: 0, stopMs: 0 },
  },
};

/** A clock whose timers fire when the test says so. */
function manualClock() {
  const timers = new Map<() => void, number>();
  const clock: Clock = {
    now: () => 1_000,
    monotonicMs: () => 0,
    after(delayMs, fire) {
      timers.set(fire, delayMs);
      return () => timers.delete(fire);
    },
  };
  return {
    clock,
    fire(delayMs: number): void {
      const due = [...timers].filter(([, delay]) => delay === delayMs).map(([fire]) => fire);
      if (due.length === 0)
        throw new Error(`no timer of ${delayMs} ms among ${[...timers.values()].join(', ')}`);
      for (const fire of due) {
        timers.delete(fire);
        fire();
      }
    },
  };
}

interface WorldOptions {
  readonly reserve?: () => Promise<void>;
  readonly release?: () => Promise<void>;
  /** The service acknowledges by itself what it gets. */
  readonly acknowledge?: boolean;
  readonly reachable?: boolean;
  /** VMs report that they are told to stop. */
  readonly reportsStops?: boolean;
  /** Of the VM that it has; default: running. */
  readonly vmState?: VmReport['state'];
  /** Instead of the one whose timers the test fires. */
  readonly clock?: Clock;
  /** What a guest's end of a stream is; default: there is no such VM. */
  readonly openStream?: WorkspaceControl['openStream'];
}

function fakeControl(
  options: WorldOptions,
  done: string[],
  report: (vm: VmReport) => void,
): WorkspaceControl {
  return {
    reserve: options.reserve ?? (() => Promise.resolve()),
    orders: {
      'start-vm': ({ vm }) => done.push(`start ${vm.vmId}`),
      'stop-vm': ({ vmId, graceMs }) => {
        done.push(`stop ${vmId} ${graceMs}`);
        if (options.reportsStops) report({ vmId, state: 'stopping', context: 'ok' });
      },
      'operate-vm': ({ vmId, operation, graceMs }) => done.push(`${operation} ${vmId} ${graceMs}`),
      'set-peers': ({ bridges }) => done.push(`peers of ${bridges.map(({ bridge }) => bridge).join(' ')}`),
      'tell-guest': ({ vmId, message }) => done.push(`tell ${vmId} ${message}`),
    },
    release: graceMs => {
      done.push(`release ${graceMs}`);
      return options.release?.() ?? Promise.resolve();
    },
    reports: () => [{ vmId: 'ws-aaaaaaaaaa.w-0', state: options.vmState ?? 'running', context: 'ok' }],
    openStream: options.openStream ?? (() => Promise.reject(new ControlError('not_found', 'no such VM'))),
  };
}

interface ServiceState {
  reachable: boolean;
  acknowledge: boolean;
  accepted: boolean;
  behindMs: number;
  ackedSeq: number;
  /** Undefined: of before there were numbers. */
  protocol: number | undefined;
}

function welcomeOf({ ackedSeq, behindMs, protocol }: ServiceState): ServiceMessage {
  const message = { type: 'welcome', ackedSeq, now: 1_000 + behindMs } as const;
  return protocol === undefined ? message : { ...message, protocol };
}

/** The service as a pilot reaches it: `done` is told what is done to it. */
function fakeService({ reachable = true, acknowledge = true }: WorldOptions, clock: Clock, done: string[]) {
  const sent: PilotMessage[] = [];
  const attemptsAt: number[] = [];
  const brought: string[] = [];
  let handlers: LinkHandlers | undefined;
  // `behindMs`: of this node's clock, behind the service's.
  const state: ServiceState = {
    reachable,
    acknowledge,
    accepted: true,
    behindMs: 0,
    ackedSeq: 0,
    protocol: 2,
  };
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, written) => {
      brought.push(chunk.toString());
      written();
    },
  });
  const transport: Transport = {
    connect: next => {
      attemptsAt.push(clock.now());
      if (!state.accepted) return Promise.reject(new NotAcceptedError(401));
      if (!state.reachable) return Promise.reject(new Error('no route'));
      handlers = next;
      return Promise.resolve({
        localAddress: '10.0.0.1',
        send: message => {
          sent.push(message);
          if (message.type === 'hello') queueMicrotask(() => next.message(welcomeOf(state)));
          if (message.type === 'notification' && state.acknowledge) {
            queueMicrotask(() => next.message({ type: 'ack', seq: message.seq }));
          }
        },
        close: () => done.push('link closed'),
      });
    },
    openStream: streamId => {
      done.push(`stream ${streamId}`);
      return Promise.resolve(stream);
    },
  };
  return {
    transport,
    seen: {
      sent,
      state,
      attemptsAt,
      brought,
      say: (message: ServiceMessage) => handlers?.message(message),
      drop: () => handlers?.closed('test'),
    },
  };
}

/** A pilot's session before a service, a node and a clock that do as the test says. */
export function world(options: WorldOptions = {}) {
  const { clock: firedByHand, fire } = manualClock();
  const { clock = firedByHand } = options;
  const done: string[] = [];
  let report: (report: VmReport, at?: number) => void = () => undefined;
  const { transport, seen } = fakeService(options, clock, done);
  const { sent } = seen;
  const control = fakeControl(options, done, vm => report(vm));
  const session = new PilotSession({
    assignment,
    node: 'n01',
    jobEndsAt: 601_000,
    clock,
    log: silentLog,
    journal: memoryJournal(),
    transport,
    makeControl: given => {
      report = given;
      return control;
    },
    version: 'test',
  });
  return {
    ...seen,
    session,
    done,
    fire,
    report: (vm: VmReport, at?: number) => report(vm, at),
    bodies: () => sent.flatMap(message => (message.type === 'notification' ? [message.body] : [])),
    nodeStates: () =>
      sent.flatMap(m => (m.type === 'notification' && m.body.kind === 'node' ? [m.body.state] : [])),
  };
}

/** What a test sees of them. */
export type World = ReturnType<typeof world>;
