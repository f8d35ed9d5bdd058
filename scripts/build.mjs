// Builds dist/, or the directory that it is given: the service and CLI (split into chunks, packages
// left outside) and the pilot (one file, everything inside).
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

const root = new URL('..', import.meta.url).pathname;
const dist = process.argv[2] ?? `${root}dist`;
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
  sourcemap: 'linked',
};
rmSync(dist, { recursive: true, force: true });
await Promise.all([
  build({
    ...common,
    entryPoints: { wsp: 'src/cli/main.ts' },
    outdir: dist,
    format: 'esm',
    splitting: true,
    packages: 'external',
  }),
  // No source map: the file travels with every job. ws's optional native addons are left out on purpose.
  build({
    ...common,
    entryPoints: { pilot: 'src/pilot/main.ts' },
    outfile: `${dist}/pilot.cjs`,
    format: 'cjs',
    sourcemap: false,
    minify: true,
    keepNames: true,
    external: ['bufferutil', 'utf-8-validate'],
  }),
]);
