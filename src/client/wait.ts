import type { EventView, WorkspaceView } from '../protocol/api.ts';
import { WspError } from '../protocol/errors.ts';
import { formatDuration } from '../protocol/units.ts';
import type { EventQuery, workspaceRequests } from './requests/workspaces.ts';
import { keepTrying, type Pause } from './retry.ts';

/** How long to wait, and who is told meanwhile. */
export interface WaitOptions {
  /** Throws `timeout` after this long. */
  readonly timeoutMs: number;
  /** Each event of the workspace once, its history first. */
  readonly onEvent?: ((event: EventView) => void) | undefined;
  /** The workspace as it is after each batch of events. */
  readonly onWorkspace?: ((workspace: WorkspaceView) => void) | undefined;
  /** What it is doing, and why, in sentences: for the message of `timeout`. Default: its reason. */
  readonly tell?: ((workspace: WorkspaceView) => string) | undefined;
}

type Reads = Pick<ReturnType<typeof workspaceRequests>, 'getWorkspace' | 'events'>;

/** Below the service's own limit, and below what proxies cut off. */
const longPollMs = 25_000;
/** A service that is away for longer than this is not being started again. */
const giveUpMs = 300_000;

/**
 * Events first, then the state: whatever happens after the state was read comes with the next
 * events. With `pause` all but the first reading is tried again while the service is away.
 */
export async function waitForWorkspace(
  { getWorkspace, events, pause }: Reads & { readonly pause: Pause | undefined },
  idOrName: string,
  until: (workspace: WorkspaceView) => boolean,
  { timeoutMs, onEvent, onWorkspace, tell = reasonOf }: WaitOptions,
): Promise<WorkspaceView> {
  const over = AbortSignal.timeout(timeoutMs);
  let workspace: WorkspaceView | undefined;
  try {
    // A name may come to mean a newer workspace while we wait; the id does not.
    workspace = await getWorkspace(idOrName, over);
    const { id } = workspace;
    let after = 0;
    const readEvents = async (waitMs: number): Promise<void> => {
      const page = await keepTrying(() => events({ workspace: id, after, waitMs }, over), over, pause);
      for (const event of page.events) onEvent?.(event);
      after = page.next;
    };
    for (let waitMs = 0; ; waitMs = longPollMs) {
      await readEvents(waitMs);
      workspace = await keepTrying(() => getWorkspace(id, over), over, pause);
      onWorkspace?.(workspace);
      if (!until(workspace) && !isOver(workspace)) continue;
      // What has brought it here may have come after the events were read.
      await readEvents(0);
      return workspace;
    }
  } catch (cause) {
    if (!over.aborted) throw cause;
    const why = workspace ? tell(workspace) : '';
    const state = workspace
      ? `workspace ${workspace.name} is still ${workspace.state}${why === '' ? '' : `. ${why}`}`
      : 'the service did not answer';
    throw new WspError('timeout', `after ${formatDuration(timeoutMs)} ${state}`, {
      hint: 'the workspace goes on without you; wsp show says how it is, --timeout waits longer',
      cause,
    });
  }
}

/**
 * Every event once, in order, from `query.after` on, for as long as the caller wants more. With
 * `pause` a service that is away is waited for. Throws `service_unreachable`: it stays away.
 */
export async function* followEvents(
  events: Reads['events'],
  query: Pick<EventQuery, 'after' | 'workspace'>,
  pause: Pause | undefined,
): AsyncGenerator<EventView, never> {
  let { after = 0 } = query;
  for (;;) {
    const read = () => events({ ...query, after, waitMs: longPollMs });
    const page = await keepTrying(read, AbortSignal.timeout(giveUpMs), pause);
    yield* page.events;
    after = page.next;
  }
}

/** Why it is as it is, in the service's words. */
function reasonOf({ reason, slot }: WorkspaceView): string {
  return reason?.message ?? slot?.lrmReason ?? '';
}

function isOver({ state, slot }: WorkspaceView): boolean {
  return state === 'ended' && (slot === null || slot.state === 'released' || slot.state === 'failed');
}
