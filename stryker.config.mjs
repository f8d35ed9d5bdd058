import { dirname } from 'node:path';

/**
 * Mutation testing of the pure parts, where what is decided follows from arguments alone and tests take milliseconds:
 * `make mutants FILES="src/lease/placement.ts"` (CONTRIBUTING.md). Without FILES: all of them, for hours.
 */
const named = (process.env.FILES ?? '').split(/\s+/).filter(Boolean);
const pure = ['src/lease/*.ts', 'src/lease/policies/*.ts', 'src/protocol/*.ts', 'src/service/access/*.ts'];
const ofAdapters = ['src/lrm/slurm/*.ts', 'src/lrm/gridengine/*.ts', 'src/lrm/pbs/*.ts'];
const files = named.length > 0 ? named : [...pure, ...ofAdapters];

// Not the tests of all that imports the files, which is nearly everything: those beside them. For scripts/mutants.vitest.ts.
process.env.MUTANTS_TESTS = files.map(file => `${dirname(file)}/*.test.ts`).join(' ');

export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'scripts/mutants.vitest.ts', related: false },
  mutate: [...files, '!src/**/*.test.ts'],
  coverageAnalysis: 'perTest',
  ignoreStatic: true,
  // A run is for afterwards: the machine is for other things as well.
  concurrency: 1,
  reporters: ['progress-append-only', 'clear-text'],
  clearTextReporter: { reportTests: false },
  tempDirName: '.cache/mutants',
  ignorePatterns: ['/dist', '/.cache', '/docs'],
};
