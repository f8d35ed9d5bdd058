import { chmodSync, chownSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { WorkspaceView } from '../../src/protocol/api.ts';
import { changesOf, nodeFiles } from '../support/node-files.ts';
import { startSite, type TestSite } from '../support/site.ts';

/**
 * A node's files before and after a lease of a real guest, with the real helper, on every
 * scheduler.
 */

// An earlier version of the helper gave it to dnsmasq's user, and then it would be "as before" for
// ever.
beforeAll(() => chownSync('/dev/null', 0, 0));

let site: TestSite | undefined;
afterEach(async () => {
  await site?.stop();
  site = undefined;
});

describe.each(['local', 'slurm', 'gridengine', 'openpbs', 'torque'] as const)('a lease through %s', lrm => {
  it('pbs 5 leaves /dev, /run and /etc as they were: bytes, owners, modes', async () => {
    site = await startSite({ lrm, nodes: 1 });
    // As /run is: else the DHCP service stays root, and gives nothing away.
    chmodSync(site.directory, 0o755);
    const before = nodeFiles();
    const create = ['create', '--image', 'mini', '--memory', '160M', '--name', 'one', '--wait'];
    const workspace = await site.json<WorkspaceView>(create, 150_000);
    expect(workspace.vms.map(({ context }) => context)).toEqual(['ok']);
    expect(changesOf(before, nodeFiles()).filter(change => change.startsWith('/dev/null'))).toEqual([]);
    await site.json(['destroy', 'one', '--wait'], 60_000);
    await site.cluster?.untilIdle();
    expect(await site.leftovers()).toEqual([]);
    expect(changesOf(before, nodeFiles())).toEqual([]);
  });
});
