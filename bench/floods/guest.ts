/**
 * A hostile guest and its node, a program of its own: the guest's words go through what a pilot has
 * for them, to a real journal.
 */
import { join } from 'node:path';
import { Duplex, Readable } from 'node:stream';
import { GuestWords } from '../../src/control/guest-words.ts';
import { AgentPort } from '../../src/control/vmm/qemu/agent.ts';
import { fileJournal } from '../../src/pilot/journal.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { hostileData } from './data.ts';

const { directory, vmId } = await hostileData();
const journal = fileJournal(join(directory, 'notifications.jsonl'));
const words = new GuestWords(systemClock, word => {
  const { seq } = journal.append(systemClock.now(), {
    kind: 'vm',
    report: { vmId, state: 'running', ...word },
  });
  journal.acknowledge(seq);
});
const lines = Buffer.from(`context ok\ncontext error ${'x'.repeat(400)}\n`.repeat(100));
const guest = Duplex.from(
  Readable.from(
    (function* () {
      for (;;) yield lines;
    })(),
  ),
);
void new AgentPort(guest, systemClock, (context, reason) =>
  words.hear({ context, ...(reason === undefined ? {} : { reason }) }),
);
