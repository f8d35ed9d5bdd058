import { Option } from 'commander';
import {
  type QuotaChange,
  type QuotaView,
  type Role,
  roles,
  type Scope,
  scopes,
} from '../../protocol/access.ts';
import { given } from '../../protocol/given.ts';
import { formatDuration } from '../../protocol/units.ts';
import type { WspCommand } from '../command.ts';
import type { CommandContext } from '../program.ts';
import { table } from '../output.ts';
import { count, duration, memory, past, repeat, usageError, whole } from '../values.ts';

const quotaFlag = '--quota <what=limit>';
const quotaSays =
  "a limit on workspaces, vms, cpus, memory, vm-minutes or duration, such as vms=10; vms=none takes a limit away, site alone gives back the site's limits; repeatable";

/** A limit of a quota: how it is sent, read behind its word, and told. */
type Limit = readonly [keyof QuotaView, (text: string, flag: string) => number, (limit: number) => string];
const limits = new Map<string, Limit>([
  ['workspaces', ['workspaces', count, limit => `${limit} workspaces`]],
  ['vms', ['vms', count, limit => `${limit} VMs`]],
  ['cpus', ['cpus', count, limit => `${limit} processors`]],
  ['memory', ['memoryMiB', memory, limit => `${limit}M`]],
  ['vm-minutes', ['vmMinutes', count, limit => `${limit} VM minutes`]],
  ['duration', ['maxDurationMs', duration, limit => `${formatDuration(limit)} a lease`]],
]);

/** Adds the commands on people: whoami, users, projects, tokens, usage, audit. */
export function addAccountCommands(program: WspCommand): void {
  program
    .command('whoami')
    .summary('show who you are here, and what you may have')
    .description('Shows who you are to the service: your name, your role, your projects, and your limits.')
    .does(whoami);
  addTokenCommands(program);
  program
    .command('usage')
    .summary('show what you hold, and for how long your VMs have run')
    .description(
      'Shows what you and your projects hold now, and for how long VMs have run, each from the moment it ran to its end. Operators see all users.',
    )
    .option(
      '--since <time>',
      'count from then on: 7d (ago), or a time such as 2026-11-01T00:00:00Z (default: from the beginning)',
    )
    .option('--until <time>', 'count up to then (default: now)')
    .examples('wsp usage --since 7d')
    .does(usage);
}

/** Adds the commands of those who run a site: users, projects, audit. */
export function addAdministrationCommands(program: WspCommand): void {
  addUserCommands(program);
  addProjectCommands(program);
  program
    .command('audit')
    .summary('show who did what, and who tried to (operators)')
    .description(
      'Shows who did what, and who tried to: every request that changes something, every way into a VM, and every refusal because somebody lacked the right. For operators.',
    )
    .option('--limit <n>', 'how many lines to show, the newest first', '50')
    .option('--user <name>', 'show only what this user did')
    .option(
      '--since <time>',
      'show only what happened since then: 7d (ago), or a time such as 2026-11-01T00:00:00Z',
    )
    .examples('wsp audit --user ann --since 1d')
    .does(audit);
}

interface UserOptions {
  readonly role?: Role;
  readonly project?: string[];
  readonly disabled?: 'yes' | 'no';
  readonly quota?: string[];
}

function addUserCommands(program: WspCommand): void {
  program
    .command('users')
    .summary('list the users that the service knows (operators)')
    .description(
      'Lists the users that the service knows, with their roles, projects and limits. For operators.',
    )
    .does(users);
  program
    .command('user')
    .argument('<name>', "the user's name")
    .summary('create or change a user (administrators)')
    .description(
      'Creates a user, or changes one; what you do not name stays as it is. Without flags it only makes sure that there is such a user. For administrators.',
    )
    .addOption(new Option('--role <role>', "the user's role").choices(roles))
    .option(
      '--project <name>',
      'a project that the user is in, in place of those that the user was in before; repeatable; none alone takes the user out of all',
      repeat,
    )
    .addOption(
      new Option(
        '--disabled <yes or no>',
        'disable the account: every token of this user is refused until you say no',
      ).choices(['yes', 'no']),
    )
    .option(quotaFlag, quotaSays, repeat)
    .examples(
      'wsp user ann --project lattice --quota vms=16 --quota duration=24h',
      'wsp user ann --disabled yes',
    )
    .does(async (context, name: string, { role, project, disabled, quota }: UserOptions) => {
      const user = await context.client().setUser(name, {
        ...given({ role, projects: project?.join() === 'none' ? [] : project }),
        ...given({ disabled: disabled && disabled === 'yes', quota: quota && quotaChange(quota) }),
      });
      context.answer(user, `${user.name}: ${user.role}; ${quotaText(user.quota)}\n`);
    });
}

function addProjectCommands(program: WspCommand): void {
  program
    .command('projects')
    .summary('list the projects that you are in (operators: all projects)')
    .description(
      'Lists the projects that you are in, with their members and limits. Operators see all projects.',
    )
    .does(projects);
  program
    .command('project')
    .argument('<name>', "the project's name")
    .summary('create a project, or change its limits (administrators)')
    .description('Creates a project, or changes its limits. For administrators.')
    .option(quotaFlag, quotaSays, repeat)
    .does(async (context, name: string, { quota }: { quota?: string[] }) => {
      const change = { quota: quota && quotaChange(quota) };
      const project = await context.client().setProject(name, given(change));
      context.answer(project, `${project.name}: ${quotaText(project.quota)}\n`);
    });
}

interface TokenOptions {
  readonly user?: string;
  readonly label?: string;
  readonly scope: Scope;
  readonly lasts?: string;
}

function addTokenCommands(program: WspCommand): void {
  program
    .command('tokens')
    .summary('list your tokens')
    .description(
      'Lists your tokens: their ids, what they are for, and until when they are good. The tokens themselves are not shown.',
    )
    .option('--all', 'list the tokens of all users; for administrators')
    .does(tokens);
  program
    .command('token')
    .summary('make a new token')
    .description(
      'Makes a new token and prints it, alone on a line. The service keeps only a hash of the token, so it can never be shown again.',
    )
    .option('--user <name>', 'the user whose token it is; for administrators (default: you)')
    .option('--label <text>', 'a note about what the token is for')
    .addOption(
      new Option('--scope <scope>', 'what the token can be used for: everything, or only reading')
        .choices(scopes)
        .default('full'),
    )
    .option(
      '--lasts <time>',
      'how long the token is good, at most as long as the token that makes it (default: 30d)',
    )
    .examples('wsp token --label laptop --lasts 7d > ~/.config/wsp/token')
    .does(async (context, { user, label, scope, lasts }: TokenOptions) => {
      const token = await context.client().createToken({
        scope,
        ...given({ user, label }),
        ...(lasts === undefined ? {} : { lifetimeMs: duration(lasts, '--lasts') }),
      });
      // Alone on its line, so that it can be put into a file.
      context.answer(token, `${token.token}\n`);
    });
  program
    .command('revoke')
    .argument('<token>', "the token's id (wsp tokens)")
    .summary('revoke a token by its id')
    .description('Revokes a token by its id (wsp tokens): from now on the service refuses it.')
    .does(async (context, id: string) => {
      const token = await context.client().revokeToken(id);
      context.answer(token, `${token.id} of ${token.user} is revoked\n`);
    });
}

async function whoami(context: CommandContext): Promise<void> {
  const me = await context.client().whoami();
  const where = me.projects.length === 0 ? 'in no project' : `in ${me.projects.join(', ')}`;
  context.answer(
    me,
    `${me.user}, ${me.role}, ${where}${me.scope === 'read' ? ', with a token for reading only' : ''}; ${quotaText(me.quota)}\n`,
  );
}

async function users(context: CommandContext): Promise<void> {
  context.list('users', await context.client().listUsers(), {
    USER: user => user.name,
    ROLE: user => (user.disabled ? 'disabled' : user.role),
    PROJECTS: user => user.projects.join(' ') || null,
    QUOTA: user => quotaText(user.quota),
  });
}

async function projects(context: CommandContext): Promise<void> {
  context.list('projects', await context.client().listProjects(), {
    PROJECT: project => project.name,
    MEMBERS: project => project.members.join(' ') || null,
    QUOTA: project => quotaText(project.quota),
  });
}

async function tokens(context: CommandContext, options: { all?: boolean }): Promise<void> {
  context.list('tokens', await context.client().listTokens(options), {
    TOKEN: token => token.id,
    USER: token => token.user,
    SCOPE: token => token.scope,
    GOOD: ({ revokedAt, expiresAt }) =>
      revokedAt === null ? `until ${expiresAt ?? 'revoked'}` : `revoked ${revokedAt}`,
    LABEL: token => token.label,
  });
}

async function usage(
  context: CommandContext,
  { since, until }: { since?: string; until?: string },
): Promise<void> {
  const period = { since: past(since, '--since'), until: past(until, '--until') };
  const usage = await context.client().usage(given(period));
  const text = table(usage.lines, {
    WHO: line => `${line.kind} ${line.name}`,
    WORKSPACES: line => line.workspaces,
    VMS: line => line.vms,
    CPUS: line => line.cpus,
    MEMORY: line => `${line.memoryMiB}M`,
    'VM HOURS': line => (line.vmSeconds / 3_600).toFixed(2),
    'CPU HOURS': line => (line.cpuSeconds / 3_600).toFixed(2),
    'MINUTES CHARGED': line => line.vmMinutes.toFixed(1),
  });
  context.answer(usage, text);
}

interface AuditOptions {
  readonly limit: string;
  readonly user?: string;
  readonly since?: string;
}

async function audit(context: CommandContext, { limit, user, since }: AuditOptions): Promise<void> {
  const entries = await context.client().audit({
    limit: whole(limit, '--limit'),
    ...given({ user, since: past(since, '--since') }),
  });
  context.list('entries', entries, {
    WHEN: entry => entry.at,
    WHO: entry => entry.user,
    WHAT: entry => `${entry.method} ${entry.path}`,
    ANSWER: ({ status, code }) => (code === null ? status : `${status} ${code}`),
    FROM: entry => entry.address,
  });
}

function quotaChange(given: readonly string[]): QuotaChange {
  if (given.join() === 'site') return null;
  return Object.fromEntries(given.map(limitOf));
}

function limitOf(text: string): [keyof QuotaView, number | null] {
  const [, what = '', value = ''] = /^([a-z-]+)=(.+)$/.exec(text) ?? [];
  const limit = limits.get(what);
  if (!limit)
    throw usageError(
      `--quota ${text} is not a limit: say workspaces, vms, cpus, memory, vm-minutes or duration and a number, such as vms=10`,
    );
  const [key, read] = limit;
  return [key, value === 'none' ? null : read(value, '--quota')];
}

function quotaText(quota: QuotaView): string {
  const parts = [...limits.values()].flatMap(([key, , tell]) => {
    const limit = quota[key];
    return limit === null ? [] : [tell(limit)];
  });
  return parts.length === 0 ? 'no limits' : `at most ${parts.join(', ')}`;
}
