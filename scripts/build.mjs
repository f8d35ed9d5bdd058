// Builds dist/, or the directory that it is given: the service and CLI (split into chunks) and the
// pilot (one file, everything inside).
import { readFileSync, rmSync } from 'node:fs';
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
/**
 * What the command line needs of packages is inside: finding and opening their five hundred files
 * would take most of a short command's time. The rest, which only the service needs, is left
 * outside.
 */
const inside = ['commander', 'openapi-fetch', 'typebox', 'ws', 'yaml'];
const { dependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
const outside = Object.keys(dependencies).filter(name => !inside.includes(name));
/** Its native addons are left out on purpose. */
const optionalOfWs = ['bufferutil', 'utf-8-validate'];
rmSync(dist, { recursive: true, force: true });
await Promise.all([
  build({
    ...common,
    entryPoints: { wsp: 'src/cli/main.ts' },
    outdir: dist,
    format: 'esm',
    splitting: true,
    external: [...outside, ...optionalOfWs],
    // Packages inside that are CommonJS ask for modules of Node.js.
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
  }),
  // No source map: the file travels with every job.
  build({
    ...common,
    entryPoints: { pilot: 'src/pilot/main.ts' },
    outfile: `${dist}/pilot.cjs`,
    format: 'cjs',
    sourcemap: false,
    minify: true,
    keepNames: true,
    external: optionalOfWs,
  }),
]);
