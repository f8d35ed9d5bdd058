import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestApi, testApi } from '../../test/support/api.ts';
import { buildPrograms, type Programs } from '../../test/support/cli.ts';

/** `wsp` as a process of its own before the real API, whose state and answers are the test's. */

let api: TestApi;
let programs: Programs;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  api = await testApi();
  programs = await buildPrograms();
  env = { WSP_URL: await api.listen(), WSP_TOKEN: 'token-of-ann', HOME: programs.directory };
});
afterAll(async () => {
  await api?.app.close();
  programs?.remove();
});

describe('report F: waiting in vain', () => {
  it.each([
    ['wsp wait', 'queued', 'Waiting in the queue as job 42. The batch scheduler says: all nodes are busy.'],
    ['wsp launch --wait', 'queued', 'Waiting in the queue as job 42.'],
    ['wsp destroy --wait', 'ending', 'Ending (destroyed): guests are shutting down.'],
    ['wsp pause --wait', 'running', 'Running until 1970-01-01T01:00:02.000Z.'],
  ] as const)('report F: %s says for how long in people’s units, and why', async (command, state, why) => {
    const cause = state === 'ending' ? 'destroyed' : null;
    const { vmIds } = api.engine.addWorkspace({ id: 'ws-ffffffffff', name: 'slow', state, cause });
    for (const id of vmIds) api.engine.changeVm(id, { state: state === 'queued' ? 'pending' : 'running' });
    const slot = api.engine.slots.get('slot-ffffffffff');
    if (slot) api.engine.slots.set(slot.id, { ...slot, lrmReason: 'all nodes are busy' });
    const { code, stderr } = await programs.shell(`${command} slow --timeout 1s`, env);
    expect(code, stderr).toBe(1);
    expect(stderr).toContain(`after 1s workspace slow is still ${state}. ${why}`);
  });
});
