import type { EventView, WorkspaceView } from '../protocol/api.ts';
import { WspError } from '../protocol/errors.ts';
import type { EventQuery, WaitOptions } from './types.ts';
import { keepTrying } from './retry.ts';
import { formatDuration } from '../protocol/units.ts';

interface Reads {
  getWorkspace(workspace: string, stop: AbortSignal): Promise<WorkspaceView>;
  events(
    query: EventQuery,
    stop: AbortSignal,
  ): Promise<{ readonly events: readonly EventView[]; readonly next: number }>;
  readonly pause: ((delayMs: number) => Promise<void>) | undefined;
}

/** Below the service's own limit, and below what proxies cut off. */
const longPollMs = 25_000;

/** Events first, then the state: whatever happens after the state was read comes with the next events. */
export async function waitForWorkspace(
  { pause, ...direct }: Reads,
  idOrName: string,
  until: (workspace: WorkspaceView) => boolean,
  { timeoutMs, onEvent, onWorkspace, tell = reasonOf }: WaitOptions,
): Promise<WorkspaceView> {
  const over = AbortSignal.timeout(timeoutMs);
  const reads = pause === undefined ? direct : outliving(direct, pause);
  let workspace: WorkspaceView | undefined;
  try {
    // A name may come to mean a newer workspace while we wait; the id does not.
    workspace = await direct.getWorkspace(idOrName, over);
    const { id } = workspace;
    let after = 0;
    let waitMs = 0;
    for (;;) {
      const page = await reads.events({ workspace: id, after, waitMs }, over);
      for (const event of page.events) onEvent?.(event);
      after = page.next;
      waitMs = longPollMs;
      workspace = await reads.getWorkspace(id, over);
      onWorkspace?.(workspace);
      if (!until(workspace) && !isOver(workspace)) continue;
      // What has brought it here may have come after the events were read.
      for (const event of (await reads.events({ workspace: id, after }, over)).events) onEvent?.(event);
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

/** The same reads, tried again while the service cannot be reached: it may be starting again. Their signal ends it. */
function outliving(
  reads: Omit<Reads, 'pause'>,
  pause: (delayMs: number) => Promise<void>,
): Omit<Reads, 'pause'> {
  return {
    getWorkspace: (workspace, stop) => keepTrying(() => reads.getWorkspace(workspace, stop), stop, pause),
    events: (query, stop) => keepTrying(() => reads.events(query, stop), stop, pause),
  };
}

/** Why it is as it is, in the service's words. */
function reasonOf({ reason, slot }: WorkspaceView): string {
  return reason?.message ?? slot?.lrmReason ?? '';
}

function isOver({ state, slot }: WorkspaceView): boolean {
  return state === 'ended' && (slot === null || slot.state === 'released' || slot.state === 'failed');
}
