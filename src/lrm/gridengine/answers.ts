import { oneLine } from '../../platform/one-line.ts';
import { LrmError } from '../lrm.ts';

/**
 * What qsub, qdel and qconf of Grid Engine answer when they do not do what they were asked, and
 * what that means: the one table of the adapter's refusals and outages (what a waiting job is told
 * is in `reasons.ts`). What it does not know is an outage, and is tried again.
 */

/** sge_error_classes: the exit code for "again later", of limits on jobs and of a JSV. */
const again = 25;

/** The request itself is wrong, or the site does not allow it: the same tomorrow. */
const refusals: readonly RegExp[] = [
  /unknown (queue|resource|hostgroup|project)/,
  /requested (project|parallel environment|PE|ckpt\S*|calendar) .*does not exist/,
  /parallel environment .* does not exist|is not a parallel environment/,
  /no cluster queue or queue instance matches/i,
  /no suitable queues/,
  /is not allowed to submit jobs/,
  /(job|request) (was |is )?(rejected|denied)( by|:| because)/i,
  /not (allowed|permitted) to (use|run|access)/,
  /no access to project|has no permission/,
  // The options of the site, read by qsub itself.
  /invalid option argument|unknown option|ERROR! |must have an argument|wrong (argument|usage)/i,
];

/** Grid Engine answers, and takes the request when others have ended. */
const deferrals: readonly RegExp[] = [
  /only \d+ jobs are allowed/,
  /too many (jobs|submitted jobs)/i,
  /(try|submit) (it )?again later/i,
];

/** sge_qmaster could not be asked, whatever else is said with it. */
const outages: readonly RegExp[] = [
  /commlib|gdi (request|failed)|failed receiving gdi/i,
  /(unable|can't|cannot) (to )?(contact|connect|send|reach|resolve|get|read|open (the )?(bootstrap|act_qmaster))/i,
  /connection (refused|reset|timed out)|timeout|not reachable|got (no|select|send|read) (connection|error)/i,
];

/** What kind of answer these words are. `code`: the command's exit code. */
export function kindOf(code: number | null, words: string): LrmError['kind'] {
  const is = (known: readonly RegExp[]): boolean => known.some(pattern => pattern.test(words));
  // qsub first names the qmaster that it cannot reach, and then says that the job was not run.
  if (is(outages) && !/no suitable queues/.test(words)) return 'unavailable';
  if (code === again || is(deferrals)) return 'deferred';
  return is(refusals) ? 'refused' : 'unavailable';
}

/** An answer as an error. `what`: how its message begins: "Grid Engine did not take the job". */
export function answerError(
  what: string,
  code: number | null,
  words: string,
  said = plainWords(words),
): LrmError {
  return new LrmError(kindOf(code, words), `${what}: ${said || `exit code ${code} and printed nothing`}`);
}

/** What a command says, without what all of them say. */
export function plainWords(words: string): string {
  return oneLine(
    words
      .replaceAll(/^Unable to run job: /gm, '')
      .replaceAll(/^Exiting\.\s*$/gm, '')
      .replaceAll(/^(qsub: )?(warning|error|denied): /gim, ''),
  ).replace(/;\s*$/, '');
}

/** The id of a submitted job; of one that was taken with a warning, qsub prints only that. */
export function submittedId(stdout: string, stderr: string): string | undefined {
  const last = stdout.trim().split('\n').at(-1) ?? '';
  if (/^\d+$/.test(last)) return last;
  return /^Your job (?<id>\d+) .* has been submitted$/m.exec(`${stdout}\n${stderr}`)?.groups?.['id'];
}

/** Whether what qdel says means that the job is ended, or is being ended. */
export function isGone(words: string): boolean {
  return /does not exist|is already in deletion|registered .* for deletion|has deleted job/.test(words);
}
