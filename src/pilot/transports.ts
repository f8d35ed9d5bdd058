import type { StartChild } from '../platform/children.ts';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { PilotTransport, SlotAssignment } from '../protocol/pilot.ts';
import { firstThatWorks, type NamedTransport } from './transport-choice.ts';
import { httpTransport } from './transport-http.ts';
import { sshTransport } from './transport-ssh.ts';
import { webSocketTransport } from './transport-websocket.ts';
import type { Transport } from './transport.ts';

/** What transports are made with. */
export interface TransportParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly startChild: StartChild;
}

/** The assignment's transports as one. */
export function transportOf(assignment: SlotAssignment, node: string, parts: TransportParts): Transport {
  const make = (one: PilotTransport): NamedTransport => ({
    name: one.kind === 'ssh' ? `ssh ${one.host}` : one.kind,
    transport: transportOfKind(one, assignment, node, parts),
  });
  const [first, ...others] = assignment.transports;
  if (!first) throw new Error('the assignment names no transport');
  return firstThatWorks([make(first), ...others.map(make)], parts.clock, parts.log);
}

function transportOfKind(
  one: PilotTransport,
  assignment: SlotAssignment,
  node: string,
  parts: TransportParts,
): Transport {
  switch (one.kind) {
    case 'websocket':
      return webSocketTransport(assignment, node, parts.clock);
    case 'http':
      return httpTransport(assignment, node, parts.clock);
    case 'ssh':
      return sshTransport(one, assignment, node, parts);
  }
}
