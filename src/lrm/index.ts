import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startChild } from '../platform/children.ts';
import { systemClock } from '../platform/clock.ts';
import { systemProcesses } from '../platform/process.ts';
import { systemRandom } from '../platform/random.ts';
import type { GridEngineSettings } from './gridengine/commands.ts';
import { gridEngine } from './gridengine/gridengine.ts';
import { local } from './local/local.ts';
import { endNodes, makeNodes } from './local/namespaces.ts';
import type { Lrm } from './lrm.ts';
import { type PbsSettings, pbs } from './pbs/pbs.ts';
import { type StaticLrm, staticNodes } from './static/static.ts';
import { type SlurmSettings, slurm } from './slurm/slurm.ts';

/** The site file's `lrm` section in numbers. */
export type LrmConfig =
  | ({ readonly kind: 'slurm' } & SlurmSettings)
  | ({ readonly kind: 'gridengine' } & GridEngineSettings)
  | ({ readonly kind: 'pbs' } & PbsSettings)
  | {
      readonly kind: 'local';
      readonly nodes: number;
      readonly memoryMiBPerNode: number;
      readonly cpusPerNode: number;
      /** `auto`: each node in a network namespace of its own when we are root. */
      readonly namespaces: 'auto' | 'none';
      readonly killDelayMs: number;
    }
  | {
      readonly kind: 'static';
      readonly joinSecretFile: string;
      readonly lostAfterMs: number;
      readonly killDelayMs: number;
    };

/** An LRM, ready, and how its nodes reach this host when that is not the service's own address. */
export interface OpenedLrm {
  readonly lrm: Lrm;
  readonly headAddress?: string;
  /** Static nodes only: where agents join. */
  readonly agents?: StaticLrm;
  /** Namespaced local nodes only: the network behind their `eth1`. */
  readonly vmLan?: { readonly subnet: string; readonly gateway: string };
}

/** Names the nodes of the embedded LRM, so that those of a service that was killed are found by the next. */
const tagFile = 'nodes-tag';

/** Writes down our own tag, and takes down the nodes of the last one who did not get to it; beside what goes on, for it may take a while. */
function leaveLastNodes(directory: string, tag: string): Promise<void> {
  // Nobody keeps anything: we only look (doctor).
  if (directory === '') return Promise.resolve();
  const path = join(directory, tagFile);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const last = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  writeFileSync(path, `${tag}\n`);
  return /^[0-9a-f]{4}$/.test(last) ? endNodes(last, systemClock).catch(() => undefined) : Promise.resolve();
}

/** The one place that knows all members of the family. `directory`: for what the LRM itself must keep. */
export async function openLrm(config: LrmConfig, directory: string): Promise<OpenedLrm> {
  switch (config.kind) {
    case 'slurm':
      return { lrm: slurm(config, systemProcesses) };
    case 'gridengine':
      return { lrm: gridEngine(config, systemProcesses, systemClock) };
    case 'pbs':
      return { lrm: pbs(config, systemProcesses, systemClock) };
    case 'static': {
      const lrm = staticNodes({ ...config, directory }, systemClock);
      return { lrm, agents: lrm };
    }
    case 'local': {
      const settings = { ...config, node: process.execPath };
      const parts = { clock: systemClock, startChild };
      if (config.namespaces === 'none' || process.getuid?.() !== 0) {
        const nodes = Array.from({ length: config.nodes }, (_, index) => ({
          name: `n${String(index + 1).padStart(2, '0')}`,
        }));
        return { lrm: local({ ...settings, nodes }, parts) };
      }
      const tag = Buffer.from(systemRandom.bytes(2)).toString('hex');
      const leaving = leaveLastNodes(directory, tag);
      const networks = await makeNodes(tag, config.nodes);
      const afterClose = async (): Promise<void> => {
        await leaving;
        await networks.remove();
        if (directory !== '') rmSync(join(directory, tagFile), { force: true });
      };
      return {
        lrm: local({ ...settings, nodes: networks.nodes }, { ...parts, afterClose }),
        headAddress: networks.headAddress,
        vmLan: networks.vmLan,
      };
    }
  }
}
