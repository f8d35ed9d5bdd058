import type { SlotView, WorkspaceView } from '../protocol/api.ts';

/** What is told of a slot to whoever has a workspace in it. */
type Words = NonNullable<WorkspaceView['slot']>;

/** What is happening to a workspace, why, and what comes next: sentences. */
export function describeWorkspace(workspace: WorkspaceView): string {
  const trouble = workspace.slot?.lrmTrouble;
  // A job that is being submitted has nothing else to tell.
  const beside = trouble && trouble.doing !== 'submit' ? ` ${troubleWords(trouble)}` : '';
  return `${stateWords(workspace)}${beside}`;
}

function stateWords(workspace: WorkspaceView): string {
  const { state, reason, slot, cause } = workspace;
  const because = reason === null ? '' : ` ${reason.message}`;
  switch (state) {
    case 'pending':
      return 'Not launched yet: you can add groups (wsp add). wsp launch starts it as a whole.';
    case 'requested':
      return `${slot?.lrmTrouble ? troubleWords(slot.lrmTrouble) : 'The service is submitting it to the batch scheduler; it will then wait in the queue.'}${anew(workspace)}`;
    case 'queued':
      return `${slot ? queueWords(slot) : 'Waiting in the queue.'}${afterwards(slot)}${anew(workspace)}`;
    case 'deploying':
      return `The nodes are reserved, and the VMs are starting. The lease begins when all of them run.${drained(workspace)}`;
    case 'suspended':
      return `Suspended by the batch scheduler since ${slot?.suspendedSince ?? 'a while'}: its VMs stand still and take no orders. When the job goes on, the VMs do too, and the lease ends later by the time that it stood still, as far as the job lasts. wsp destroy ends it at once.`;
    case 'running':
      return `Running until ${workspace.endsAt ?? 'an unknown time'}${workspace.contextualized ? '' : '; some guests have not reported that they are set up'}.${unheard(workspace)}${replaced(workspace)}${drained(workspace)}`;
    case 'ending':
      return `Ending (${cause ?? 'unknown cause'}): guests are shutting down.${because}${mayComeBack(workspace) ? ' If it can be started anew, that happens when its job has ended.' : ''}`;
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

/** Nodes that are not heard, since when, and what happens next. */
function unheard({ vms }: WorkspaceView): string {
  const silent = new Map(
    vms.flatMap(({ node, unheardSince }) => (node !== null && unheardSince ? [[node, unheardSince]] : [])),
  );
  const told = [...silent].map(([node, since]) => `${node} since ${since}`).join(', ');
  return told === ''
    ? ''
    : ` The service hears nothing from ${told}. VMs there may still run; the slot is given up if it stays silent.`;
}

/** That a node of its slot is taken out of service. */
function drained({ reason }: WorkspaceView): string {
  return reason?.code === 'node_drained' ? ` ${capital(sentence(reason.message))} ${whatOfDrained}` : '';
}

const whatOfDrained = 'VMs there go on to their end; no new ones start there.';

/** Why it waits again. */
function anew({ requeues, reason }: WorkspaceView): string {
  return requeues > 0 && reason !== null ? ` ${sentence(reason.message)}` : '';
}

/** What a job in the queue waits for, and what comes next. */
function queueWords({ lrmJobId, lrmState, lrmReason, lrmOutlook, estimatedStartAt }: Words): string {
  const job = `job ${lrmJobId ?? '?'}`;
  if (lrmState === 'starting')
    return `The batch scheduler makes the nodes of ${job} ready${lrmReason === null ? '' : `: ${lrmReason}`}. The pilots start after that.`;
  if (lrmState === 'running') return `The batch scheduler has started ${job}; no pilot has reported yet.`;
  const says =
    lrmReason === null
      ? 'The batch scheduler gives no reason yet.'
      : `The batch scheduler says: ${sentence(lrmReason)}`;
  const next = lrmOutlook === null ? '' : ` ${whatOfWaiting[lrmOutlook]}`;
  const estimate = estimatedStartAt === null ? '' : ` It expects the start at ${estimatedStartAt}.`;
  return `Waiting in the queue as ${job}. ${says}${next}${estimate}`;
}

function afterwards(slot: Words | null): string {
  const waits = slot?.lrmState !== 'starting' && slot?.lrmState !== 'running';
  return waits ? ' When the job starts, its nodes are reserved and the VMs start.' : '';
}

const whatOfWaiting = {
  passes: 'This passes by itself.',
  'needs-somebody': 'Somebody has to act: it will not start by itself.',
  never: 'It will never start as it was asked for: destroy it, and ask for what fits.',
} as const;

/** What of the batch scheduler does not work, since when, and what happens next. */
function troubleWords({ doing, kind, message, since }: NonNullable<Words['lrmTrouble']>): string {
  const says = sentence(message);
  if (kind === 'deferred')
    return `The batch scheduler has put off the job since ${since}: ${says} The service asks it again until it accepts the job.`;
  const next = {
    submit: 'The job is submitted as soon as the scheduler answers.',
    cancel: 'The job is cancelled as soon as the scheduler answers.',
    list: 'What runs goes on.',
  }[doing];
  return `The batch scheduler does not answer since ${since}: ${says} ${next}`;
}

/** What is happening to a slot, why, and what comes next: sentences. */
export function describeSlot(slot: SlotView): string {
  const { lrmTrouble, state } = slot;
  const beside = lrmTrouble && state !== 'requested' ? ` ${troubleWords(lrmTrouble)}` : '';
  const stands =
    slot.suspendedSince === null
      ? ''
      : ` Suspended by the batch scheduler since ${slot.suspendedSince}: pilots and guests stand still until it lets the job run on.`;
  return `${slotStateWords(slot)}${stands}${beside}`;
}

function slotStateWords(slot: SlotView): string {
  const { state, reason, lrmJobId, nodesWanted, nodes, jobEndsAt } = slot;
  const because = reason === null ? '' : ` Why: ${sentence(reason.message)}`;
  const by = slot.deadlineAt === null ? '' : ` by ${slot.deadlineAt}`;
  const there = nodes.filter(node => node.state === 'reserved').length;
  switch (state) {
    case 'requested':
      return slot.lrmTrouble
        ? troubleWords(slot.lrmTrouble)
        : 'The service is submitting it to the batch scheduler.';
    case 'queued':
      return queueWords(slot);
    case 'reserving':
      return `${there} of ${nodesWanted} nodes are reserved; if not all are${by}, the slot is given up.${drainedNodes(slot)}`;
    case 'ready':
      return `${readyWords(slot)}${jobEndsAt === null ? '' : ` The job ends at ${jobEndsAt}.`}${drainedNodes(slot)}`;
    case 'preempting':
      return `The batch scheduler takes it back: guests are shutting down.${because}`;
    case 'releasing':
      return `The nodes are being given back; job ${lrmJobId ?? '?'} is cancelled if it has not ended${by}.${because}${notAsTheyWere(slot)}`;
    case 'released':
      return `The nodes are given back.${because}${notAsTheyWere(slot)}`;
    case 'failed':
      return `The slot is lost.${because}`;
  }
}

/** Nodes that an administrator takes out of service. */
function drainedNodes({ nodes }: SlotView): string {
  const told = whyOf(nodes.filter(({ reason }) => reason?.code === 'draining'));
  return told === '' ? '' : `${told} ${whatOfDrained}`;
}

/** Nodes that are not as they were, yet or at all, and why. */
function notAsTheyWere({ nodes }: SlotView): string {
  return whyOf(
    nodes.filter(({ state, reason }) => reason !== null && (state === 'releasing' || state === 'failed')),
  );
}

function whyOf(nodes: SlotView['nodes']): string {
  return nodes.map(({ name, reason }) => ` Node ${name}: ${sentence(reason?.message ?? '')}`).join('');
}

function readyWords({ nodes, deadlineAt, workspaces, warm }: SlotView): string {
  const silent = nodes.filter(({ connected, state }) => !connected && state === 'reserved');
  const until = deadlineAt ?? 'its end';
  if (silent.length > 0)
    return `The service hears nothing from ${silent.map(({ name }) => name).join(', ')}: the slot is given up at ${until}, unless the pilot comes back.`;
  if (deadlineAt !== null) return `No workspace is in it: it is kept for the next one until ${until}.`;
  return workspaces.length === 0 && warm ? 'Ready for the first workspace.' : 'In use.';
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
