import { decide, isEmpty } from '../../lease/decide.ts';
import type { Outcome } from '../../lease/decision.ts';
import type { LeaseInput } from '../../lease/inputs.ts';
import type { SiteState } from '../../lease/model.ts';
import type { KnownWorkspace } from './engine-api.ts';
import type { Store } from '../store/store.ts';

/**
 * Workspaces and slots wherever they are kept: in memory, or, when they are retired
 * (`lease/retire.ts`), in the store. What is retired does not change and does not come back; so who
 * looks into memory first and then into the store misses nothing.
 */
export class Records {
  readonly #state: () => SiteState;
  readonly #store: Pick<Store, 'workspaces' | 'slots'>;
  /** Reads that are under way: who asks for the same waits for the same. */
  readonly #reading = new Map<string, Promise<KnownWorkspace | undefined>>();

  constructor(state: () => SiteState, store: Pick<Store, 'workspaces' | 'slots'>) {
    this.#state = state;
    this.#store = store;
  }

  /** The workspace of an id, or the newest of a name; of this owner, or of anybody. */
  async find(idOrName: string, owner?: string): Promise<KnownWorkspace | undefined> {
    const of = owner === undefined ? {} : { owner };
    const live = this.#inMemory(idOrName);
    if (live && (owner === undefined || live.workspace.owner === owner)) return live;
    const [byId] = await this.#store.workspaces({ ...of, id: idOrName, limit: 1 });
    if (byId) return this.#newest(byId);
    const [byName] = await this.#store.workspaces({ ...of, name: idOrName, newestFirst: true, limit: 1 });
    return byName && this.#newest(byName);
  }

  /** The owner's workspace that this client token has made before. */
  async ofToken(owner: string, clientToken: string): Promise<KnownWorkspace | undefined> {
    const [made] = await this.#store.workspaces({ owner, clientToken, limit: 1 });
    return made && this.#newest(made);
  }

  /** The pools of slots; those that there are. */
  async poolsOf(slotIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const { slots } = this.#state();
    const known = slotIds.flatMap(id => slots.get(id) ?? []);
    const names = new Set(known.map(({ id }) => id));
    const others = slotIds.filter(id => !names.has(id));
    const past = others.length === 0 ? [] : await this.#store.slots(others);
    return new Map([...known, ...past].map(({ id, pool }) => [id, pool]));
  }

  /**
   * What the core says to an input about a workspace that is retired: a refusal, or that there is
   * nothing to do. Undefined: there has been no such workspace.
   */
  async outcomeOfPast(input: LeaseInput & { readonly workspaceId: string }, now: number) {
    const past = await this.#past(input.workspaceId);
    if (!past) return undefined;
    const { workspace, among } = past;
    const state = { ...this.#state(), ...among, workspaces: new Map([[workspace.id, workspace]]) };
    const outcome: Outcome = decide(state, input, now);
    if (outcome.ok && !isEmpty(outcome.decision))
      throw new Error(`${workspace.id} has ended, and ${input.type} would change it`);
    return { outcome, workspace };
  }

  #past(id: string): Promise<KnownWorkspace | undefined> {
    const underWay = this.#reading.get(id);
    if (underWay) return underWay;
    const reading = this.#store
      .workspaces({ id, limit: 1 })
      .then(([past]) => past)
      .finally(() => this.#reading.delete(id));
    this.#reading.set(id, reading);
    return reading;
  }

  #inMemory(id: string): KnownWorkspace | undefined {
    const state = this.#state();
    const workspace = state.workspaces.get(id);
    return workspace && { workspace, among: state };
  }

  /** Memory has what the others go by. */
  #newest(stored: KnownWorkspace): KnownWorkspace {
    return this.#inMemory(stored.workspace.id) ?? stored;
  }
}
