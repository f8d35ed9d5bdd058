import Type from 'typebox';
import { literals } from './schema.ts';

/**
 * Every kind of event that is recorded, and what has happened then; `at`, `node` and `reason` say
 * more. The history of an older release may have kinds that are no longer here.
 */
export const eventMeanings = {
  'service.started': 'the service has started, and goes on with what it had',
  'workspace.pending': 'the workspace waits for its launch',
  'workspace.grown': 'groups were added to a pending workspace',
  'workspace.requested': 'a slot for the workspace is asked for, at first or anew',
  'workspace.queued': 'its slot waits in the batch scheduler’s queue',
  'workspace.deploying': 'its slot is ready: its VMs are started',
  'workspace.running': 'all of its VMs run: its time begins',
  'workspace.extended': 'its owner has made the lease longer',
  'workspace.shortened': 'its batch job ends earlier than expected, and so does the lease',
  'workspace.lengthened': 'its batch job ends later than expected, and so does the lease',
  'workspace.ends-soon': 'the lease ends soon; the reason says when',
  'workspace.suspended': 'the batch scheduler has suspended its job: its VMs stand still',
  'workspace.resumed': 'its job goes on, and so do its VMs',
  'workspace.ending': 'its VMs are shut down; the reason says why',
  'workspace.ended': 'it has ended',
  'workspace.end-known': 'the true cause of its end has become known since',
  'slot.requested': 'a job for the slot is submitted',
  'slot.queued': 'the batch scheduler has the job',
  'slot.lrm': 'what the batch scheduler says of the job has changed',
  'slot.lrm-trouble': 'the batch scheduler could not be asked, or did not take the job yet',
  'slot.lrm-answers': 'the batch scheduler answers again',
  'slot.reserving': 'the job runs: its pilots make the nodes ready',
  'slot.ready': 'all nodes are reserved: VMs can be started',
  'slot.idle': 'no workspace is in the slot any more; it is kept for the next one',
  'slot.suspended': 'the batch scheduler has suspended the job',
  'slot.resumed': 'the job goes on',
  'slot.preempting': 'the batch scheduler wants the nodes back',
  'slot.releasing': 'its nodes are restored',
  'slot.released': 'its nodes are job nodes again',
  'slot.failed': 'the slot has failed; the reason says what',
  'node.connected': 'a pilot has connected',
  'node.disconnected': 'a pilot’s connection was lost; it comes again, or its silence is acted upon',
  'node.reserving': 'a pilot makes its node ready',
  'node.reserved': 'a node is ready for VMs',
  'node.preempting': 'the batch scheduler has told a pilot to leave',
  'node.releasing': 'a node is restored',
  'node.released': 'a node is a job node again',
  'node.failed': 'a node could not be made ready, or could not be restored',
  'node.not-undone': 'something of the slot is left on a node; the reason says what',
  'node.draining': 'an administrator takes a node out of service',
  'node.resumed': 'a node is in service again',
  'vm.pending': 'the VM waits for its node, anew',
  'vm.placed': 'the VM has its node',
  'vm.propagating': 'its disk is made',
  'vm.starting': 'its VMM starts, its guest boots',
  'vm.running': 'it runs',
  'vm.paused': 'it is paused',
  'vm.rebooting': 'it reboots',
  'vm.stopping': 'it shuts down',
  'vm.stopped': 'it is off, and can be started again',
  'vm.terminated': 'it has ended',
  'vm.failed': 'it has failed, or was lost; the reason says how',
  'vm.ordered': 'its owner has ordered something of it',
  'vm.operation-failed': 'an order to it could not be carried out',
  'vm.replaced': 'another VM takes the place of a lost one',
  'vm.context.none': 'its image reports nothing about its set-up',
  'vm.context.pending': 'its guest has not reported yet',
  'vm.context.ok': 'its guest has set itself up',
  'vm.context.error': 'its guest could not set itself up, or did not say in time',
} as const satisfies Readonly<
  Record<`${'service' | 'workspace' | 'slot' | 'node' | 'vm'}.${string}`, string>
>;

/** A kind of event, as `vm.failed`. */
export type EventType = keyof typeof eventMeanings;

/** All of them. */
export const eventTypes = Object.keys(eventMeanings) as EventType[];

/** In requests: the only types of events that are wanted. */
export const EventTypes = Type.Array(literals(eventTypes), { maxItems: eventTypes.length });
