/** `wsp doctor`: what was looked at on a host, how it is, and what to do about it. The shape of its `--json`. */
export interface Check {
  /** Stable: what was looked at, for example `accelerator` or `image mini`. */
  readonly name: string;
  /** `warn`: it works, but not as one would wish, or only for some. `fail`: leases cannot work like this. */
  readonly status: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** What to do, when it is not ok. */
  readonly fix?: string;
}

/** What `wsp doctor --json` prints. */
export interface DoctorReport {
  /** No check fails. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

/** A check that found nothing to do. */
export function good(name: string, message: string): Check {
  return { name, status: 'ok', message };
}

/** A check that found something worth knowing. */
export function warning(name: string, message: string, fix: string): Check {
  return { name, status: 'warn', message, fix };
}

/** A check that found what must be repaired. */
export function failure(name: string, message: string, fix: string): Check {
  return { name, status: 'fail', message, fix };
}

/** Whether leases cannot work with what the check has found. */
export function isFailed({ status }: Check): boolean {
  return status === 'fail';
}

/** The report over some checks. */
export function reportOf(checks: readonly Check[]): DoctorReport {
  return { ok: !checks.some(isFailed), checks };
}

/** One line for each check, and below it the fix when there is one. */
export function reportText({ checks }: DoctorReport): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, status, message, fix }) => [
    `${status.padEnd(4)}  ${name.padEnd(width)}  ${message}`,
    ...(fix === undefined ? [] : [`${' '.repeat(width + 8)}→ ${fix}`]),
  ]);
  const count = (wanted: Check['status']): number => checks.filter(({ status }) => status === wanted).length;
  return `${lines.join('\n')}\n${count('ok')} ok, ${count('warn')} warnings, ${count('fail')} failures\n`;
}

/** The versions of Node.js that all is tested on: `scripts/node-versions` has them in full. */
const supportedNodes: readonly number[] = [20, 22, 24];

/** Node.js itself. `version`: as in `process.version`. */
export function nodeVersion(version: string): Check {
  const name = 'nodejs';
  const major = Number.parseInt(version.replace(/^v/, ''), 10);
  if (supportedNodes.includes(major)) return good(name, `Node.js ${version}`);
  const fix = `install Node.js ${supportedNodes.slice(0, -1).join(', ')} or ${supportedNodes.at(-1)}`;
  return major < Math.min(...supportedNodes)
    ? failure(name, `Node.js ${version} is too old`, fix)
    : warning(name, `Node.js ${version} is not one that this was tested on`, fix);
}
