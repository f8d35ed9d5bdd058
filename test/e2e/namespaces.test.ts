import { expect, it, onTestFinished } from 'vitest';
import { startBareNodes } from '../support/node.ts';

it('gives each of several sites that start in the same moment networks of its own', async () => {
  const sites = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const site = await startBareNodes(1);
      onTestFinished(() => site.stop());
      return site;
    }),
  );
  const networks = sites.flatMap(({ networks: { headAddress, vmLan } }) => [headAddress, vmLan.gateway]);
  expect(new Set(networks).size).toBe(8);
  for (const { networks, run } of sites) {
    const reached = await run(0, 'bash', '-c', `exec 3<>/dev/tcp/${networks.headAddress}/1`);
    // There is a way to its head, on which nothing listens.
    expect(reached.stderr).toContain('Connection refused');
  }
});
