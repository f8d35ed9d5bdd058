import { expect, it } from 'vitest';
import { systemProcesses } from '../../src/platform/process.ts';
import { root } from '../support/site.ts';

/** What the demonstration cannot do without is said before anything is set up. */

const demo = (...argv: readonly [string, ...string[]]) =>
  systemProcesses.run(argv, { cwd: root, env: { ...process.env, LRM: 'local' }, deadlineMs: 30_000 });

it('whoever is not root is told so first, and nothing is installed', async () => {
  // Nobody's number, in a namespace of its own: the checkout may be where only root reads.
  expect(await demo('unshare', '--user', 'scripts/demo')).toMatchObject({
    code: 1,
    stdout: '',
    stderr:
      'demo: it makes network namespaces, and needs root for that: sudo make demo (nothing has been installed or changed)\n',
  });
});

it('a batch scheduler that it does not know is refused with those that it knows', async () => {
  expect(await demo('env', 'LRM=pbs', 'scripts/demo')).toMatchObject({
    code: 2,
    stdout: '',
    stderr: 'demo: LRM=pbs is not known: it is one of local, slurm, gridengine, openpbs, torque\n',
  });
});
