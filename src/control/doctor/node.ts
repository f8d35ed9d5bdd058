import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import type { Clock } from '../../platform/clock.ts';
import { roomFor } from '../../platform/directory.ts';
import { silentLog } from '../../platform/log.ts';
import type { ProcessRunner } from '../../platform/process.ts';
import { statIfThere } from '../../platform/stat.ts';
import type { Random } from '../../platform/random.ts';
import { type Check, failure, good, warning } from '../../protocol/check.ts';
import { type HelperPolicy, networkMissing } from '../../protocol/helper-policy.ts';
import { idSuffix, nodeNamePattern } from '../../protocol/ids.ts';
import type { VmmSettings } from '../../protocol/pilot.ts';
import { ControlError } from '../control.ts';
import { oneLine } from '../../platform/one-line.ts';
import { startHelper } from '../helper/client.ts';
import { policyWords } from '../helper/policy-document.ts';
import { readPolicy } from '../helper/policy.ts';
import { checkOwnDirectory } from '../node/own-directory.ts';
import { vmmKind } from '../vmm/index.ts';
import { launchPrefix } from '../vmm/qemu/launch.ts';
import { type Vmm, VmmUnfitError } from '../vmm/vmm.ts';
import { checkImages } from './images.ts';
import { checkTools } from './tools.ts';
import { messageOf } from '../../platform/message-of.ts';

export { checkImages };

/** What a node is to be fit for: the site file's `node`, as far as it is known. */
export interface NodeExpectations {
  readonly vmm: VmmSettings;
  readonly workDir: string;
  /** Undefined: not known here, so not looked at. */
  readonly helper: readonly string[] | undefined;
  readonly imagesDir: string | undefined;
  /** The networks that the site's VMs are in; undefined: not known here. */
  readonly networks?: HelperPolicy['networks'] | undefined;
}

/** What is looked at when no site file says otherwise. */
export const ordinaryNode: NodeExpectations = {
  vmm: { kind: 'qemu', binary: 'qemu-system-x86_64', accelerator: 'auto' },
  workDir: tmpdir(),
  helper: undefined,
  imagesDir: undefined,
};

/** What the checks work with. */
export interface NodeDoctorParts {
  readonly run: ProcessRunner['run'];
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Whether this host can be a node: programs, accelerator (by running a guest), devices, the helper (by starting one and ending it), disk space. As the
 * user who asks: run it as the user of the jobs. Changes nothing that it does not undo. Never rejects because of what it finds.
 */
export async function examineNode(
  wanted: NodeExpectations,
  parts: NodeDoctorParts,
): Promise<readonly Check[]> {
  const { run, clock } = parts;
  const vmm = vmmKind(wanted.vmm).create(wanted.vmm, tmpdir(), { clock, log: silentLog, run });
  const { needsHelper } = vmm.traits;
  const space = await checkWorkDir(wanted.workDir);
  const { imagesDir } = wanted;
  const images = imagesDir === undefined ? [] : await checkImages(imagesDir, needsHelper ? run : undefined);
  const checks = await checkVmm(vmm);
  if (!needsHelper) return [...checks, space, ...images];
  return [
    ...checks,
    ...(await checkTools(run)),
    await checkSignals(run),
    await checkTun(),
    await checkHelper(wanted.helper, parts),
    ...(wanted.helper?.[0] === 'sudo' ? [checkPolicy(wanted.networks)] : []),
    space,
    ...images,
  ];
}

/** As the pilot looks before it reserves the node. */
async function checkVmm(vmm: Vmm): Promise<readonly Check[]> {
  try {
    return (await vmm.check()).checks;
  } catch (cause) {
    if (!(cause instanceof VmmUnfitError)) throw cause;
    return cause.checks;
  }
}

/** What opens the disks of images, as the start of a VM does; undefined: nothing does. */
export function openerFor(vmm: VmmSettings, run: ProcessRunner['run']): ProcessRunner['run'] | undefined {
  return vmmKind(vmm).traits(vmm).needsHelper ? run : undefined;
}

/** Schedulers warn a job by signalling all of its processes; QEMU must not hear it. */
async function checkSignals(run: ProcessRunner['run']): Promise<Check> {
  const { blocksSignals } = await launchPrefix(run);
  return blocksSignals
    ? good('signals', "the scheduler's warning does not reach VMs")
    : warning(
        'signals',
        'the program env cannot block signals here: a warning of the scheduler would end VMs at once',
        'install coreutils 8.31 or newer',
      );
}

/** The helper makes taps as root; QEMU opens its own as the job's user. */
async function checkTun(): Promise<Check> {
  const device = '/dev/net/tun';
  try {
    await access(device, constants.R_OK | constants.W_OK);
    return good('tun', `${device} can be opened`);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      return failure('tun', `there is no ${device}`, 'load the kernel module tun');
    const fix = `as root: chmod 0666 ${device} (udev's own default)`;
    return failure('tun', `this user cannot open ${device}`, fix);
  }
}

async function checkHelper(argv: readonly string[] | undefined, parts: NodeDoctorParts): Promise<Check> {
  const name = 'helper';
  const fix =
    'install the helper and its sudo rule (docs/admin/helper.md), and check node.helper in the site file';
  if (argv === undefined)
    return warning(
      name,
      'not checked: the site file does not name it, and no command is given',
      'give --config FILE, or the command after --',
    );
  const slotId = `slot-${idSuffix(parts.random.bytes(10))}`;
  const short = hostname().split('.')[0] ?? '';
  const node = new RegExp(nodeNamePattern).test(short) ? short : 'doctor';
  try {
    const helper = await startHelper({ argv, node, slotId, clock: parts.clock, log: silentLog });
    await helper.undo();
    return good(name, `${argv.join(' ')} starts, answers, and ends when it is told to`);
  } catch (cause) {
    return failure(name, oneLine(messageOf(cause), 300), fix);
  }
}

/** Where `scripts/install-helper` keeps it. */
const policyFile = '/etc/workspace-pilot/helper.json';

/** What root allows the helper to be asked, and whether the site file's networks need more. */
function checkPolicy(networks: NodeExpectations['networks']): Check {
  const name = 'policy';
  const fix = 'wsp helper-policy --config SITE_FILE prints it: scripts/install-helper --policy FILE';
  const absent = `not checked: there is no ${policyFile}`;
  const orElsewhere = `${fix}; or it was installed with --etc-dir`;
  if (!statIfThere(policyFile)) return warning(name, absent, orElsewhere);
  try {
    const policy = readPolicy(policyFile);
    const missing = networkMissing(policy, networks ?? [])?.name;
    const trouble = `${policyFile} does not allow network ${missing} as the site file has it`;
    if (missing !== undefined) return failure(name, trouble, fix);
    return good(name, policyWords(policy).join('; '));
  } catch (cause) {
    return failure(name, oneLine(messageOf(cause), 300), fix);
  }
}

/** Some tens of VMs that have just been started; what guests write comes on top. */
const comfortableMiB = 1_024;
const leastMiB = 64;

async function checkWorkDir(workDir: string): Promise<Check> {
  const name = 'work-dir';
  const ofTheirs =
    'make it as root for the user of the jobs (install -d -o USER -m 0711 DIR), or set node.workDir';
  try {
    const { openToAll } = checkOwnDirectory(workDir);
    const open = `${workDir} is not there, and anybody may make it before the first job does`;
    if (openToAll) return warning(name, open, ofTheirs);
  } catch (cause) {
    if (cause instanceof ControlError) return failure(name, cause.message, ofTheirs);
    return failure(name, `${workDir} cannot be looked at: ${messageOf(cause)}`, ofTheirs);
  }
  try {
    const { path, freeMiB } = await roomFor(workDir);
    const where = `${freeMiB} MiB free in ${path}`;
    const fix = 'make room, or set node.workDir in the site file to a larger file system';
    if (freeMiB < leastMiB) return failure(name, where, fix);
    return freeMiB < comfortableMiB ? warning(name, where, fix) : good(name, where);
  } catch (cause) {
    const fix = 'give it to the user of the jobs, or set node.workDir in the site file';
    return failure(name, `${workDir} cannot be written to: ${messageOf(cause)}`, fix);
  }
}
