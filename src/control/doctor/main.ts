import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../platform/clock.ts';
import { print } from '../../platform/printing.ts';
import { systemProcesses } from '../../platform/process.ts';
import { systemRandom } from '../../platform/random.ts';
import { nodeVersion, reportOf, reportText } from '../../protocol/check.ts';
import { examineNode, type NodeExpectations, ordinaryNode } from './node.ts';

/**
 * `doctor --node [--qemu PROGRAM] [--work-dir DIR] [--images DIR] [--json] [-- HELPER…]`, as the
 * program of nodes runs it where nothing else of ours is (`srun node - doctor --node <
 * dist/node-tools.cjs`). Resolves with the exit code: 0, 1 when a check fails, 2 for bad arguments.
 */
export async function runNodeDoctor(args: readonly string[]): Promise<number> {
  let wanted: NodeExpectations;
  let json: boolean;
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: {
        node: { type: 'boolean' },
        qemu: { type: 'string', default: 'qemu-system-x86_64' },
        'work-dir': { type: 'string', default: ordinaryNode.workDir },
        images: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    });
    json = values.json;
    wanted = {
      vmm: { kind: 'qemu', binary: values.qemu, accelerator: 'auto' },
      workDir: resolve(values['work-dir']),
      helper: positionals.length === 0 ? undefined : positionals,
      imagesDir: values.images === undefined ? undefined : resolve(values.images),
    };
  } catch (cause) {
    process.stderr.write(`wsp doctor: ${(cause as Error).message}\n`);
    return 2;
  }
  const parts = { run: systemProcesses.run, clock: systemClock, random: systemRandom };
  const report = reportOf([nodeVersion(process.version), ...(await examineNode(wanted, parts))]);
  print(json ? `${JSON.stringify(report)}\n` : reportText(report));
  return report.ok ? 0 : 1;
}
