import { defineConfig } from 'vitest/config';

/**
 * The tests of `make mutants`, which StrykerJS runs for each mutation: stryker.config.mjs says
 * which.
 */
export default defineConfig({
  test: { include: (process.env['MUTANTS_TESTS'] ?? '').split(' '), testTimeout: 30_000 },
});
