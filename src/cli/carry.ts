import type { StreamEnd } from '../client/stream.ts';
import { NotPrinted, print, printed } from '../platform/printing.ts';
import { WspError } from '../protocol/errors.ts';
import type { CommandContext } from './program.ts';
import { findVm } from './ssh.ts';

/** Carries standard input and output to a TCP port of a VM or to its console, until either side ends. */
export async function carry(context: CommandContext, target: string, end: StreamEnd): Promise<number> {
  const { workspace, vm } = await findVm(context, target);
  const stream = await context.client().openStream(workspace.id, vm, end);
  process.stdin.on('end', () => stream.end());
  process.stdin.on('data', chunk => {
    // Ctrl-] leaves a console, as in telnet(1).
    if (end.kind === 'console' && process.stdin.isTTY && chunk.includes(0x1d)) stream.destroy();
    else if (!stream.write(chunk)) {
      process.stdin.pause();
      stream.once('drain', () => process.stdin.resume());
    }
  });
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      print(chunk);
      await printed();
    }
  } catch (cause) {
    if (cause instanceof NotPrinted) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    // We have left it, or it was closed: as good as its end.
    if (code !== 'ERR_STREAM_PREMATURE_CLOSE')
      throw new WspError('unreachable', `the stream to ${target} broke: ${message}`);
  }
  // Nobody hears what may still come on standard input, which ssh keeps open until we end.
  return 0;
}
