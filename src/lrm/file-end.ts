import { open } from 'node:fs/promises';

/** The last `most` bytes of a file as text, and whether they are all; undefined: not to be read. */
export async function endOfFile(
  path: string,
  most: number,
): Promise<{ readonly text: string; readonly isWhole: boolean } | undefined> {
  const file = await open(path, 'r').catch(() => undefined);
  try {
    const { size = 0 } = (await file?.stat()) ?? {};
    const position = Math.max(0, size - most);
    const read = await file?.read({ buffer: Buffer.alloc(most), position });
    return read && { text: read.buffer.toString('utf8', 0, read.bytesRead), isWhole: position === 0 };
  } catch {
    return undefined;
  } finally {
    await file?.close();
  }
}
