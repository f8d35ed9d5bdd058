import { notRun } from '../documents/not-run.ts';
import type { Table } from './check.ts';
import { commandProofs } from './commands.ts';
import { keyProofs } from './keys.ts';
import type { Proof } from './proof.ts';
import { routeProofs } from './routes.ts';
import { commands, routes, siteKeys } from './surface.ts';

/** The three tables of proofs, each with what it is to be complete for. */
export const tables: readonly Table[] = [
  { what: 'key', file: 'test/proofs/keys.ts', surface: siteKeys(), proofs: keyProofs },
  { what: 'command or flag', file: 'test/proofs/commands.ts', surface: commands(), proofs: commandProofs },
  { what: 'route', file: 'test/proofs/routes.ts', surface: routes(), proofs: routeProofs },
];

/** The page of documentation that they make: `npm run proofs` writes it. */
export function pageText(): string {
  const sections = tables.map(({ what, surface, proofs }) => {
    const rows = surface.map(
      item =>
        `| \`${item}\` | ${proofs
          .filter(({ of }) => of.includes(item))
          .map(cellOf)
          .join('; ')} |`,
    );
    return `## Every ${what}\n| ${what} | test |\n|---|---|\n${rows.join('\n')}\n`;
  });
  return `${head}\n${sections.join('\n')}\n${documents}`;
}

const head = `# What is tested where
Every key of the site file, every command with its flags, and every route of the API, with a test that uses it on the part that it is about: a real batch scheduler, a real guest, or a
service that runs with the embedded LRM. Written by \`npm run proofs\` from \`test/proofs/\`; a rule of the tree fails when something is missing here, or a test is not there.
`;

const documents = `## The documents' own blocks
Site files, cluster files and settings in the documents are read by the product's own parsers, commands by the command line (\`test/unit/documents.test.ts\`); every command of the
[guide](user-guide.md) and of [operating](admin/operating.md) is run with real guests (\`test/e2e/suites/guide.ts\`), and
those of backing up, restoring and upgrading once more with leases that run (\`test/e2e/operating.test.ts\`). What is not:

| page | block | why |
|---|---|---|
${notRun.map(({ page, first, why }) => `| ${page} | \`${first}\` | ${why} |`).join('\n')}
`;

function cellOf({ file, title }: Proof): string {
  return `[${file.split('/').at(-1)}](../${file}): ${title.replaceAll('|', '\\\\|')}`;
}
