import type { PilotTransport } from '../../protocol/pilot.ts';
import type { TransportEntry } from './site-file.ts';
import type { Mistake } from './site-values.ts';

const ordinary: readonly TransportEntry[] = [{ kind: 'websocket' }];

/** The ways for pilots' messages, in order. One that is there twice is a mistake: it would fail twice. */
export function transportsOf(
  given: readonly TransportEntry[] = ordinary,
  mistake: Mistake,
): readonly PilotTransport[] {
  const transports = given.map(transportOf);
  for (const [index, one] of transports.entries()) {
    const same = transports.findIndex(other => JSON.stringify(other) === JSON.stringify(one));
    if (same < index)
      mistake(`service.transports[${index}]`, `is the same as service.transports[${same}]; leave one out`);
  }
  return transports;
}

function transportOf(entry: TransportEntry): PilotTransport {
  if (entry.kind !== 'ssh') return entry;
  const { kind, host, user = null, identityFile = null, options = [], command = ['wsp', 'ingest'] } = entry;
  return { kind, host, user, identityFile, options, command };
}
