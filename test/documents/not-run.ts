/** A block of a document, by its first line, that no test runs or reads. */
export interface NotRun {
  readonly page: string;
  readonly first: string;
  readonly why: string;
}

const root = 'it changes the machine, as root; what it installs is tried by';

/** All of them. docs/tested.md has this list too. */
export const notRun: readonly NotRun[] = [
  { page: 'README.md', first: 'you                       head node', why: 'a picture' },
  { page: 'README.md', first: 'make demo', why: 'it is what runs the rest: the set-up, the demonstration' },
  { page: 'CONTRIBUTING.md', first: 'make setup', why: 'it is what runs the tests' },
  ...['head node', 'client        API', 'inputs', 'slot       requested'].map(first => ({
    page: 'ARCHITECTURE.md',
    first,
    why: 'a picture',
  })),
  {
    page: 'ARCHITECTURE.md',
    first: 'src/protocol/   wire contracts',
    why: 'a list of folders; the rule on imports checks what it says',
  },
  {
    page: 'docs/admin/gridengine.md',
    first: 'pe_name            wsp2',
    why: 'a form of qconf; `test/cluster/gridengine.ts` fills in the same',
  },
  {
    page: 'docs/admin/helper.md',
    first: 'scripts/install-helper --user wsp',
    why: `${root} test/e2e/install-helper.test.ts`,
  },
  {
    page: 'docs/admin/helper.md',
    first: 'wsp helper-policy --config',
    why: `${root} test/e2e/cli.test.ts has it print, and test/e2e/install-helper.test.ts installs one`,
  },
  {
    page: 'docs/admin/helper.md',
    first: 'scripts/install-helper --uninstall',
    why: `${root} test/e2e/install-helper.test.ts`,
  },
  {
    page: 'docs/admin/helper.md',
    first: 'Defaults!/usr/local/sbin/wsp-helper',
    why: 'the rule that scripts/install-helper writes; test/e2e/install-helper.test.ts has visudo and sudo read it',
  },
  {
    page: 'docs/admin/helper.md',
    first: 'sudo -u wsp sudo -n -l',
    why: 'it asks the sudo of a node on which the helper is installed',
  },
  {
    page: 'docs/admin/helper.md',
    first: '/usr/local/sbin/wsp-kill-all',
    why: 'the command is there on a node on which the helper is installed; test/e2e/helper.test.ts runs what it starts',
  },
  {
    page: 'docs/admin/helper.md',
    first: '#!/bin/sh',
    why: 'an epilog, for a node on which the helper is installed',
  },
  ...['apt-get install', 'useradd', 'git clone', 'systemctl daemon-reload'].map(first => ({
    page: 'docs/admin/install.md',
    first,
    why: 'it changes the machine, as root, for good',
  })),
  {
    page: 'docs/admin/install.md',
    first: 'guest/build /srv',
    why: '`make setup` builds the same image, in the checkout',
  },
  {
    page: 'docs/admin/install.md',
    first: 'cd /opt/workspace-pilot',
    why: 'it needs the installed site; test/e2e/cli.test.ts runs `doctor --node` from standard input',
  },
  {
    page: 'docs/admin/pbs.md',
    first: 'qmgr -c',
    why: 'a real PBS is needed, which the tests do not have',
  },
  ...['restrict,command="/usr', 'restrict,command="env'].map(first => ({
    page: 'docs/admin/transports.md',
    first,
    why: 'a line of authorized_keys; test/e2e/transports.test.ts gives sshd one of that form',
  })),
  {
    page: 'docs/cli.md',
    first: 'wsp: cluster.yaml',
    why: 'what a command prints; test/e2e/refusals.test.ts has it print such',
  },
  {
    page: 'docs/cli.md',
    first: '{"error":',
    why: 'what a command prints; test/e2e/cli.test.ts reads it of every command',
  },
  {
    page: 'docs/webhooks.md',
    first: 'const expected',
    why: 'an excerpt for the program of somebody else; src/service/notify/webhooks.test.ts checks signatures so',
  },
];
