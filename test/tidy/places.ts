import { lineAt, type Rule, type TreeFile } from './tree.ts';

/** `.ssh` in root's home is a guest's own. A path that goes on from something, as in `$root/work`, is none of these. */
const ownPaths = /(?<![\w.$}"'-])\/(?:work|root)\/(?!\.ssh\b)/g;

export const noPathsOfOneMachine: Rule = {
  name: 'no absolute path of one machine',
  check: files =>
    found(files, ownPaths, match => `${match} is a path of one machine: make it relative, or a setting`),
};

/** Whoever installs chooses where packages come from. */
const registries = new RegExp(
  [
    String.raw`\b(?:registry|npm|pypi|proxy|mirrors?|nexus|artifactory)\.[a-z0-9-]+\.[a-z]{2,}\b`,
    String.raw`\b(?:npmjs|yarnpkg|pypi|pythonhosted|crates|rubygems|jsdelivr|unpkg)\.(?:org|com|io|net)\b`,
    String.raw`\b(?:deb|security|archive)\.(?:debian|ubuntu)\.(?:org|com)\b`,
    String.raw`\b(?:docker|ghcr|quay)\.io\b`,
    // What npm writes into a lock file when it is not told to leave it out.
    String.raw`"resolved": "https?:`,
  ].join('|'),
  'gi',
);

export const noRegistries: Rule = {
  name: "no package registry's host name",
  check: files =>
    found(files, registries, match => `${match} names a package registry: leave it to the installer`),
};

function found(
  files: readonly TreeFile[],
  pattern: RegExp,
  say: (match: string) => string,
): readonly string[] {
  return files.flatMap(({ path, text }) =>
    [...text.matchAll(pattern)].map(match => `${path}:${lineAt(text, match.index)}: ${say(match[0])}`),
  );
}
