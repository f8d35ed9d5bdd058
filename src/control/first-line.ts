import { CommandFailure, type ProcessRunner } from '../platform/process.ts';

const deadlineMs = 10_000;

/** What a program says first, one of sbin too; `ok` when it could be run, and ended well. */
export async function firstLine(
  argv: readonly [string, ...string[]],
  run: ProcessRunner['run'],
): Promise<{ readonly ok: boolean; readonly line: string }> {
  try {
    // The PATH of a job may be without sbin.
    const PATH = `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`;
    const { code, stdout, stderr } = await run(argv, { deadlineMs, env: { ...process.env, PATH } });
    const line = `${stdout}\n${stderr}`.trim().split('\n')[0] ?? '';
    return code === 0
      ? { ok: true, line }
      : { ok: false, line: `${argv[0]} ends with exit code ${code}: ${line}` };
  } catch (cause) {
    if (!(cause instanceof CommandFailure)) throw cause;
    return { ok: false, line: cause.message };
  }
}
