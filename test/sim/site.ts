import type { Policy } from '../../src/lease/policies/index.ts';
import type { DrainPolicy } from '../../src/lease/settings.ts';
import type { Lrm } from '../../src/lrm/lrm.ts';
import { defaultPoolName } from '../../src/protocol/ids.ts';
import type { EngineOptions } from '../../src/service/core/engine.ts';

/** A small site for the simulated world: everything that the site file would say, with waits that fit a short life. */
export function engineOptions(
  parts: Pick<EngineOptions, 'clock' | 'random' | 'log' | 'store'> & { readonly lrm: Lrm },
  policy: Policy,
  drain: DrainPolicy,
): EngineOptions {
  const { lrm, ...others } = parts;
  return {
    ...others,
    pools: [{ ...pool, lrm, policy }],
    lease: {
      networks: [
        { name: 'public', firstAddress: '192.0.2.10', lastAddress: '192.0.2.17', vnis: null },
        { name: 'private', firstAddress: '10.90.0.1', lastAddress: '10.90.0.200', vnis },
      ],
      defaultNetwork: 'private',
      defaultDurationMs: 60_000,
      maxDurationMs: 24 * 3_600_000,
      walltimePadMs: 60_000,
      shutdownGraceMs: 5_000,
      endNoticesMs: [30_000, 5_000],
      submitTimeoutMs: 600_000,
      reserveTimeoutMs: 30_000,
      pilotSilenceMs: 60_000,
      drain,
      suspended: 'wait',
      deployTimeoutMs: 60_000,
      releaseTimeoutMs: 15_000,
      // Soon, so that lives see it; but not before pilots of jobs that are disowned have left.
      retireAfterMs: 300_000,
    },
    images: () => [{ name: 'mini', agent: true, minMemoryMiB: 1 }],
    plan: {
      networks: [network('public', '192.0.2.10'), privateNetwork],
      imageDirectory: image => `/images/${image}`,
      contextTimeoutMs: 30_000,
    },
    pilot: {
      serviceUrl: () => 'http://service.invalid',
      serviceCa: () => null,
      transports: [{ kind: 'websocket' }],
      networks: [],
      program: '// the pilot',
    },
    makeKeyPair: comment => ({ privateKey: 'none', publicKey: `ssh-ed25519 none ${comment}` }),
    // All that is there at this moment is one batch, as in the real world one turn of the event loop.
    gather: () => Promise.resolve(),
  };
}

function network(name: string, firstAddress: string): EngineOptions['plan']['networks'][number] {
  return {
    name,
    prefixLength: 24,
    firstAddress,
    gateway: null,
    dns: [],
    link: { kind: 'isolated' },
    mtu: null,
  };
}

const pool = {
  name: defaultPoolName,
  reaches: null,
  gang: { options: [] },
  memory: { vmm: { fixedMiB: 56, perCpuMiB: 4, guestShare: 1 / 64 }, pilotMiB: 32 },
  node: {
    workDir: '/nowhere',
    helper: ['true'],
    adaptation: 'none',
    keepLogs: { slots: 100, forMs: 86_400_000 },
    shutdownGraceMs: 5_000,
    vmm: { kind: 'sim', startMs: 0, bootMs: 0, stopMs: 0 },
  },
} as const;

/** Few enough that they are given out again and again. */
const vnis = { first: 4_000, last: 4_199 };

const privateNetwork = {
  ...network('private', '10.90.0.1'),
  link: { kind: 'vxlan', firstVni: vnis.first, lastVni: vnis.last, port: 4_789 },
} as const;

const warm = {
  slots: 1,
  nodes: 1,
  memoryMiBPerNode: 2_048,
  cpusPerNode: 4,
  durationMs: 900_000,
  vmsPerNode: 3,
};
/** Each life is under one of them. */
export const policies: readonly Policy[] = [
  { kind: 'exact' },
  { kind: 'pack', vmsPerNode: 3 },
  { kind: 'extendable', factor: 1.5 },
  { kind: 'reuse', keepMs: 60_000, factor: 2, vmsPerNode: 2, shared: false },
  { kind: 'reuse', keepMs: 600_000, factor: 4, vmsPerNode: 4, shared: true },
  { kind: 'warm', ...warm, shared: false },
  { kind: 'warm', ...warm, shared: true },
];
