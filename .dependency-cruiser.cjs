// The arrows of ARCHITECTURE.md, as rules: each folder of src names what it may import.
const allowed = {
  protocol: [],
  lease: ['protocol'],
  platform: [],
  lrm: ['protocol', 'platform'],
  control: ['protocol', 'platform'],
  pilot: ['control', 'protocol', 'platform'],
  client: ['protocol'],
  cli: ['client', 'protocol', 'platform', 'service', 'control', 'pilot'],
  service: ['lease', 'protocol', 'platform', 'lrm'],
};

// Messages of the platform tell times in people's units, as all the others do.
const words = '|src/protocol/units[.]ts$';
// A VMM's section of the site file, and what it takes of a node, are its own folder's to say; so are a
// link's section, its plan and its place in the policy.
const members = '|src/control/(vmm|network/links)/index[.]ts$';
const besides = { platform: words, service: members };

const arrows = Object.entries(allowed).map(([from, to]) => ({
  name: `${from}-imports-only-${to.join('-') || 'nothing'}`,
  severity: 'error',
  from: { path: `^src/${from}/`, pathNot: '[.](test|contract)[.]ts$' },
  to: { path: '^src/', pathNot: `^src/(${[from, ...to].join('|')})/${besides[from] ?? ''}` },
}));

module.exports = {
  forbidden: [
    ...arrows,
    {
      name: 'cli-loads-the-other-programs-only-at-their-command',
      comment: 'cli may reach service, control and pilot only through src/cli/programs.ts, by dynamic import',
      severity: 'error',
      from: { path: '^src/cli/', pathNot: '^src/cli/programs[.]ts$' },
      to: { path: '^src/(service|control|pilot)/' },
    },
    {
      name: 'lease-is-pure',
      severity: 'error',
      from: { path: '^src/lease/', pathNot: '[.]test[.]ts$' },
      to: { dependencyTypes: ['core', 'npm'], pathNot: '^(ipaddr[.]js|node_modules/ipaddr[.]js)' },
    },
    {
      name: 'node-side-uses-only-nodes-own-modules-and-ws',
      comment: 'the pilot is one file without native addons; ws is the only library in it',
      severity: 'error',
      from: {
        path: '^src/(control|pilot|platform)/',
        pathNot: '[.](test|contract)[.]ts$|^src/platform/log[.]ts$',
      },
      to: { dependencyTypes: ['npm', 'npm-dev'], pathNot: 'node_modules/(@types/)?ws/' },
    },
    {
      name: 'no-cycles',
      comment: 'types included, but for the parts of a simulated node, which are one thing in several files',
      severity: 'error',
      from: { pathNot: '^test/sim/' },
      to: { circular: true },
    },
    {
      name: 'no-cycles-at-run-time',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-undeclared',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'unknown'] },
    },
    {
      name: 'no-dev-in-src',
      severity: 'error',
      from: { path: '^src', pathNot: '[.](test|contract)[.]ts$' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
