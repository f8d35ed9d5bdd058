import { afterAll, beforeAll, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import type { Client } from '../../src/client/client.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import type { UsageView } from '../../src/protocol/access.ts';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { WspError } from '../../src/protocol/errors.ts';
import { startSite, type TestSite } from '../support/site.ts';

/** A crowd: many users of one project ask for more than its quota, while the service is killed. On a real Slurm, whose jobs wait (held), so that 500 of them fit. */

const users = 50;
const each = 20;
const quota = 500;
let site: TestSite;
beforeAll(async () => {
  site = await startSite({
    lrm: 'slurm',
    nodes: 2,
    lrmOptions: ['--begin=2037-01-01T01:01'],
    vmm: { kind: 'sim' },
  });
});
afterAll(() => site?.stop());

const jobs = async (): Promise<readonly string[]> => {
  const listed = await site.cluster?.run(['squeue', '-h', '-o', '%j']);
  return listed?.stdout.split('\n').filter(name => name !== '') ?? [];
};

/** Until the service has answered, whatever happens to it meanwhile; the client token makes that one request. */
async function insist<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask();
    } catch (cause) {
      const again =
        cause instanceof WspError && ['service_unreachable', 'busy', 'rate_limited'].includes(cause.code);
      if (!again || tries > 200) throw cause;
      await pause(systemClock, 100);
    }
  }
}

async function crowd(): Promise<readonly Client[]> {
  const admin = site.client();
  await admin.setProject('crowd', { quota: { vms: quota } });
  const clients: Client[] = [];
  for (let index = 0; index < users; index++) {
    const user = `user${index}`;
    await admin.setUser(user, { projects: ['crowd'] });
    const { token } = await admin.createToken({ user });
    clients.push(createClient({ url: site.url, token }));
  }
  return clients;
}

it('1,000 creates by 50 users at once, a quota of 500 VMs, the service killed in the middle: exactly 500 are accepted, nothing is lost or doubled', async () => {
  const clients = await crowd();
  const accepted: WorkspaceView[] = [];
  const refused: WspError[] = [];
  let killed: Promise<void> | undefined;
  const answered = (): void => {
    if (accepted.length + refused.length < 300 || killed) return;
    killed = site.killService('SIGKILL').then(() => site.startService());
  };
  await Promise.all(
    clients.map(async (client, user) => {
      for (let nth = 0; nth < each; nth++) {
        const request = {
          groups: [{ name: 'node', image: 'mini', count: 1, memoryMiB: 128, cpus: 1 }],
          clientToken: `create-${user}-${nth}`,
        };
        await insist(() => client.createWorkspace(request)).then(
          workspace => accepted.push(workspace),
          (cause: unknown) => refused.push(cause as WspError),
        );
        answered();
      }
    }),
  );
  await killed;

  expect(accepted).toHaveLength(quota);
  expect(new Set(accepted.map(({ id }) => id)).size).toBe(quota);
  expect(refused).toHaveLength(users * each - quota);
  for (const error of refused) {
    expect(error.code).toBe('quota_exceeded');
    expect(error.message).toBe(
      'project crowd may have 500 VMs; 500 are in use, and with this request it would be 501',
    );
  }

  // What was acknowledged is there, once, with addresses of its own, and with one job each.
  const live = await site.client().listWorkspaces();
  expect(new Set(live.map(({ id }) => id))).toEqual(new Set(accepted.map(({ id }) => id)));
  const addresses = live.flatMap(({ vms }) => vms.flatMap(vm => vm.addresses.map(({ address }) => address)));
  expect([addresses.length, new Set(addresses).size]).toEqual([quota, quota]);
  await expect.poll(jobs, { timeout: 120_000, interval: 500 }).toHaveLength(quota);
  expect(new Set(await jobs())).toEqual(new Set(live.map(({ slot }) => `wsp-${slot?.id}`)));
  const { lines } = await site.json<UsageView>(['usage']);
  expect(lines.find(({ kind }) => kind === 'project')).toMatchObject({ vms: quota, workspaces: quota });

  await Promise.all(live.map(({ id }) => insist(() => site.client().destroyWorkspace(id))));
  await expect.poll(jobs, { timeout: 120_000, interval: 500 }).toEqual([]);
  const allEnded = async (): Promise<boolean> => (await site.client().listWorkspaces()).length === 0;
  await expect.poll(allEnded, { timeout: 60_000, interval: 500 }).toBe(true);
  expect(await site.leftovers()).toEqual([]);
  await clients[0]?.createWorkspace({
    groups: [{ name: 'node', image: 'mini', count: 1, memoryMiB: 128, cpus: 1 }],
  });
}, 400_000);
