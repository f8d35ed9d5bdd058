import { oneLine } from '../../platform/one-line.ts';
import { LrmError } from '../lrm.ts';

/**
 * What Slurm's commands say when they have not done what they were asked for (slurm_strerror(3)).
 * Known are the words about the request itself (`refused`), and those about what passes
 * (`deferred`); everything else, such as a controller in standby, a munged that restarts, a
 * configuration that cannot be read for a moment, is an outage.
 */
const refusals: readonly RegExp[] = [
  /Invalid (partition name|node name|feature|account|qos|wckey|license|generic resource|GRES|time|mcs_label|Trackable RESource|preferred feature|extra constraints|cluster feature|job array)/i,
  /Invalid or unknown association|Invalid (user|group|job) id|Invalid --?\S+/i,
  /No partition specified|not permitted to use this partition|not in this partition/i,
  /(More processors requested than permitted|(Node count|CPU count|Task count|Task distribution) specification invalid)/i,
  /Requested (node|topology) configuration is not available|Memory required by task is not available/i,
  /(Requested time limit is invalid|Time limit specification required|Job size specification needs)/i,
  /(Access\/permission denied|Access denied to requested reservation|Requested reservation is invalid|Burst Buffer (permission|request))/i,
  /(Job dependency problem|Circular job dependency|Pathname of a file|Requested operation not supported|Multiple partition job request not supported)/i,
  /(Requested GRES option|Insufficient GRES|Job --batch option)/i,
  /Job (has already finished|is not pending nor running|is not running)/i,
];

const deferrals: readonly RegExp[] = [
  /MaxJobCount limit reached|System submissions disabled|Licenses currently unavailable/i,
  /(Requested partition configuration|Required (partition|node)) not available|Partition in DOWN state|Requested nodes are busy/i,
  /breached requested QOS usage threshold|Rate limit exceeded/i,
  /Requested reservation (is in use|not usable now)|Job can not be altered now/i,
];

/** One of its limits, which one stands on a line before. */
const policy = /violates accounting\/QOS policy/i;
const limitOfJob = /\b(Assoc|QOS)(Max\w+Per(Job|Node)|Min|Grp)/;

/** What getopt(3) and sbatch itself say of arguments. */
const badArgument =
  /^sbatch: (error: )?(unrecognized option|invalid option|option .*(ambiguous|argument)|invalid --|.* is not a valid )/im;

/** The job is not there any more, or ends already. */
const gone = /Invalid job id specified|already completing or completed/i;

/** The line that says what became of the request; others may be of the site's submit plugin. */
function verdictOf(stderr: string): string {
  const lines = stderr.trim().split('\n');
  const says = (line: string): boolean =>
    /submission failed:|allocation failure:|update error|Kill job error/i.test(line);
  return lines.findLast(says) ?? lines.at(-1) ?? '';
}

/** What kind of answer this is of a command that has failed. */
function kindOf(stderr: string): LrmError['kind'] {
  const verdict = verdictOf(stderr);
  if (policy.test(verdict)) return limitOfJob.test(stderr) && !/Submit/.test(stderr) ? 'refused' : 'deferred';
  if (refusals.some(words => words.test(verdict)) || badArgument.test(stderr)) return 'refused';
  return deferrals.some(words => words.test(verdict)) ? 'deferred' : 'unavailable';
}

/** The error for what a command printed when it failed; `doing` says what it should have done. */
export function failureOf(doing: string, command: string, stderr: string, code: number | null): LrmError {
  const words = oneLine(stderr.replace(/^(sbatch|scontrol|scancel): (error: )?/gm, ''));
  return new LrmError(
    kindOf(stderr),
    `${doing}: ${words || `${command} exited with ${code ?? 'a signal'} and printed nothing`}`,
  );
}

/** Whether a command failed only because its job is over. */
export function saysGone(stderr: string): boolean {
  return gone.test(verdictOf(stderr));
}
