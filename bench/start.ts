/**
 * One real guest, from control's `start` command to the guest's word that it is up (disk, seed, bridge, tap, filter, DHCP and QEMU), against bare QEMU with the same
 * arguments on files and interfaces that are there already; in turn in one run, medians. In a network namespace of its own.
 * Usage: node --import tsx bench/start.ts [ROUNDS=10]. Needs root and `make setup`.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeSeed } from '../src/control/context/seed.ts';
import { startHelper } from '../src/control/helper/client.ts';
import type { Helper } from '../src/control/helper/helper.ts';
import { makeOverlay } from '../src/control/images/disk.ts';
import { slotDirectory } from '../src/control/node/slot-directory.ts';
import { AgentPort } from '../src/control/vmm/qemu/agent.ts';
import { vmFiles } from '../src/control/vmm/qemu/arguments.ts';
import { QemuVmm } from '../src/control/vmm/qemu/driver.ts';
import { VmSockets } from '../src/control/vmm/qemu/sockets.ts';
import type { Vmm } from '../src/control/vmm/vmm.ts';
import { SlotControl } from '../src/control/workspace-control.ts';
import { startChild } from '../src/platform/children.ts';
import { systemClock, withDeadline } from '../src/platform/clock.ts';
import { silentLog } from '../src/platform/log.ts';
import { systemProcesses } from '../src/platform/process.ts';
import type { VmReport } from '../src/protocol/pilot.ts';
import type { KeyPair, VmPlan } from '../src/protocol/plan.ts';
import { helperArgv, root } from '../test/support/site.ts';
import { machine, median, row } from './figures.ts';

const bootDeadlineMs = 60_000;
const qemu = { kind: 'qemu', binary: 'qemu-system-x86_64', accelerator: 'auto' } as const;

if (process.env['WSP_BENCH_NAMESPACE'] === undefined) process.exitCode = await inOwnNamespace();
else await bench(Number(process.argv[2] ?? 10));

async function inOwnNamespace(): Promise<number> {
  const child = await startChild(
    ['unshare', '--net', process.execPath, '--import', 'tsx', ...process.argv.slice(1)],
    { stdio: [0, 1, 2], env: { ...process.env, WSP_BENCH_NAMESPACE: '1' } },
  );
  return (await child.exited).code ?? 1;
}

async function bench(rounds: number): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'wsp-bench-'));
  try {
    const vmm = new QemuVmm({ ...qemu, scratchDirectory: scratch }, { clock: systemClock, log: silentLog });
    const parts: BenchParts = { scratch, vmm, keys: await keyPair(scratch) };
    // The first start probes the accelerator, and reads the image into memory.
    const { argv: first } = await startOurs(parts, 0);
    const ours: number[] = [];
    const bare: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const started = await startOurs(parts, round);
      ours.push(started.tookMs);
      bare.push(await startBare(parts, round, started.argv));
    }
    const accelerator = first[first.indexOf('-accel') + 1] ?? '?';
    console.log(`one guest (mini, ${accelerator}), ${machine()}, ${rounds} rounds`);
    console.log(row('bare QEMU, same arguments → guest up', bare));
    console.log(row('start command → guest up', ours));
    console.log(`ratio ${(median(ours) / median(bare)).toFixed(3)}`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface BenchParts {
  readonly scratch: string;
  readonly vmm: Vmm;
  readonly keys: KeyPair;
}

function helperOf({ scratch }: BenchParts, round: number): Promise<Helper> {
  return startHelper({
    argv: helperArgv(join(scratch, 'helper')),
    node: 'bench',
    slotId: slotIdOf(round),
    clock: systemClock,
    log: silentLog,
  });
}

/** From control's `start` command to the guest's word; and the arguments that QEMU got. */
async function startOurs(
  parts: BenchParts,
  round: number,
): Promise<{ readonly tookMs: number; readonly argv: readonly string[] }> {
  let heard: (report: VmReport) => void = () => undefined;
  const control = new SlotControl({
    vmm: parts.vmm,
    node: 'bench',
    slotId: slotIdOf(round),
    directory: slotDirectory(parts.scratch, 'bench', slotIdOf(round)),
    clock: systemClock,
    log: silentLog,
    startHelper: () => helperOf(parts, round),
    settings: {
      workDir: parts.scratch,
      helper: [],
      adaptation: 'none',
      keepLogs: { slots: 100, forMs: 86_400_000 },
      shutdownGraceMs: 0,
      vmm: qemu,
    },
    memoryMiB: 512,
    cpus: 1,
    networks: [],
    report: report => heard(report),
  });
  await control.reserve();
  const plan = planOf(parts.keys);
  const up = new Promise<void>((resolve, reject) => {
    heard = ({ state, context, reason }) => {
      if (context === 'ok') resolve();
      if (state === 'failed' || context === 'error') reject(new Error(reason?.message ?? state));
    };
  });
  const startedMs = systemClock.monotonicMs();
  control.orders['start-vm']({ vm: plan });
  await withDeadline(systemClock, bootDeadlineMs, 'the guest', up);
  const tookMs = systemClock.monotonicMs() - startedMs;
  const argv = await qemuArgv(plan.vmId);
  await control.release(0);
  return { tookMs, argv };
}

/** The same with files and interfaces that are there already, and with nothing of ours around QEMU. */
async function startBare(parts: BenchParts, round: number, argv: readonly string[]): Promise<number> {
  const plan = planOf(parts.keys);
  const directory = slotDirectory(parts.scratch, 'bench', slotIdOf(round)).vm(plan.vmId);
  mkdirSync(directory, { recursive: true });
  const helper = await helperOf(parts, round);
  try {
    for (const nic of plan.nics) await helper.attachNic(nic, plan.name);
    const manifest = JSON.parse(readFileSync(join(plan.image.directory, 'image.json'), 'utf8')) as {
      disk?: { file: string; format: 'qcow2' | 'raw' };
    };
    if (manifest.disk)
      await makeOverlay(
        { path: join(plan.image.directory, manifest.disk.file), format: manifest.disk.format },
        plan.name,
        directory,
        systemProcesses.run,
      );
    await makeSeed(plan, directory, systemProcesses.run);
    return await bootBare(argv, directory);
  } finally {
    await helper.undo();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** From the start of QEMU's process to the guest's word. */
async function bootBare(argv: readonly string[], directory: string): Promise<number> {
  const sockets = await VmSockets.in(directory);
  try {
    const [agent, console, qmp] = await Promise.all(
      [vmFiles.agent, vmFiles.console, vmFiles.qmp].map(name => sockets.listen(name)),
    );
    void console?.connection.then(socket => socket.resume());
    void qmp?.connection.then(socket => socket.resume());
    const up = agent?.connection.then(
      socket =>
        new Promise<void>((resolve, reject) => {
          new AgentPort(socket, systemClock, (state, reason) =>
            state === 'ok' ? resolve() : reject(new Error(reason?.message)),
          );
        }),
    );
    const startedMs = systemClock.monotonicMs();
    const [program = 'qemu-system-x86_64', ...rest] = argv;
    const child = await startChild([program, ...rest], { cwd: directory, stdio: ['ignore', 'ignore', 2] });
    try {
      await withDeadline(
        systemClock,
        bootDeadlineMs,
        'the bare guest',
        up ?? Promise.reject(new Error('no agent')),
      );
      return systemClock.monotonicMs() - startedMs;
    } finally {
      child.kill('SIGKILL');
      await child.exited;
    }
  } finally {
    await sockets.close();
  }
}

/** The argument vector of the QEMU that runs a VM. */
async function qemuArgv(vmId: string): Promise<string[]> {
  const { stdout } = await systemProcesses.run(['pgrep', '-f', '--', `^qemu-system.*guest=${vmId}`], {
    deadlineMs: 10_000,
  });
  const pid = stdout.trim().split('\n')[0] ?? '';
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
}

async function keyPair(directory: string): Promise<KeyPair> {
  const file = join(directory, 'key');
  await systemProcesses.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', file], {
    deadlineMs: 10_000,
  });
  return { privateKey: readFileSync(file, 'utf8'), publicKey: readFileSync(`${file}.pub`, 'utf8').trim() };
}

/** Letters only, as slot ids are. */
function slotIdOf(round: number): string {
  return `slot-${String(round)
    .padStart(10, '0')
    .replace(/\d/g, digit => 'abcdefghij'[Number(digit)] ?? '')}`;
}

function planOf(keys: KeyPair): VmPlan {
  const name = 'bench-0';
  return {
    vmId: `ws-benchbench.${name}`,
    workspaceId: 'ws-benchbench',
    name,
    image: { name: 'mini', directory: join(root, '.cache/images/mini') },
    memoryMiB: 192,
    cpus: 1,
    contextTimeoutMs: bootDeadlineMs,
    nics: [
      {
        network: 'private',
        mac: '52:54:00:00:00:01',
        address: '10.90.0.10',
        prefixLength: 16,
        dns: [],
        tap: 'wtbench0',
        bridge: { name: 'wbbench0', link: { kind: 'isolated' }, serviceAddress: '169.254.169.1', mtu: 1450 },
      },
    ],
    context: {
      hostname: name,
      workspace: 'bench',
      roles: [],
      authorizedKeys: [keys.publicKey],
      hostKey: keys,
      clusterKey: keys,
      hosts: [{ name, addresses: ['10.90.0.10'], hostPublicKey: keys.publicKey }],
    },
  };
}
