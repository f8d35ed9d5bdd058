import type { Proof } from './proof.ts';

const one = '/v1/workspaces/{workspace}';
const cli = 'test/e2e/cli.test.ts';
const access = 'test/e2e/access.test.ts';
const more = 'test/e2e/flags.test.ts';
const leases = 'test/e2e/suites/leases.ts';
const life = 'the life of a workspace, as JSON';
const hooks =
  'get what they asked for and no more, go on when told to, and end: --workspace, --type, rehook, dead-letters, unhook';
const people = 'are made with their projects and quotas, and get tokens that are shown once';

/**
 * Which test asks which route of a service that runs; `by`: the command, or the path, that it does
 * so with.
 */
export const routeProofs: readonly Proof[] = [
  { file: cli, title: life, of: ['POST /v1/workspaces'], by: "'create'" },
  { file: cli, title: life, of: ['GET /v1/workspaces'], by: "'ls'" },
  { file: cli, title: life, of: [`GET ${one}`], by: "'show'" },
  { file: cli, title: life, of: [`DELETE ${one}`], by: "'destroy'" },
  { file: cli, title: life, of: [`GET ${one}/timeline`], by: "'timeline'" },
  { file: cli, title: life, of: ['GET /v1/events'], by: "'events'" },
  { file: cli, title: life, of: ['GET /v1/slots'], by: "'slots'" },
  { file: cli, title: life, of: ['GET /v1/nodes'], by: "'nodes'" },
  { file: cli, title: life, of: ['GET /v1/images'], by: "'images'" },
  { file: cli, title: 'looks at a client: service and token', of: ['GET /v1/health'], by: "'doctor'" },
  {
    file: leases,
    title: 'can be tried out: what would be asked for, or why not; and nothing comes of it',
    of: ['POST /v1/workspaces/dry-run'],
    by: '--dry-run',
  },
  {
    file: leases,
    title: 'grows group by group until it is launched as a whole, on nodes of one job',
    of: [`POST ${one}/groups`],
    by: "'add'",
  },
  {
    file: leases,
    title: 'grows group by group until it is launched as a whole, on nodes of one job',
    of: [`POST ${one}/launch`],
    by: "'launch'",
  },
  {
    file: leases,
    title:
      'is announced before its end to its owner and inside its guests, and can be extended as far as its job lasts',
    of: [`POST ${one}/extend`],
    by: "'extend'",
  },
  {
    file: leases,
    title: 'has types: what can be leased, and what is free now',
    of: ['GET /v1/types'],
    by: "'types'",
  },
  {
    file: 'test/e2e/suites/orders.ts',
    title:
      'VMs are paused, resumed, rebooted, shut down, started again and killed, and each is reached after it',
    of: [`POST ${one}/operations`],
    by: "'pause'",
  },
  {
    file: 'test/e2e/suites/virtual-clusters.ts',
    title: 'brings guests up, one a node, reaches them by name, and gives the nodes back as they were',
    of: [`GET ${one}/known-hosts`],
    by: "'ssh'",
  },
  {
    file: 'test/e2e/events.test.ts',
    title: 'wsp events -f, the event stream and a webhook bring every event',
    of: ['GET /v1/events/stream'],
    by: '/v1/events/stream',
  },
  { file: access, title: people, of: ['GET /v1/whoami'], by: "'whoami'" },
  { file: access, title: people, of: ['PUT /v1/users/{user}'], by: "'user'" },
  { file: access, title: people, of: ['PUT /v1/projects/{project}'], by: "'project'" },
  { file: access, title: people, of: ['POST /v1/tokens'], by: "'token'" },
  {
    file: access,
    title: 'are shut out by a revoked token, and by being disabled',
    of: ['DELETE /v1/tokens/{token}'],
    by: "'revoke'",
  },
  {
    file: access,
    title: 'leave a trace of all that they did and tried',
    of: ['GET /v1/audit'],
    by: "'audit'",
  },
  {
    file: access,
    title: 'have their usage, to the second, from what has happened',
    of: ['GET /v1/usage'],
    by: "'usage'",
  },
  {
    file: more,
    title: 'are listed with their projects: wsp users, wsp projects',
    of: ['GET /v1/users'],
    by: "'users'",
  },
  {
    file: more,
    title: 'are listed with their projects: wsp users, wsp projects',
    of: ['GET /v1/projects'],
    by: "'projects'",
  },
  {
    file: more,
    title: 'have tokens with labels, which administrators see all of: wsp token --label, wsp tokens --all',
    of: ['GET /v1/tokens'],
    by: "'tokens'",
  },
  { file: more, title: hooks, of: ['GET /v1/webhooks'], by: "'webhooks'" },
  { file: more, title: hooks, of: ['POST /v1/webhooks'], by: "'webhook'" },
  { file: more, title: hooks, of: ['DELETE /v1/webhooks/{webhook}'], by: "'unhook'" },
  { file: more, title: hooks, of: ['POST /v1/webhooks/{webhook}/resume'], by: "'rehook'" },
  { file: more, title: hooks, of: ['GET /v1/webhooks/{webhook}/dead-letters'], by: "'dead-letters'" },
  {
    file: 'test/e2e/logins.test.ts',
    title: 'makes a Unix user of the head node himself, by the socket',
    of: ['GET /v1/login', 'POST /v1/login/file', 'POST /v1/login/file/claim'],
    by: "'whoami'",
  },
  {
    file: 'test/e2e/logins.test.ts',
    title: 'makes him himself by MUNGE, from anywhere of its realm',
    of: ['POST /v1/login/munge'],
    by: 'munge',
  },
];
