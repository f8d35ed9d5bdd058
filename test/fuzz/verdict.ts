import type { HelperAnswer } from '../../src/control/helper/requests.ts';
import type { Home } from './homes.ts';
import { devicesOf, type Look } from './look.ts';
import { type Actor, isTunnelName, keyOf, type Model } from './model.ts';
import type { Ask, Move } from './moves.ts';
import { allowsPeers, hasNetworks } from './policy.ts';

/** A move of a round, and what the helper has answered to it. */
export interface Done {
  readonly actor: Actor;
  readonly move: Move;
  readonly answer: HelperAnswer | undefined;
}

/**
 * The things that the moves may not change: everything but what those who act have named of their
 * own.
 */
export function untouched(
  model: Model,
  actors: readonly Actor[],
  moves: readonly Pick<Done, 'actor' | 'move'>[],
  seen: Look,
): readonly string[] {
  const own = new Set(moves.flatMap(({ actor, move }) => touchedBy(model, actor, move)));
  const taps = [...model.taps.values()].filter(({ nic }) => !own.has(`tap:${nic.tap}`));
  const resting = actors.filter(actor => !moves.some(each => keyOf(each.actor) === keyOf(actor)));
  return [
    'node',
    ...taps.flatMap(({ nic: { tap, address, bridge } }) => [
      `tap:${tap}`,
      `route:${address}`,
      ...devicesOf(bridge.name, bridge.link.kind === 'vxlan').map(device => `bridge:${device}`),
      `peers:${bridge.name}`,
    ]),
    ...resting.flatMap(actor => [`slot:${keyOf(actor)}`, `record:${keyOf(actor)}`]),
    ...[...seen.keys()].filter(thing => /^(process|directory):/.test(thing) && !own.has(thing)),
  ];
}

function touchedBy(model: Model, actor: Actor, move: Move): readonly string[] {
  if (move.kind === 'swap') return [`directory:${move.path}`];
  const request: Ask = move.kind === 'end' ? { op: 'undo' } : move.request;
  const own = model.tapsOf(actor).map(({ nic }) => nic.tap);
  switch (request.op) {
    case 'attach-nic':
      return own.filter(tap => tap === request.nic.tap).map(tap => `tap:${tap}`);
    case 'detach-nic':
      return own.filter(tap => tap === request.tap).map(tap => `tap:${tap}`);
    case 'undo': {
      const { pids, paths } = model.adopted(actor);
      return [
        ...own.map(tap => `tap:${tap}`),
        ...[...pids].map(pid => `process:${pid}`),
        ...paths.map(path => `directory:${path}`),
      ];
    }
    case 'set-peers':
    case 'adopt-process':
    case 'adopt-directory':
    case 'check-networks':
      return [];
  }
}

/**
 * Has the model know what was answered, and holds the answers against it: of one move alone it
 * knows which one is due. Returns the bridges whose peers could be changed.
 */
export function settle(model: Model, done: readonly Done[], homes: readonly Home[]): ReadonlySet<string> {
  const alone = done.length === 1;
  const loosened = new Set(done.flatMap(({ actor, move }) => joined(model, actor, move)));
  const due = new Map(done.map(each => [each, expected(model, each, homes)]));
  for (const each of done) takeAway(model, each);
  for (const each of done) {
    const { answer, actor, move } = each;
    const wanted = due.get(each);
    if (answer && alone && wanted && answer.ok !== (wanted === 'yes'))
      throw new Error(`${JSON.stringify(answer)}, but the answer due is ${wanted}`);
    if (!answer?.ok || !('request' in move)) continue;
    give(model, actor, move.request, homes);
    for (const bridge of joined(model, actor, move)) loosened.add(bridge);
  }
  return loosened;
}

/** The bridge that a move is about, where the actor has a tap on it. */
function joined(model: Model, actor: Actor, move: Move): readonly string[] {
  if (!('request' in move)) return [];
  const { request } = move;
  const bridge =
    request.op === 'attach-nic'
      ? request.nic.bridge.name
      : request.op === 'set-peers'
        ? request.bridge
        : undefined;
  return bridge !== undefined && model.onBridge(bridge).some(each => keyOf(each.actor) === keyOf(actor))
    ? [bridge]
    : [];
}

/** 'yes', or why not. */
function expected(model: Model, { actor, move }: Done, homes: readonly Home[]): string | undefined {
  if (!('request' in move)) return undefined;
  const { request } = move;
  const own = homes.find(({ uid }) => uid === actor.uid);
  switch (request.op) {
    case 'attach-nic':
      return model.objection(actor, request.nic) ?? 'yes';
    case 'set-peers': {
      if (isTunnelName(request.bridge)) return 'the name';
      if (!allowsPeers(request.peers)) return 'the policy';
      const there = model.onBridge(request.bridge);
      if (there.length === 0) return 'yes';
      if (!there.some(each => keyOf(each.actor) === keyOf(actor))) return 'no tap on the bridge';
      return there[0]?.nic.bridge.link.kind === 'vxlan' ? 'yes' : 'no VXLAN';
    }
    case 'adopt-process':
      return own?.pids.includes(request.pid) ? 'yes' : "another's process";
    case 'adopt-directory':
      // One of their own may be a link by now, and there are at most four: then either answer will
      // do.
      return own?.directories.includes(request.path) ? undefined : "another's directory";
    case 'check-networks':
      return hasNetworks(request.networks) ? 'yes' : 'the policy';
    case 'detach-nic':
    case 'undo':
      return 'yes';
  }
}

/**
 * What a move takes from the actor: to attach a tap again is to begin with taking it away, unless
 * it is refused at once.
 */
function takeAway(model: Model, { actor, move, answer }: Done): void {
  if (move.kind === 'swap') return;
  if (answer?.ok === false && ['not_allowed', 'bad_request'].includes(answer.code)) return;
  const request: Ask = move.kind === 'end' ? { op: 'undo' } : move.request;
  if (request.op === 'undo') {
    if (answer?.ok === false) throw new Error(`the slot is not undone: ${answer.message}`);
    model.undone(actor);
  }
  const tap =
    request.op === 'attach-nic' ? request.nic.tap : request.op === 'detach-nic' ? request.tap : undefined;
  const there = tap === undefined ? undefined : model.taps.get(tap);
  if (there && keyOf(there.actor) === keyOf(actor)) model.taps.delete(there.nic.tap);
}

function give(model: Model, actor: Actor, request: Ask, homes: readonly Home[]): void {
  const isOwn = (list: 'pids' | 'directories', what: never): boolean =>
    homes.some(home => home.uid === actor.uid && home[list].includes(what));
  switch (request.op) {
    case 'attach-nic': {
      const objection = model.objection(actor, request.nic);
      if (objection !== undefined) throw new Error(`attached all the same: ${objection}`);
      model.taps.set(request.nic.tap, { actor, nic: request.nic });
      return;
    }
    case 'adopt-process':
      if (!isOwn('pids', request.pid as never)) throw new Error(`process ${request.pid} was adopted`);
      model.adopted(actor).pids.add(request.pid);
      return;
    case 'adopt-directory':
      if (!isOwn('directories', request.path as never)) throw new Error(`${request.path} was adopted`);
      model.adopted(actor).paths.push(request.path);
      return;
    case 'check-networks':
      if (!hasNetworks(request.networks))
        throw new Error('a network was allowed that the policy does not have');
      return;
    case 'detach-nic':
    case 'set-peers':
    case 'undo':
  }
}

/** What there was and is, and what of it had to stay. */
interface Round {
  readonly before: Look;
  readonly after: Look;
  readonly kept: readonly string[];
  readonly loosened: ReadonlySet<string>;
  readonly model: Model;
}

/** The lines of a text that another one has not. */
function without(text = '', other = ''): string {
  const lines = new Set(other.split('\n'));
  return text
    .split('\n')
    .filter(line => !lines.has(line))
    .join('\n');
}

/**
 * Throws when something is another that had to stay, or something is there that nobody has, or is
 * missing.
 */
export function checkRound({ before, after, kept, loosened, model }: Round): void {
  for (const thing of kept) {
    if (thing.startsWith('peers:') && loosened.has(thing.slice(6))) continue;
    const [was, is] = [before.get(thing), after.get(thing)];
    if (was !== is)
      throw new Error(`${thing} is another: before\n${without(was, is)}\nafter\n${without(is, was)}`);
  }
  const there = [...after.keys()].filter(thing => /^(tap|route|bridge):/.test(thing));
  const due = model.things();
  const strange = there.filter(thing => !due.has(thing));
  const missing = [...due].filter(thing => !after.has(thing));
  if (strange.length + missing.length > 0)
    throw new Error(`nobody's: ${strange.join(', ')}; missing: ${missing.join(', ')}`);
}
