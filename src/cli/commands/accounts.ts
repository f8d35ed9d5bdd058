import { type Command, Option } from 'commander';
import {
  type QuotaChange,
  type QuotaView,
  type Role,
  roles,
  type Scope,
  scopes,
} from '../../protocol/access.ts';
import { systemClock } from '../../platform/clock.ts';
import { WspError } from '../../protocol/errors.ts';
import { formatDuration } from '../../protocol/units.ts';
import { withExamples } from '../help.ts';
import { table } from '../output.ts';
import type { CommandContext, Run } from '../program.ts';
import { count, duration, memory, past, repeat, whole } from '../values.ts';

const quotaFlag = '--quota <what=limit>';
const quotaSays =
  "a limit on workspaces, vms, cpus, memory, vm-minutes or duration, such as vms=10; vms=none takes a limit away, site alone gives back the site's limits; repeatable";

/** Adds the commands on people: whoami, users, projects, tokens, usage, audit. */
export function addAccountCommands(program: Command, run: Run): void {
  program
    .command('whoami')
    .summary('show who you are here, and what you may have')
    .description('Shows who you are to the service: your name, your role, your projects, and your limits.')
    .action(() => run(whoami));
  addTokenCommands(program, run);
  withExamples(
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
      .option('--until <time>', 'count up to then (default: now)'),
    'wsp usage --since 7d',
  ).action((options: { since?: string; until?: string }) => run(context => usage(context, options)));
}

/** Adds the commands of those who run a site: users, projects, audit. */
export function addAdministrationCommands(program: Command, run: Run): void {
  addUserCommands(program, run);
  addProjectCommands(program, run);
  withExamples(
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
      ),
    'wsp audit --user ann --since 1d',
  ).action((options: AuditOptions) => run(context => audit(context, options)));
}

interface UserOptions {
  readonly role?: Role;
  readonly project?: string[];
  readonly disabled?: 'yes' | 'no';
  readonly quota?: string[];
}

function addUserCommands(program: Command, run: Run): void {
  program
    .command('users')
    .summary('list the users that the service knows (operators)')
    .description(
      'Lists the users that the service knows, with their roles, projects and limits. For operators.',
    )
    .action(() => run(users));
  withExamples(
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
      .option(quotaFlag, quotaSays, repeat),
    'wsp user ann --project lattice --quota vms=16 --quota duration=24h',
    'wsp user ann --disabled yes',
  ).action((name: string, { role, project, disabled, quota }: UserOptions) =>
    run(async context => {
      const user = await context.client().setUser(name, {
        ...(role === undefined ? {} : { role }),
        ...(project === undefined ? {} : { projects: project.join() === 'none' ? [] : project }),
        ...(disabled === undefined ? {} : { disabled: disabled === 'yes' }),
        ...(quota === undefined ? {} : { quota: quotaChange(quota) }),
      });
      context.answer(user, `${user.name}: ${user.role}; ${quotaText(user.quota)}\n`);
    }),
  );
}

function addProjectCommands(program: Command, run: Run): void {
  program
    .command('projects')
    .summary('list the projects that you are in (operators: all projects)')
    .description(
      'Lists the projects that you are in, with their members and limits. Operators see all projects.',
    )
    .action(() => run(projects));
  program
    .command('project')
    .argument('<name>', "the project's name")
    .summary('create a project, or change its limits (administrators)')
    .description('Creates a project, or changes its limits. For administrators.')
    .option(quotaFlag, quotaSays, repeat)
    .action((name: string, { quota }: { quota?: string[] }) =>
      run(async context => {
        const change = quota === undefined ? {} : { quota: quotaChange(quota) };
        const project = await context.client().setProject(name, change);
        context.answer(project, `${project.name}: ${quotaText(project.quota)}\n`);
      }),
    );
}

interface TokenOptions {
  readonly user?: string;
  readonly label?: string;
  readonly scope: Scope;
  readonly lasts?: string;
}

function addTokenCommands(program: Command, run: Run): void {
  program
    .command('tokens')
    .summary('list your tokens')
    .description(
      'Lists your tokens: their ids, what they are for, and until when they are good. The tokens themselves are not shown.',
    )
    .option('--all', 'list the tokens of all users; for administrators')
    .action((options: { all?: boolean }) => run(context => tokens(context, options)));
  withExamples(
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
      ),
    'wsp token --label laptop --lasts 7d > ~/.config/wsp/token',
  ).action(({ user, label, scope, lasts }: TokenOptions) =>
    run(async context => {
      const token = await context.client().createToken({
        scope,
        ...(lasts === undefined ? {} : { lifetimeMs: duration(lasts, '--lasts') }),
        ...(user === undefined ? {} : { user }),
        ...(label === undefined ? {} : { label }),
      });
      // Alone on its line, so that it can be put into a file.
      context.answer(token, `${token.token}\n`);
    }),
  );
  program
    .command('revoke')
    .argument('<token>', "the token's id (wsp tokens)")
    .summary('revoke a token by its id')
    .description('Revokes a token by its id (wsp tokens): from now on the service refuses it.')
    .action((id: string) =>
      run(async context => {
        const token = await context.client().revokeToken(id);
        context.answer(token, `${token.id} of ${token.user} is revoked\n`);
      }),
    );
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
  const users = await context.client().listUsers();
  const rows = users.map(user => [
    user.name,
    user.disabled ? 'disabled' : user.role,
    user.projects.join(' ') || '-',
    quotaText(user.quota),
  ]);
  context.answer({ users }, table(['USER', 'ROLE', 'PROJECTS', 'QUOTA'], rows));
}

async function projects(context: CommandContext): Promise<void> {
  const projects = await context.client().listProjects();
  const rows = projects.map(project => [
    project.name,
    project.members.join(' ') || '-',
    quotaText(project.quota),
  ]);
  context.answer({ projects }, table(['PROJECT', 'MEMBERS', 'QUOTA'], rows));
}

async function tokens(context: CommandContext, options: { all?: boolean }): Promise<void> {
  const tokens = await context.client().listTokens(options);
  const rows = tokens.map(token => [
    token.id,
    token.user,
    token.scope,
    token.revokedAt === null ? `until ${token.expiresAt ?? 'revoked'}` : `revoked ${token.revokedAt}`,
    token.label,
  ]);
  context.answer({ tokens }, table(['TOKEN', 'USER', 'SCOPE', 'GOOD', 'LABEL'], rows));
}

async function usage(
  context: CommandContext,
  { since, until }: { since?: string; until?: string },
): Promise<void> {
  const usage = await context.client().usage({
    ...(since === undefined ? {} : { since: past(since, '--since', systemClock.now()) }),
    ...(until === undefined ? {} : { until: past(until, '--until', systemClock.now()) }),
  });
  const rows = usage.lines.map(line => [
    `${line.kind} ${line.name}`,
    String(line.workspaces),
    String(line.vms),
    String(line.cpus),
    `${line.memoryMiB}M`,
    (line.vmSeconds / 3_600).toFixed(2),
    (line.cpuSeconds / 3_600).toFixed(2),
    line.vmMinutes.toFixed(1),
  ]);
  const headings = ['WHO', 'WORKSPACES', 'VMS', 'CPUS', 'MEMORY', 'VM HOURS', 'CPU HOURS', 'MINUTES CHARGED'];
  context.answer(usage, table(headings, rows));
}

interface AuditOptions {
  readonly limit: string;
  readonly user?: string;
  readonly since?: string;
}

async function audit(context: CommandContext, { limit, user, since }: AuditOptions): Promise<void> {
  const entries = await context.client().audit({
    limit: whole(limit, '--limit'),
    ...(user === undefined ? {} : { user }),
    ...(since === undefined ? {} : { since: past(since, '--since', systemClock.now()) }),
  });
  const rows = entries.map(entry => [
    entry.at,
    entry.user ?? '-',
    `${entry.method} ${entry.path}`,
    entry.code === null ? String(entry.status) : `${entry.status} ${entry.code}`,
    entry.address,
  ]);
  context.answer({ entries }, table(['WHEN', 'WHO', 'WHAT', 'ANSWER', 'FROM'], rows));
}

function quotaChange(limits: readonly string[]): QuotaChange {
  if (limits.join() === 'site') return null;
  return Object.assign({}, ...limits.map(limitOf)) as QuotaChange;
}

function limitOf(text: string): Partial<QuotaView> {
  const [, what = '', limit = ''] = /^([a-z-]+)=(.+)$/.exec(text) ?? [];
  const none = limit === 'none';
  switch (what) {
    case 'workspaces':
    case 'vms':
    case 'cpus':
      return { [what]: none ? null : count(limit, '--quota') };
    case 'memory':
      return { memoryMiB: none ? null : memory(limit, '--quota') };
    case 'vm-minutes':
      return { vmMinutes: none ? null : count(limit, '--quota') };
    case 'duration':
      return { maxDurationMs: none ? null : duration(limit, '--quota') };
    default:
      throw new WspError(
        'usage',
        `--quota ${text} is not a limit: say workspaces, vms, cpus, memory, vm-minutes or duration and a number, such as vms=10`,
      );
  }
}

function quotaText(quota: QuotaView): string {
  const parts = [
    quota.workspaces === null ? '' : `${quota.workspaces} workspaces`,
    quota.vms === null ? '' : `${quota.vms} VMs`,
    quota.cpus === null ? '' : `${quota.cpus} processors`,
    quota.memoryMiB === null ? '' : `${quota.memoryMiB}M`,
    quota.vmMinutes === null ? '' : `${quota.vmMinutes} VM minutes`,
    quota.maxDurationMs === null ? '' : `${formatDuration(quota.maxDurationMs)} a lease`,
  ].filter(Boolean);
  return parts.length === 0 ? 'no limits' : `at most ${parts.join(', ')}`;
}
