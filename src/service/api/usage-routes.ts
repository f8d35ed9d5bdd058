import Type from 'typebox';
import { WspError } from '../../protocol/errors.ts';
import { formatMoment } from '../../protocol/units.ts';
import type { Engine } from '../core/engine-api.ts';
import { callerOf } from './auth.ts';
import { readAll } from './event-feed.ts';
import { mayRead } from './owners.ts';
import { listQuery, pageOf } from './paging.ts';
import { Moment, momentOf, type Route } from './route.ts';
import { ref } from './schemas.ts';
import { usageEvents, usageOf, type UsagePeriod } from './usage.ts';

/** What has been used, by whom. */
export const usageRoute: Route = (app, { engine, clock }) => {
  const schema = {
    operationId: 'getUsage',
    summary: 'What users and projects hold, and for how long their VMs have run; users see their own',
    querystring: listQuery({ since: Type.Optional(Moment), until: Type.Optional(Moment) }),
    response: { 200: ref('Usage') },
  };
  app.get('/v1/usage', { schema }, async request => {
    const caller = callerOf(request);
    const now = clock.now();
    const { since, until } = request.query;
    const period = {
      now,
      since: since === undefined ? 0 : momentOf(since, 'since'),
      until: until === undefined ? now : momentOf(until, 'until'),
    };
    if (period.since > period.until)
      throw new WspError('invalid_request', `since: ${since} is after ${until ?? 'now'}`);
    const lines = await usageLines(engine, period, owner => mayRead(caller, owner));
    const rank = { user: 0, project: 1 };
    const { page, next } = pageOf(lines, ({ kind, name }) => `${rank[kind]} ${name}`, request.query);
    return { since: formatMoment(period.since), until: formatMoment(period.until), lines: page, next };
  });
};

/** What is retired while we read is counted as it was when we began: once. */
async function usageLines(engine: Engine, period: UsagePeriod, of: (owner: string) => boolean) {
  const { workspaces, vms, used } = engine.state;
  const now = { workspaces: new Map(workspaces), vms: new Map(vms), used: new Map(used) };
  const workspaceIds = [...now.workspaces.keys()];
  const events = await readAll(engine, { workspaceIds, types: usageEvents });
  const past = await engine.pastUse(period.since, Math.min(period.until, period.now), workspaceIds);
  return usageOf(now, events, period, ({ owner }) => of(owner), past);
}
