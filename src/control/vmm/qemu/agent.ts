import type { Duplex } from 'node:stream';
import type { Clock } from '../../../platform/clock.ts';
import { Lines } from '../../../platform/lines.ts';
import { paceReading } from '../../../platform/paced-reading.ts';
import type { ContextState, Reason } from '../../../protocol/states.ts';
import { plainText } from '../../../protocol/text.ts';
import { protocolGap } from '../../../protocol/versions.ts';

/**
 * The conversation with a guest's agent over the virtio port `org.workspace-pilot.0`, in lines of text:
 *
 *   guest → protocol <number>          which it speaks; the first one, when it does not say
 *   guest → context ok                 its set-up is done
 *   guest → context error <message>    its set-up failed, in the guest's words
 *   us    → shutdown                   power off now
 *   us    → notice <message>           for the guest's users
 *
 * What a guest says is believed of that guest only; lines that are none of these, or too long, are
 * ignored, and who says very much is read slowly.
 */
export class AgentPort {
  readonly #stream: Duplex;

  constructor(stream: Duplex, clock: Clock, onContext: (state: ContextState, reason?: Reason) => void) {
    this.#stream = stream;
    const lines = new Lines(longestLineBytes, line => {
      const report = parseAgentLine(line);
      if (report) onContext(report.state, report.reason);
    });
    stream.on('data', (chunk: Buffer) => lines.push(chunk));
    paceReading(stream, clock, bytesOfGuest);
  }

  tell(message: string): void {
    if (this.#stream.writable) this.#stream.write(`notice ${plainText(message)}\n`);
  }

  shutdown(): void {
    if (this.#stream.writable) this.#stream.write('shutdown\n');
  }
}

const longestLineBytes = 4_096;
/** More than an agent says. Reading costs the pilot, which has to hear the LRM's signal. */
const bytesOfGuest = { perSecond: 16_384, burst: 65_536 };
/** A guest's message travels to the service and to people: short, and without control characters. */
const longestMessage = 500;

/** What a line of the guest's agent says about its set-up; undefined when it says something else. */
export function parseAgentLine(
  line: string,
): { readonly state: 'ok' | 'error'; readonly reason?: Reason } | undefined {
  if (line === 'context ok') return { state: 'ok' };
  const protocol = /^protocol ([1-9][0-9]{0,3})$/.exec(line);
  if (protocol) {
    const gap = protocolGap('guest', "the guest's agent", Number(protocol[1]));
    return gap === undefined
      ? undefined
      : { state: 'error', reason: { code: 'context_failed', message: gap } };
  }
  const error = /^context error\b\s*(.*)$/.exec(line);
  if (!error) return undefined;
  const said = plainText(error[1] ?? '').slice(0, longestMessage);
  return {
    state: 'error',
    reason: { code: 'context_failed', message: `the guest reports: ${said || 'its set-up failed'}` },
  };
}
