import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { startTimeOf } from '../../src/control/helper/proc.ts';
import { startChild } from '../../src/platform/children.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import { processesOf, removeStale } from '../support/temp-dirs.ts';
import { root } from '../support/site.ts';

const listed = async (...argv: [string, ...string[]]): Promise<string> =>
  (await systemProcesses.run(argv, { deadlineMs: 10_000 })).stdout;

it.each([
  ['Slurm', `import { startSlurm as start } from '${root}/test/cluster/slurm.ts';`],
  ['Grid Engine', `import { startGridEngine as start } from '${root}/test/cluster/gridengine.ts';`],
  [
    'PBS',
    `import { startPbs } from '${root}/test/cluster/pbs.ts'; const start = ({ nodes }) => startPbs({ nodes, dialect: 'torque' });`,
  ],
])('what a run with %s that was killed has left behind is removed by the next one', async (_name, from) => {
  const program = `${from} console.log((await start({ nodes: 2 })).directory);`;
  const killed = await startChild(
    [process.execPath, '--import', 'tsx', '--input-type=module', '--eval', program],
    { cwd: root, stdio: ['ignore', 'pipe', 2] },
  );
  let directory = '';
  if (killed.stdout)
    for await (const line of createInterface({ input: killed.stdout })) {
      directory = line;
      break;
    }
  killed.kill('SIGKILL');
  await killed.exited;
  const { tag } = JSON.parse(readFileSync(`${directory}/owner.json`, 'utf8')) as { tag: string };
  const isLeft = async (): Promise<boolean[]> => [
    existsSync(directory),
    processesOf(directory).length > 0,
    (await listed('ip', 'netns', 'list')).includes(`ws${tag}-`),
    (await listed('ip', '-o', 'link')).includes(`ws${tag}`),
  ];
  expect(await isLeft()).toEqual([true, true, true, true]);
  const processes = processesOf(directory);
  await removeStale();
  expect(processes.filter(pid => startTimeOf(pid) !== undefined)).toEqual([]);
  expect(await isLeft()).toEqual([false, false, false, false]);
});
