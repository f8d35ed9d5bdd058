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
import { table } from '../output.ts';
import type { CommandContext, Run } from '../program.ts';
import { count, duration, memory, past, whole } from '../values.ts';

const repeat = (value: string, earlier: string[] = []): string[] => [...earlier, value];
const quotaFlag = '--quota <what=limit>';
const quotaSays =
  'a limit: workspaces, vms, cpus, memory, vm-minutes or duration, as vms=10; vms=none; `site` alone: the site’s ordinary ones; repeatable';

/** Adds the commands on people: whoami, users, projects, tokens, usage, audit. */
export function addAccountCommands(program: Command, run: Run): void {
  program
    .command('whoami')
    .description('who you are here, and what you may have')
    .action(() => run(whoami));
  addUserCommands(program, run);
  addTokenCommands(program, run);
  program
    .command('usage')
    .description('what you hold, and for how long your VMs have run; operators see everybody')
    .option('--since <time>', 'count from then: 7d (ago), or a time as 2026-11-01T00:00:00Z')
    .option('--until <time>', 'and up to then')
    .action((options: { since?: string; until?: string }) => run(context => usage(context, options)));
  program
    .command('audit')
    .description('who did what, and who tried to; operators')
    .option('--limit <n>', 'how many lines, the newest first', '50')
    .option('--user <name>', 'only what they did')
    .option('--since <time>', 'only from then on: 7d (ago), or a time as 2026-11-01T00:00:00Z')
    .action((options: AuditOptions) => run(context => audit(context, options)));
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
    .description('the users that the service knows; operators')
    .action(() => run(users));
  program
    .command('user <name>')
    .description('make or change a user; administrators')
    .addOption(new Option('--role <role>', 'what they are').choices(roles))
    .option(
      '--project <name>',
      'a project of theirs, instead of those that they have; repeatable; `none` alone: in none',
      repeat,
    )
    .addOption(
      new Option('--disabled <yes or no>', 'whether their tokens count for nothing').choices(['yes', 'no']),
    )
    .option(quotaFlag, quotaSays, repeat)
    .action((name: string, { role, project, disabled, quota }: UserOptions) =>
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
  program
    .command('projects')
    .description('the projects that you are in; operators see all')
    .action(() => run(projects));
  program
    .command('project <name>')
    .description('make a project, or change its quota; administrators')
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
    .description('your tokens (not the tokens themselves)')
    .option('--all', "everybody's; administrators")
    .action((options: { all?: boolean }) => run(context => tokens(context, options)));
  program
    .command('token')
    .description('a new token; it is shown once')
    .option('--user <name>', 'whose; administrators; else your own')
    .option('--label <text>', 'what it is for')
    .addOption(
      new Option('--scope <scope>', 'full, or read for looking only').choices(scopes).default('full'),
    )
    .option(
      '--lasts <time>',
      'for how long it is good (default: 30d, and no longer than the token that makes it)',
    )
    .action(({ user, label, scope, lasts }: TokenOptions) =>
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
    .command('revoke <token>')
    .description('make a token worthless, by its id')
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
    `${me.user}, ${me.role}, ${where}${me.scope === 'read' ? ', looking only' : ''}; ${quotaText(me.quota)}\n`,
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
        `--quota ${text}: say workspaces, vms, cpus, memory, vm-minutes or duration, as vms=10`,
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
