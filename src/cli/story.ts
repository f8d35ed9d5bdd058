import type { SlotView, WorkspaceView } from '../protocol/api.ts';

/** What is happening to a workspace, why, and what comes next: sentences. */
export function story(workspace: WorkspaceView): string {
  const { state, reason, slot, cause } = workspace;
  const because = reason === null ? '' : ` ${reason.message}`;
  switch (state) {
    case 'pending':
      return 'Not launched: groups can be added (wsp add). wsp launch has it placed as a whole.';
    case 'requested':
      return `Being handed to the batch scheduler; it will then wait in its queue.${anew(workspace)}`;
    case 'queued': {
      const says = slot?.lrmReason
        ? `The batch scheduler says: ${slot.lrmReason}.`
        : 'The batch scheduler gives no reason yet.';
      const estimate = slot?.estimatedStartAt ? ` It expects the start at ${slot.estimatedStartAt}.` : '';
      return `Waiting in the queue as job ${slot?.lrmJobId ?? '?'}. ${says}${estimate} When the job starts, its nodes are reserved and the VMs start.${anew(workspace)}`;
    }
    case 'deploying':
      return `The nodes are reserved; the VMs are being started. The lease begins when all of them run.${drained(workspace)}`;
    case 'running':
      return `Running until ${workspace.endsAt ?? 'an unknown time'}${workspace.contextualized ? '' : '; some guests have not reported that they are set up'}.${replaced(workspace)}${drained(workspace)}`;
    case 'ending':
      return `Ending (${cause ?? 'unknown cause'}): guests are shutting down.${because}${mayComeBack(workspace) ? ' If it may still be started anew, that is done when its job is gone.' : ''}`;
    case 'ended':
      return `Ended (${cause ?? 'unknown cause'}).${because}`;
  }
}

function mayComeBack({ cause, requeue, heal, startsAt }: WorkspaceView): boolean {
  return cause === 'preempted' ? requeue : cause === 'failed' && heal === 'replace' && startsAt !== null;
}

/** Which VMs are on their way in place of lost ones, and why. */
function replaced({ vms }: WorkspaceView): string {
  const onTheWay = vms.filter(
    ({ state, reason }) =>
      reason?.code === 'replaced' && (state === 'pending' || state === 'propagating' || state === 'starting'),
  );
  return onTheWay.map(({ reason }) => ` ${sentence(reason?.message ?? '')}`).join('');
}

/** That a node of its slot is taken out of service. */
function drained({ reason }: WorkspaceView): string {
  return reason?.code === 'node_drained' ? ` ${capital(sentence(reason.message))} ${whatOfDrained}` : '';
}

const whatOfDrained = 'What is there goes on to its end; nothing new begins there.';

/** Why it waits again. */
function anew({ requeues, reason }: WorkspaceView): string {
  return requeues > 0 && reason !== null ? ` ${sentence(reason.message)}` : '';
}

/** What is happening to a slot, why, and what comes next: sentences. */
export function slotStory(slot: SlotView): string {
  const { state, reason, lrmReason, lrmJobId, nodesWanted, nodes, jobEndsAt } = slot;
  const because = reason === null ? '' : ` Why: ${sentence(reason.message)}`;
  const by = slot.deadlineAt === null ? '' : ` by ${slot.deadlineAt}`;
  const there = nodes.filter(node => node.state === 'reserved').length;
  switch (state) {
    case 'requested':
      return 'Being handed to the batch scheduler.';
    case 'queued':
      return lrmReason === null
        ? 'Waiting in the queue; the batch scheduler gives no reason yet.'
        : `Waiting in the queue: ${sentence(lrmReason)}`;
    case 'reserving':
      return `${there} of ${nodesWanted} nodes are reserved; all are to be${by}, or the slot is given up.${drainedNodes(slot)}`;
    case 'ready':
      return `${readyStory(slot)}${jobEndsAt === null ? '' : ` The job ends at ${jobEndsAt}.`}${drainedNodes(slot)}`;
    case 'preempting':
      return `The batch scheduler takes it back: guests are shutting down.${because}`;
    case 'releasing':
      return `Being given back; job ${lrmJobId ?? '?'} is cancelled if it is not gone${by}.${because}${notAsTheyWere(slot)}`;
    case 'released':
      return `Given back.${because}${notAsTheyWere(slot)}`;
    case 'failed':
      return `Lost.${because}`;
  }
}

/** Nodes that an administrator takes out of service. */
function drainedNodes({ nodes }: SlotView): string {
  const told = nodes
    .filter(({ reason }) => reason?.code === 'draining')
    .map(({ name, reason }) => ` Node ${name}: ${sentence(reason?.message ?? '')}`);
  return told.length === 0 ? '' : `${told.join('')} ${whatOfDrained}`;
}

/** Nodes that are not as they were, yet or at all, and why. */
function notAsTheyWere({ nodes }: SlotView): string {
  return nodes
    .filter(({ state, reason }) => reason !== null && (state === 'releasing' || state === 'failed'))
    .map(({ name, reason }) => ` Node ${name}: ${sentence(reason?.message ?? '')}`)
    .join('');
}

function readyStory({ nodes, deadlineAt, workspaces, warm }: SlotView): string {
  const silent = nodes.filter(({ connected, state }) => !connected && state === 'reserved');
  const until = deadlineAt ?? 'its end';
  if (silent.length > 0)
    return `Nothing is heard of ${silent.map(({ name }) => name).join(', ')}: given up at ${until}, unless its pilot comes back.`;
  if (deadlineAt !== null) return `Nobody is in it: kept for the next workspace until ${until}.`;
  return workspaces.length === 0 && warm ? 'Ready for the first workspace.' : 'In use.';
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
