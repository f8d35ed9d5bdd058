import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandFailure, type ProcessRunner } from '../../../platform/process.ts';
import { confined } from '../../confine.ts';
import { type Accelerator, bareArguments, sandboxArguments } from './arguments.ts';

/** A working KVM runs the probe's guest in about 0.1 s, TCG in half a second; a node may be loaded. */
const probeDeadlineMs = { kvm: 2_000, tcg: 25_000 } as const;
/** What QEMU exits with when the guest writes 0x10 to isa-debug-exit: (0x10 << 1) | 1. */
const guestRan = 33;

/**
 * A floppy whose boot sector writes 0x10 to port 0xf4: `mov dx,0xf4; mov al,0x10; out dx,al; hlt; jmp $-1`.
 * The firmware that loads it is the larger part of the probe: on some hosts /dev/kvm opens and runs a few instructions, but a
 * firmware hangs in it.
 */
export function bootSector(): Buffer {
  const sector = Buffer.alloc(512);
  sector.set([0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, 0xf4, 0xeb, 0xfd]);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

/** Runs a guest. Undefined when it ran; else what QEMU, or its silence, says about why not. `scratchDirectory`: for its floppy. */
export async function guestTrouble(
  accelerator: Accelerator,
  binary: string,
  run: ProcessRunner['run'],
  scratchDirectory: string,
): Promise<string | undefined> {
  const directory = await mkdtemp(join(scratchDirectory, 'wsp-probe-'));
  try {
    const floppy = join(directory, 'floppy');
    await writeFile(floppy, bootSector());
    const result = await confined(run)(
      [
        binary,
        ...bareArguments,
        ...sandboxArguments,
        ...['-machine', 'pc', '-m', '32'],
        ...['-accel', accelerator, '-cpu', accelerator === 'kvm' ? 'host' : 'max'],
        ...['-drive', `if=floppy,format=raw,readonly=on,file=${floppy.replaceAll(',', ',,')}`],
        ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'],
      ],
      { deadlineMs: probeDeadlineMs[accelerator], cwd: directory },
    );
    if (result.code === guestRan) return undefined;
    return result.stderr.trim().slice(-500) || `${binary} ended with exit code ${result.code}`;
  } catch (cause) {
    if (!(cause instanceof CommandFailure)) throw cause;
    return cause.kind === 'timeout' ? 'a test guest hangs in it' : cause.message;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
