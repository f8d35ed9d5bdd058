import { createHash } from 'node:crypto';
import { sameRequest, workspaceOfToken } from '../../lease/create.ts';
import { decide } from '../../lease/decide.ts';
import type { Refusal } from '../../lease/decision.ts';
import type { LeaseInput, Lots } from '../../lease/inputs.ts';
import type { SiteState, Workspace } from '../../lease/model.ts';
import type { LeaseSettings } from '../../lease/settings.ts';
import { LrmError } from '../../lrm/lrm.ts';
import { type Clock, pause } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import type { GroupRequest, OperateRequest, WorkspaceRequest } from '../../protocol/cluster.ts';
import { WspError } from '../../protocol/errors.ts';
import { idSuffix } from '../../protocol/ids.ts';
import type { LrmPool } from '../lrm/pool.ts';
import type { Trial, WorkspaceService } from './engine-api.ts';
import type { Records } from './records.ts';
import type { Writer } from './writer.ts';

/** What the service works with. */
export interface WorkspaceServiceParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly writer: Pick<Writer, 'state' | 'submit' | 'changeSettings'>;
  readonly records: Records;
  readonly pools: readonly LrmPool[];
  /** The pool that a slot is from. */
  readonly poolOf: (slotId: string) => Promise<LrmPool>;
  /** The site's images now: read again for each create. */
  readonly images: () => LeaseSettings['images'];
}

/**
 * An LRM that cannot be asked to extend a job is asked again: within what a client's request may
 * take.
 */
const extendAgainAfterMs = [500, 1_000, 2_000, 4_000] as const;

/**
 * The Workspace Service (paper §2.1): what clients ask for, as inputs of the core. It keeps
 * nothing: if we crash here, what was acknowledged is in the store, and a client that has heard
 * nothing asks again with the same token.
 */
export class LeasingService implements WorkspaceService {
  readonly #parts: WorkspaceServiceParts;

  constructor(parts: WorkspaceServiceParts) {
    this.#parts = parts;
  }

  async create(owner: string, request: WorkspaceRequest): Promise<Workspace> {
    const before = await this.#madeBefore(owner, request);
    if (before) return before;
    this.#parts.writer.changeSettings({ images: this.#parts.images() });
    return this.#order(this.#createInput(owner, request), () =>
      workspaceOfToken(this.#state.workspaces.values(), owner, request.clientToken),
    );
  }

  /**
   * The workspace that this request has made already. One that is being made is the core's
   * business: it is in memory until long after its end.
   */
  async #madeBefore(owner: string, request: WorkspaceRequest): Promise<Workspace | undefined> {
    if (request.clientToken === undefined) return undefined;
    const made = await this.#parts.records.ofToken(owner, request.clientToken);
    if (!made) return undefined;
    const refusal = sameRequest(made.workspace, { request, requestDigest: digestOf(request) });
    if (refusal) throw refused(refusal);
    return made.workspace;
  }

  async tryCreate(owner: string, request: WorkspaceRequest): Promise<Trial> {
    const { clientToken } = request;
    const made =
      clientToken === undefined ? undefined : await this.#parts.records.ofToken(owner, clientToken);
    const { settings, workspaces, ...others } = this.#state;
    const state = {
      ...others,
      settings: { ...settings, images: this.#parts.images() },
      workspaces: made ? new Map([...workspaces, [made.workspace.id, made.workspace]]) : workspaces,
    };
    const outcome = decide(state, this.#createInput(owner, request), this.#parts.clock.now());
    const refusedWith = (refusal: Refusal): Trial => ({ refusal, slot: undefined, doubt: undefined });
    if (!outcome.ok) return refusedWith(outcome.refusal);
    const slot = outcome.decision.slots[0];
    const pool = this.#parts.pools.find(({ name }) => name === slot?.pool);
    const error = slot?.state === 'requested' ? await pool?.dryRun(slot) : undefined;
    if (error?.kind === 'refused') return refusedWith({ code: 'exceeds_site', message: error.message });
    return { refusal: undefined, slot, doubt: error?.message };
  }

  add(workspaceId: string, by: string, groups: readonly GroupRequest[]): Promise<Workspace> {
    return this.#order({ type: 'add', workspaceId, by, groups });
  }

  launch(workspaceId: string, by: string): Promise<Workspace> {
    return this.#order({ type: 'launch', workspaceId, by, lots: this.#lots() });
  }

  async extend(workspaceId: string, by: string, durationMs: number): Promise<Workspace> {
    const input = { type: 'extend', workspaceId, by, durationMs } as const;
    const outcome = await this.#parts.writer.submit(input);
    if (!outcome.ok) {
      const { ifJobLasts, ...refusal } = outcome.refusal;
      if (!ifJobLasts) return this.#refuse(input, refusal);
      const { slotId, jobId, until } = ifJobLasts;
      const jobEndsAt = await this.#extendJob(slotId, jobId, until, refusal);
      await this.#parts.writer.submit({ type: 'lrm.extended', slotId, jobEndsAt });
      return this.#order(input);
    }
    return this.#workspace(workspaceId);
  }

  /**
   * When the job ends now. A crash after it leaves a job that is longer than it need be, and is
   * given back with its workspace.
   */
  async #extendJob(slotId: string, jobId: string, until: number, refusal: Refusal): Promise<number> {
    const { lrm } = await this.#parts.poolOf(slotId);
    for (const pauseMs of [...extendAgainAfterMs, undefined])
      try {
        return await lrm.extend(jobId, until);
      } catch (cause) {
        if (!(cause instanceof LrmError)) throw cause;
        if (cause.kind === 'refused') {
          const message = `${refusal.message}, and the batch scheduler gives it no more time: ${cause.message}`;
          throw refused({ ...refusal, message });
        }
        if (pauseMs === undefined) {
          const message = `the batch scheduler could not be asked to let the batch job run longer: ${cause.message}`;
          throw new WspError('busy', message, { hint: 'nothing has changed; try again a little later' });
        }
        await pause(this.#parts.clock, pauseMs);
      }
    throw new Error('the last try has an outcome');
  }

  operate(workspaceId: string, by: string, request: OperateRequest): Promise<Workspace> {
    const { operation, target, graceMs } = request;
    return this.#order({ type: 'operate', workspaceId, by, operation, target, graceMs });
  }

  destroy(workspaceId: string, by: string): Promise<Workspace> {
    return this.#order({ type: 'destroy', workspaceId, by });
  }

  /** What a client asks for: a refusal is an error to it. */
  async #order(
    input: Extract<LeaseInput, { workspaceId: string }>,
    before: () => Workspace | undefined = () => undefined,
  ): Promise<Workspace> {
    const outcome = await this.#parts.writer.submit(input);
    if (outcome.ok) return before() ?? this.#workspace(input.workspaceId);
    return this.#refuse(input, outcome.refusal);
  }

  /** What is not in memory may be retired: then it is as it was when it had just ended. */
  async #refuse(input: Extract<LeaseInput, { workspaceId: string }>, refusal: Refusal): Promise<Workspace> {
    if (input.type === 'create' || this.#state.workspaces.has(input.workspaceId)) throw refused(refusal);
    const past = await this.#parts.records.outcomeOfPast(input, this.#parts.clock.now());
    if (!past) throw refused(refusal);
    if (!past.outcome.ok) throw refused(past.outcome.refusal);
    return past.workspace;
  }

  #workspace(workspaceId: string): Workspace {
    const workspace = this.#state.workspaces.get(workspaceId);
    if (!workspace) throw new WspError('internal', `${workspaceId} was accepted and is not there`);
    return workspace;
  }

  #createInput(owner: string, request: WorkspaceRequest) {
    return {
      type: 'create',
      workspaceId: `ws-${this.#idSuffix()}`,
      slotId: `slot-${this.#idSuffix()}`,
      owner,
      request,
      requestDigest: digestOf(request),
      lots: this.#lots(),
    } as const;
  }

  #lots(): Lots {
    const { random } = this.#parts;
    return this.#state.settings.networks.map(() => Buffer.from(random.bytes(4)).readUInt32BE());
  }

  #idSuffix(): string {
    return idSuffix(this.#parts.random.bytes(10));
  }

  get #state(): SiteState {
    return this.#parts.writer.state;
  }
}

/** A refusal as what the client hears. */
function refused({ code, message, hint }: Refusal): WspError {
  return new WspError(code, message, hint === undefined ? {} : { hint });
}

/** The same for the same request, whatever the order of its keys. */
function digestOf({ clientToken: _token, ...request }: WorkspaceRequest): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(request)))
    .digest('base64url');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
