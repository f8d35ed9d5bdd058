import type { LrmError, LrmJobState, Outlook } from '../lrm.ts';

/**
 * What the words and numbers of PBS mean to us: one table each of refusals and outages, of comments
 * of jobs that wait, and of exit statuses. From the sources of OpenPBS 23.06.06 (pbs_messages.c,
 * fctt of the scheduler's job_info.cpp, job.h), and where they differ from Torque's.
 */

type ErrorKind = LrmError['kind'];

/** What commands say when they fail. The first that matches counts. */
const errors: readonly (readonly [words: RegExp, kind: ErrorKind])[] = [
  // Takes it when jobs have ended.
  [/maximum number of jobs/i, 'deferred'],
  [/would exceed .*limit/i, 'deferred'],
  [/already in (queue|complex)/i, 'deferred'],
  [/'s limit on resource/i, 'deferred'],
  // Takes it when its administrator opens the queue.
  [/queue is not enabled/i, 'deferred'],
  // The server, or the way to it, is not there or not ready.
  [/cannot connect to (default )?server|communication failure|end of file/i, 'unavailable'],
  [/connection (refused|timed out|reset)|no route to host|time-?out/i, 'unavailable'],
  [/server shutting down|resource (temporarily unavailable|busy)|no free connections/i, 'unavailable'],
  [/system error|internal error|protocol error|failed to save job/i, 'unavailable'],
  [/(invalid|expired) credential|pbs_iff|munge/i, 'unavailable'],
  // The request itself.
  [/unknown (queue|resource|node)|undefined attribute|no default queue/i, 'refused'],
  [/illegal|invalid|usage: ?|unrecognized option|duplicate entry|mutually exclusive/i, 'refused'],
  [/violates queue and\/or server|exceeds (allowable|queue resource limits)/i, 'refused'],
  [/access to queue is denied|unauthorized request|bad [ug]id|is too long/i, 'refused'],
  [/rejected by all possible destinations|cannot be used with "select"/i, 'refused'],
  [/unknown job id|nonexistent job id|job has finished|cannot modify attribute/i, 'refused'],
];

/** The exit code when a hook of the site has refused the request (15136): the words are its own. */
const hookExit = 15_136 % 256;

/** What a command's failure means. What is not known is an outage: asking again harms nobody. */
export function errorKind(code: number | null, said: string): ErrorKind {
  const known = errors.find(([words]) => words.test(said))?.[1];
  return known ?? (code === hookExit && said.trim() !== '' ? 'refused' : 'unavailable');
}

/** Comments of jobs that wait, without `Not Running: `. The first that matches counts. */
const waits: readonly (readonly [words: RegExp, outlook: Outlook])[] = [
  [/does not exist|zero shares|invalid job|multi-node job|can't span|largest placement set/i, 'never'],
  [
    /queue not (started|an execution queue)|ineligible state|no pbs license|license server/i,
    'needs-somebody',
  ],
  [/provision(ing)? disabled|pbs error|not available on vnode|ineligible type/i, 'needs-somebody'],
  [/limit|not enough (free )?nodes|not enough of the right type|no available resources/i, 'passes'],
  [/insufficient amount|too few free resources|node is in use|preempt enough/i, 'passes'],
  [/dedicated time|primetime|cross into|interfere|conflict|strict sorted order/i, 'passes'],
  [/altered\/moved during/i, 'passes'],
];

/** Why a job waits, as a sentence without its full stop, and whether it will start by itself. */
export function waitingWords(comment: string): {
  readonly reason: string;
  readonly outlook: Outlook | undefined;
} {
  const [, kind, said] = /^(Not Running|Can Never Run): (.+)$/s.exec(comment) ?? [];
  const words = plain(said ?? comment);
  if (kind === 'Can Never Run') return { reason: `PBS can never run it: ${words}`, outlook: 'never' };
  const reason =
    kind === 'Not Running'
      ? `it waits: ${words}`
      : words === ''
        ? 'PBS has not started it yet and does not say why'
        : `PBS says: ${words}`;
  return { reason, outlook: outlookOf(words) };
}

function outlookOf(words: string): Outlook | undefined {
  const [, asked, total] = /\(R: (\d+)\w* A: \d+\w* T: (\d+)\w*\)/.exec(words) ?? [];
  if (asked !== undefined && Number(asked) > Number(total)) return 'never';
  return waits.find(([known]) => known.test(words))?.[1];
}

/** A comment within a sentence of ours: on one line, without its own full stops. */
export function plain(comment: string): string {
  return comment
    .trim()
    .replace(/\s+/g, ' ')
    .replace(/[.\s]+$/, '')
    .slice(0, 500);
}

type End = readonly [state: LrmJobState, reason: string];

const timeLimit: End = ['timeout', 'the job reached its time limit'];
const restarted: End = ['node-failed', 'pbs_mom of its first node was started anew, and ended the job'];
const more = (what: string): End => ['failed', `PBS ended the job: it used more ${what} than it has`];

/** What both dialects mean by a number. */
const commonEnds: Readonly<Record<number, End>> = {
  [-1]: ['failed', 'PBS could not start the job on its nodes'],
  [-2]: ['failed', 'PBS could not start the job on its nodes'],
  [-3]: ['failed', 'PBS could not start the job on its nodes'],
  [-4]: restarted,
  [-5]: restarted,
  [-6]: restarted,
};

/** OpenPBS's own reasons for an end, in `Exit_status` (job.h, JOB_EXEC_…). */
const openPbsEnds: Readonly<Record<number, End>> = {
  ...commonEnds,
  [-10]: ['failed', 'the nodes do not know the user or group of the job'],
  [-16]: ['failed', 'a hook of the site refused the job'],
  [-17]: ['failed', 'a hook of the site refused the job'],
  [-18]: ['failed', 'a hook of the site ended the job'],
  [-19]: ['failed', 'a hook of the site ended the job'],
  [-20]: ['node-failed', 'PBS lost the first node of the job'],
  [-22]: ['failed', 'a hook of the site failed'],
  [-23]: ['failed', 'the job had no Kerberos credential'],
  [-24]: more('processors'),
  [-25]: more('processors'),
  [-26]: more('virtual memory'),
  [-27]: more('memory'),
  [-28]: more('processor time'),
  [-29]: timeLimit,
  [-30]: ['failed', 'PBS could not start the job on all of its nodes'],
};

/** Torque's (its job.h, JOB_EXEC_…). */
const torqueEnds: Readonly<Record<number, End>> = {
  ...commonEnds,
  [-9]: ['failed', 'PBS could not write the output file of the job in the home of its user'],
  [-10]: more('memory'),
  [-11]: timeLimit,
  [-12]: more('processor time'),
};

/** How a job ended of which PBS gives a number of its own. */
export function endOfNumber(exitStatus: number, isTorque: boolean): End {
  const known = (isTorque ? torqueEnds : openPbsEnds)[exitStatus];
  if (known === timeLimit) return known;
  if (known) return [known[0], `${known[1]} (Exit_status ${exitStatus})`];
  return ['failed', `PBS ended the job (Exit_status ${exitStatus})`];
}
