// Builds dist/, or the directory that it is given: the service and CLI (split into chunks), the pilot
// and what is installed on nodes (one file each, everything inside).
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
/**
 * The pilot travels with every job, and is parsed at every start: it has a budget. What is installed
 * on nodes is another program.
 */
const ofNodes = {
  pilot: { entry: 'src/pilot/main.ts', mostBytes: 170_000 },
  'node-tools': { entry: 'src/pilot/node-tools.ts', mostBytes: 170_000 },
};
/** Fails the build when a program of nodes is larger than it may be, or has a package in it besides `ws`. */
function requireSmall(name, { inputs, outputs }, mostBytes) {
  const packages = new Set(
    Object.keys(inputs).flatMap(path => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  );
  packages.delete('ws');
  const [{ bytes }] = Object.values(outputs);
  if (packages.size > 0) throw new Error(`${name}.cjs has packages in it: ${[...packages].join(', ')}`);
  if (bytes > mostBytes) throw new Error(`${name}.cjs has ${bytes} bytes, and may have ${mostBytes}`);
}
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
  // What nodes run: each one file, which needs nothing but Node.js.
  ...Object.entries(ofNodes).map(([name, { entry, mostBytes }]) =>
    build({
      ...common,
      entryPoints: { [name]: entry },
      outfile: `${dist}/${name}.cjs`,
      format: 'cjs',
      sourcemap: false,
      minify: true,
      keepNames: true,
      external: optionalOfWs,
      metafile: true,
    }).then(({ metafile }) => requireSmall(name, metafile, mostBytes)),
  ),
]);
