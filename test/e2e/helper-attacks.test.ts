import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { startHelper } from '../../src/control/helper/client.ts';
import type { Helper } from '../../src/control/helper/helper.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { type BareNodes, nicPlan, startBareNodes } from '../support/node.ts';

/** What whoever may start the helper tries to make of it. */

let nodes: BareNodes;
let before: string;
beforeAll(async () => {
  nodes = await startBareNodes(1);
  await vi.waitUntil(async () => !(await nodes.snapshot(0)).includes('tentative'), { timeout: 10_000 });
  before = await nodes.snapshot(0);
});
afterAll(() => nodes?.stop());

async function expectAsBefore(): Promise<void> {
  await expect.poll(() => nodes.snapshot(0), { timeout: 20_000, interval: 100 }).toBe(before);
  expect(existsSync(nodes.stateDir)).toBe(false);
}
beforeEach(expectAsBefore);

/** A helper that is started by `wrap` and its arguments. */
function wrapped(slotId: string, ...wrap: readonly string[]): Promise<Helper> {
  const [enter, where, ...program] = nodes.helperArgv(0);
  return startHelper({
    argv: [enter, where ?? '', ...wrap, ...program],
    node: 'n01',
    slotId,
    clock: systemClock,
    log: silentLog,
  });
}

describe('security 4 a journal is written whole or not at all', () => {
  it("undoes every interface although the caller's limit on the size of files cuts the journal short", async () => {
    const helper = await wrapped('slot-aaaaaaaaba', 'prlimit', '--fsize=200', '--');
    const attached = await Promise.allSettled(
      [41, 42, 43, 44].map(last => helper.attachNic(nicPlan(last), 'one')),
    );
    expect(attached.map(({ status }) => status)).toContain('rejected');
    await helper.undo();
    await expectAsBefore();
  });

  it('has kill-all remove interfaces whose journal is lost, with their rules and their DHCP service', async () => {
    const helper = await nodes.helper(0, 'slot-aaaaaaaabb');
    await helper.attachNic(nicPlan(41), 'one');
    rmSync(join(nodes.stateDir), { recursive: true });
    await helper.undo().catch(() => undefined);
    const { code, stdout } = await nodes.killAll(0);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'interface wbtest: undone\ninterface wttest41: undone\nn01 is a job node again\n',
    });
    await expectAsBefore();
  });
});
