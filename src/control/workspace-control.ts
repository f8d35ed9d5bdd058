import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import { systemProcesses } from '../platform/process.ts';
import type { NodeSettings, VmReport } from '../protocol/pilot.ts';
import { ControlError, type WorkspaceControl } from './control.ts';
import type { Helper } from './helper/helper.ts';
import type { SlotDirectory } from './node/slot-directory.ts';
import { Vm } from './vm.ts';
import type { Vmm } from './vmm/vmm.ts';

/** What control needs to know of its slot, and how it reaches the rest. */
export interface ControlParts {
  readonly node: string;
  readonly slotId: string;
  readonly directory: SlotDirectory;
  readonly settings: NodeSettings;
  readonly vmm: Vmm;
  readonly startHelper: () => Promise<Helper>;
  readonly clock: Clock;
  readonly log: Log;
  readonly report: (report: VmReport) => void;
}

/**
 * Workspace control of one slot on one node (paper §3.3). The helper is started while the pilot reports the node reserved: nothing waits for
 * it but the first VM's interfaces. The simulated VMM takes nothing of the host and needs no helper.
 */
export function createControl(parts: ControlParts): WorkspaceControl {
  const { directory, log, clock, vmm, report } = parts;
  const vms = new Map<string, Vm>();
  const onHost = vmm.kind !== 'sim';
  let helper: Promise<Helper> | undefined;
  const theHelper = (): Promise<Helper> => {
    helper ??= parts.startHelper();
    return helper;
  };

  return {
    async reserve() {
      await mkdir(directory.path, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
        throw new ControlError(
          'work_directory',
          `the work directory ${directory.path} cannot be made: ${String(cause)}`,
          cause,
        );
      });
      if (!onHost) return;
      await mkdir(join(directory.path, 'vms'), { recursive: true, mode: 0o700 });
      theHelper()
        .then(started => started.adoptDirectory(join(directory.path, 'vms')))
        .catch((cause: unknown) => log.error('helper', errorFields(cause)));
    },

    startVm(plan) {
      const known = vms.get(plan.vmId);
      if (known) {
        known.repeat();
        return;
      }
      const vm = new Vm(plan, {
        vmm,
        directory: directory.vm(plan.vmId),
        helper: onHost ? theHelper : undefined,
        clock,
        log,
        run: systemProcesses.run,
        report,
      });
      vms.set(plan.vmId, vm);
      void vm.start();
    },

    stopVm(vmId, graceMs) {
      const vm = vms.get(vmId);
      if (vm) vm.stop(graceMs);
      else report({ vmId, state: 'terminated', context: 'none' });
    },

    async release(graceMs) {
      for (const vm of vms.values()) vm.stop(graceMs);
      await Promise.all([...vms.values()].map(vm => vm.over));
      if (helper) await (await helper).undo();
      // The log and the journal of notifications stay, for whoever asks what happened.
      await rm(join(directory.path, 'vms'), { recursive: true, force: true });
    },

    reports: () => [...vms.values()].map(vm => vm.report),

    openStream(target) {
      const vm = vms.get(target.vmId);
      if (!vm)
        return Promise.reject(
          new ControlError('not_found', `VM ${target.vmId} is not on node ${parts.node}`),
        );
      return target.kind === 'tcp' ? vm.openPort(target.port) : vm.openConsole();
    },
  };
}
