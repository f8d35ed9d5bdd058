import { defineConfig } from 'vitest/config';

/** unit: beside the source; sim: the simulated world; tidy: rules about the tree; e2e: real scheduler, real guests. */
export default defineConfig({
  test: {
    projects: [
      {
        test: { name: 'unit', include: ['src/**/*.test.ts', 'test/unit/**/*.test.ts'], testTimeout: 30_000 },
      },
      { test: { name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: 120_000 } },
      { test: { name: 'tidy', include: ['test/tidy/**/*.test.ts'], testTimeout: 60_000 } },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // Most of the time they wait, for schedulers and for guests to boot: two at a time, as the machine has two cores.
          maxWorkers: 2,
        },
      },
    ],
  },
});
