import { existsSync } from 'node:fs';
import { pause, systemClock } from '../../src/platform/clock.ts';
import type { HelperAnswer } from '../../src/control/helper/requests.ts';
import { Dice } from '../sim/dice.ts';
import type { BareNodes } from '../support/node.ts';
import { type Home, makeHome } from './homes.ts';
import { type Look, lookAt } from './look.ts';
import { type Actor, keyOf, Model } from './model.ts';
import { type Ask, type Move, moveOf } from './moves.ts';
import { type RawHelper, startRawHelper } from './raw-helper.ts';
import { helperOf } from './users.ts';
import { checkRound, type Done, settle, untouched } from './verdict.ts';

/** The users, whom nobody else on this machine is, and their slots, which have the same ids. */
const uids = [64_901, 64_902] as const;
const slotIds = ['slot-fuzzaaaaaa', 'slot-fuzzaaaaab'] as const;

/**
 * Two users with two slots each on one node, who do what they like with their helpers for `rounds`
 * rounds, two of them at once now and then: it is the same for the same seed. After each round
 * nothing of one is another because of the other, nothing is there that nobody has asked for, and
 * whoever could have what they asked for has it. At the end the node is as it was. Throws with all
 * that has happened otherwise.
 */
export async function playSequence(nodes: BareNodes, seed: number, rounds: number): Promise<Tally> {
  const sequence = new Sequence(nodes, seed);
  try {
    await sequence.begin();
    for (let left = rounds; left > 0; left -= 1) await sequence.round();
    await sequence.finish();
    return sequence.tally;
  } catch (cause) {
    throw new Error(
      `SEED=${seed} REQUESTS=0 SEQUENCES=1 ROUNDS=${rounds}:\n${sequence.trace.join('\n')}\n${String(cause)}`,
      { cause },
    );
  } finally {
    await sequence.remove();
  }
}

/** What has been tried, so that a fuzz that tries nothing is seen. */
export interface Tally {
  yes: number;
  no: number;
  kills: number;
}

class Sequence {
  readonly trace: string[] = [];
  readonly tally: Tally = { yes: 0, no: 0, kills: 0 };
  readonly #nodes: BareNodes;
  readonly #dice: Dice;
  readonly #actors: readonly Actor[] = uids.flatMap(uid => slotIds.map(slotId => ({ uid, slotId })));
  readonly #helpers = new Map<Actor, RawHelper>();
  readonly #model = new Model();
  #homes: readonly Home[] = [];
  #before = '';
  #seen: Look = new Map();

  constructor(nodes: BareNodes, seed: number) {
    this.#nodes = nodes;
    this.#dice = new Dice(seed);
  }

  async begin(): Promise<void> {
    this.#before = await this.#nodes.snapshot(0);
    this.#homes = await Promise.all([...uids, 0].map(uid => makeHome(this.#nodes.directory, uid)));
    await Promise.all(this.#actors.map(actor => this.#start(actor)));
    this.#seen = await this.#look();
  }

  async round(): Promise<void> {
    const dice = this.#dice;
    const [first, second] = dice.chance(0.5) ? uids : [uids[1], uids[0]];
    const acting = (dice.chance(0.3) ? [first, second] : [first]).map(uid => this.#one(uid));
    const moves = acting.map(actor => ({ actor, move: moveOf(dice, actor, this.#homes) }));
    for (const { actor, move } of moves) this.trace.push(`${keyOf(actor)} ${JSON.stringify(move)}`);
    const kept = untouched(this.#model, this.#actors, moves, this.#seen);
    const done: Done[] = await Promise.all(
      moves.map(async each => ({ ...each, answer: await this.#perform(each.actor, each.move) })),
    );
    this.trace.push(
      ...done.map(({ actor, answer }) => `  ${keyOf(actor)}: ${JSON.stringify(answer ?? 'done')}`),
    );
    for (const { answer } of done) if (answer) this.tally[answer.ok ? 'yes' : 'no'] += 1;
    const loosened = settle(this.#model, done, this.#homes);
    const there = await lookAt(this.#nodes);
    const after = new Map([...there, ...this.#lookHome()]);
    checkRound({ before: this.#seen, after, kept, loosened, model: this.#model });
    for (const home of this.#homes) await home.refill();
    this.#seen = new Map([...there, ...this.#lookHome()]);
  }

  /** Each ends in one of the ways in which slots do. */
  async finish(): Promise<void> {
    let killed = false;
    for (const actor of this.#actors) {
      const helper = this.#helperOf(actor);
      const how = this.#dice.pick(['undo', 'end', 'kill']);
      this.trace.push(`${keyOf(actor)} ${how} at the end`);
      if (how === 'kill') {
        killed = true;
        await helper.kill();
        continue;
      }
      if (how === 'undo') await helper.ask({ op: 'undo' });
      await this.#end(helper);
    }
    const killAll = killed ? await this.#nodes.killAll(0) : undefined;
    if (killAll && killAll.code !== 0) throw new Error(`kill-all: ${killAll.stdout}${killAll.stderr}`);
    const after = await this.#nodes.snapshot(0);
    if (after !== this.#before)
      throw new Error(`the node is another: before\n${this.#before}\nafter\n${after}`);
    for (const path of [this.#nodes.stateDir, `${this.#nodes.stateDir}-disk/n01`])
      if (existsSync(path)) throw new Error(`${path} is left`);
    this.#helpers.clear();
  }

  /** Whatever became of it. */
  async remove(): Promise<void> {
    await Promise.all([...this.#helpers.values()].map(helper => helper.kill()));
    if (this.#helpers.size > 0) await this.#nodes.killAll(0);
    for (const home of this.#homes) await home.remove();
  }

  #one(uid: number): Actor {
    const slotId = this.#dice.pick(slotIds);
    return this.#actors.find(each => each.uid === uid && each.slotId === slotId) ?? { uid, slotId };
  }

  async #look(): Promise<Look> {
    return new Map([...(await lookAt(this.#nodes)), ...this.#lookHome()]);
  }

  #lookHome(): Look {
    return new Map(this.#homes.flatMap(home => [...home.look()]));
  }

  async #start(actor: Actor): Promise<void> {
    this.#helpers.set(actor, await startRawHelper(helperOf(this.#nodes, actor.uid, actor.slotId)));
  }

  #helperOf(actor: Actor): RawHelper {
    const helper = this.#helpers.get(actor);
    if (!helper) throw new Error(`${keyOf(actor)} has no helper`);
    return helper;
  }

  async #end(helper: RawHelper): Promise<void> {
    const code = await helper.end();
    if (code !== 0) throw new Error(`a helper ended with ${code}: ${helper.complaints()}`);
  }

  /** The helper's answer, where it was asked something. */
  async #perform(actor: Actor, move: Move): Promise<HelperAnswer | undefined> {
    switch (move.kind) {
      case 'ask':
        return this.#helperOf(actor).ask(move.request);
      case 'kill':
        return this.#killAt(actor, move.request, move.afterMs);
      case 'end':
        await this.#end(this.#helperOf(actor));
        await this.#start(actor);
        return undefined;
      case 'swap':
        this.#homes.find(({ uid }) => uid === actor.uid)?.swap(move.path, move.to);
        return undefined;
    }
  }

  async #killAt(actor: Actor, request: Ask, afterMs: number): Promise<HelperAnswer> {
    this.tally.kills += 1;
    const helper = this.#helperOf(actor);
    helper.write(`${JSON.stringify({ ...request, id: 1 })}\n`);
    await pause(systemClock, afterMs);
    await helper.kill();
    await this.#start(actor);
    return this.#helperOf(actor).ask(request);
  }
}
