import { describe, expect, it, test } from 'vitest';
import { systemProcesses } from '../platform/process.ts';
import { confined, confinedTool, confinement } from './confine.ts';

const deadlineMs = 10_000;
const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'] as const;

describe('a confined program', () => {
  test('security 19 gets no new privileges', async () => {
    const { stdout } = await confined(systemProcesses.run)(['cat', '/proc/self/status'], { deadlineMs });
    expect(stdout).toMatch(/^NoNewPrivs:\s1$/m);
  });

  // Root needs no sudo, so it takes root to be somebody else.
  test.skipIf(process.getuid?.() !== 0)('security 19 cannot use sudo', async () => {
    const sudo = ['sudo', '-n', 'true'] as const;
    const without = await systemProcesses.run([...nobody, ...sudo], { deadlineMs });
    expect(without.stderr).not.toContain('no new privileges');
    const { code, stderr } = await systemProcesses.run([...nobody, ...confinement, ...sudo], { deadlineMs });
    expect([code, stderr]).toEqual([1, expect.stringContaining('no new privileges')]);
  });

  test('security 20 that reads images has limits', async () => {
    const run = confinedTool(systemProcesses.run);
    const { stdout } = await run(['cat', '/proc/self/status', '/proc/self/limits'], { deadlineMs });
    expect(stdout).toMatch(/^NoNewPrivs:\s1$/m);
    expect(stdout).toMatch(/^Max address space\s+1073741824 /m);
    expect(stdout).toMatch(/^Max cpu time\s+30 /m);
    expect(stdout).toMatch(/^Max core file size\s+0 /m);
  });

  it('that is not there is told by its own name', async () => {
    for (const confine of [confined, confinedTool]) {
      const missing = confine(systemProcesses.run)(['no-such-program'], { deadlineMs });
      await expect(missing).rejects.toMatchObject({
        kind: 'not-found',
        message: expect.stringMatching(/^no-such-program/),
      });
    }
  });
});
