/**
 * Everything that `make test` checks, after `make setup`: format, lint, types, import rules, unused code, then unit, tidy and simulation tests, then end-to-end tests on
 * real parts; then the unit tests and one virtual cluster again on the newest Node.js that is
 * supported. Ends with one line `N passed, N failed, N skipped`; a static check counts as one test.
 * Arguments choose steps by name.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Child, startChild } from '../src/platform/children.ts';
import { systemClock } from '../src/platform/clock.ts';
import { type CommandResult, systemProcesses } from '../src/platform/process.ts';
import { removeStale } from '../test/support/temp-dirs.ts';
import { formatDuration } from '../src/protocol/units.ts';

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

const bin = (name: string): string => join(import.meta.dirname, '..', 'node_modules', '.bin', name);
const scratch = mkdtempSync(join(tmpdir(), 'wsp-test-'));
const total: Tally = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
/** Each test that failed with what it said, for the end: whoever reads only the last lines of a run learns why. */
const failedTests: string[] = [];
const longestMessage = 8_000;

const checks: Readonly<Record<string, readonly [string, ...string[]]>> = {
  format: [bin('biome'), 'format', '.'],
  lint: [bin('oxlint'), '--type-aware', '--deny-warnings', 'src', 'test', 'bench', 'scripts'],
  types: [bin('tsc'), '--noEmit'],
  imports: [bin('depcruise'), '--config', '.dependency-cruiser.cjs', 'src'],
  unused: [bin('knip')],
};

/** The end-to-end tests run alone: they start schedulers and guests, and say how long things take. */
const suites: readonly (readonly string[])[] = [['unit', 'tidy'], ['sim'], ['e2e']];

/**
 * On the newest Node.js that is supported, where that is not the one that runs this: the unit tests
 * and a virtual cluster.
 */
const newest = 'newest';
const onNewest: readonly Suite[] = [
  { name: `unit on the ${newest} Node.js`, args: ['--project', 'unit'] },
  {
    name: `virtual cluster on the ${newest} Node.js`,
    args: ['--project', 'e2e', 'test/e2e/node-versions.test.ts'],
  },
];

/** A run of vitest. */
interface Suite {
  readonly name: string;
  readonly args: readonly string[];
}

async function runCheck(name: string, argv: readonly [string, ...string[]]): Promise<void> {
  const startedMs = systemClock.monotonicMs();
  const result = await systemProcesses
    .run(argv, { deadlineMs: 300_000 })
    .catch((cause: unknown): CommandResult => ({ code: 1, signal: null, stdout: '', stderr: String(cause) }));
  const took = formatDuration(systemClock.monotonicMs() - startedMs);
  const ok = result.code === 0;
  console.log(`${ok ? 'ok    ' : 'FAILED'}  ${name}  (${took})`);
  if (!ok) {
    console.log(result.stdout + result.stderr);
    failures.push(name);
  }
  total[ok ? 'passed' : 'failed'] += 1;
}

/** `binDir`: where its `node` is, before all of PATH. */
async function runSuite({ name, args }: Suite, binDir?: string): Promise<void> {
  const report = join(scratch, `${name}.json`);
  const path = process.env['PATH'] ?? '';
  const child = await startChild(
    [bin('vitest'), 'run', ...args, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    {
      stdio: ['ignore', 1, 2],
      detached: true,
      env: { ...process.env, PATH: binDir === undefined ? path : `${binDir}:${path}` },
    },
  );
  running = child;
  const { code } = await child.exited;
  running = undefined;
  const counts = readCounts(report);
  failedTests.push(...counts.failures);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
  // A suite may fail without a failed test: a file that does not load, an unhandled rejection, a report that is missing.
  if (code !== 0 && counts.failed === 0) total.failed += 1;
  if (code !== 0) failures.push(name);
}

async function runOnNewest(): Promise<void> {
  const file = join(import.meta.dirname, 'node-versions');
  const major = readFileSync(file, 'utf8').trim().split('\n').at(-1)?.split('.')[0] ?? '';
  if (process.versions.node.startsWith(`${major}.`))
    return console.log(`ok      ${newest}  (all of this ran on Node.js ${process.versions.node})`);
  const binDir = join(import.meta.dirname, `../.cache/node-${major}/bin`);
  if (!existsSync(join(binDir, 'node'))) {
    console.log(`FAILED  ${newest}: ${binDir} has no node: run scripts/setup.sh ${newest}`);
    failures.push(newest);
    total.failed += 1;
    return;
  }
  for (const suite of onNewest) if (interrupted === undefined) await runSuite(suite, binDir);
}

/** What is read of vitest's JSON report. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

function readCounts(report: string): Tally & { readonly failures: readonly string[] } {
  try {
    const json = JSON.parse(readFileSync(report, 'utf8')) as Report;
    return {
      passed: json.numPassedTests,
      failed: json.numFailedTests,
      skipped: json.numPendingTests + json.numTodoTests,
      failures: json.testResults.flatMap(file =>
        file.assertionResults
          .filter(({ status }) => status === 'failed')
          .map(
            test =>
              `${basename(file.name)}: ${test.fullName}\n${(test.failureMessages ?? []).join('\n').slice(0, longestMessage)}`,
          ),
      ),
    };
  } catch {
    return { passed: 0, failed: 0, skipped: 0, failures: [] };
  }
}

/** An interrupted run leaves no schedulers and guests behind: its tests are gone at once, and what they had made with them. */
let running: Child | undefined;
let interrupted: NodeJS.Signals | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    interrupted = signal;
    // Its workers too.
    if (running) process.kill(-running.pid, 'SIGTERM');
  });
}

const wanted = new Set(process.argv.slice(2));
const chosen = (name: string): boolean => wanted.size === 0 || wanted.has(name);
try {
  // Two at a time: the machine that this is made for has two cores.
  const queue = Object.entries(checks).filter(([name]) => chosen(name));
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) await runCheck(...next);
  };
  await Promise.all([lane(), lane()]);
  for (const projects of suites) {
    const some = projects.filter(chosen);
    const args = some.flatMap(project => ['--project', project]);
    if (some.length > 0 && interrupted === undefined) await runSuite({ name: some.join(' and '), args });
  }
  if (chosen(newest) && interrupted === undefined) await runOnNewest();
} finally {
  await removeStale();
  rmSync(scratch, { recursive: true, force: true });
}
if (interrupted !== undefined) {
  console.log(`interrupted by ${interrupted}`);
  total.failed += 1;
}
for (const failed of failedTests) console.log(`\nFAILED  ${failed}`);
if (failures.length > 0) console.log(`\nfailed: ${failures.join(', ')}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
