import type { Outlook } from '../lrm.ts';

/** Why a job waits: in words, and whether that passes. */
export interface Waiting {
  readonly reason: string;
  readonly outlook?: Outlook;
}

type Row = readonly [pattern: RegExp, outlook: Outlook, words: string];

/** squeue(1), JOB REASON CODES; the first that fits counts. `$1`: what the limit is of. */
const reasons: readonly Row[] = [
  [/^JobHeldUser$/, 'needs-somebody', 'the job is held by its user (scontrol release lets it go)'],
  [/^JobHeldAdmin$/, 'needs-somebody', 'the job is held by an administrator'],
  [/^JobHoldMaxRequeue$/, 'needs-somebody', 'the job is held: it was started too often'],
  [/^(JobLaunchFailure|launch failed)/, 'needs-somebody', 'the job is held: Slurm could not launch it'],
  [/^Priority$/, 'passes', 'jobs of higher priority start before it'],
  [/^Resources$/, 'passes', 'it waits for nodes to become free'],
  [/^BeginTime$/, 'passes', 'its earliest start has not been reached'],
  [/^Dependency$/, 'passes', 'it waits for another job'],
  [/^DependencyNeverSatisfied$/, 'never', 'it waits for another job that had to succeed and did not'],
  [/^Licenses$/, 'passes', 'it waits for a licence to become free'],
  [/^Reservation$/, 'passes', 'it waits for its reservation'],
  [/^Reservation(Deleted|Invalid)$/, 'never', 'its reservation no longer exists'],
  [/^Cleaning$/, 'passes', 'Slurm is cleaning up after its last run'],
  [/^(BurstBuffer\w*|SchedDefer|WaitingForScheduling|FedJobLock)$/, 'passes', 'Slurm is preparing it'],
  [/^PartitionDown$/, 'needs-somebody', 'its queue is down'],
  [/^PartitionInactive$/, 'needs-somebody', 'its queue is inactive'],
  [/^PartitionConfig$/, 'needs-somebody', 'it wants more than the nodes of its queue can give now'],
  [/^PartitionNodeLimit$/, 'never', "it wants more nodes than its queue's limit"],
  [/^PartitionTimeLimit$/, 'never', "it wants more time than its queue's limit"],
  [/^MaxMemPerLimit$/, 'never', 'it wants more memory than Slurm lets a job have'],
  [/^BadConstraints$/, 'never', 'no nodes fulfil its constraints'],
  [/May be reserved for other job/, 'passes', 'nodes that it needs are reserved for another job'],
  [
    /^(ReqNodeNotAvail|Nodes required for job are)/,
    'needs-somebody',
    'nodes that it needs are down, drained or reserved',
  ],
  [/^(NodeDown|FrontEndDown)$/, 'needs-somebody', 'a node that it needs is down'],
  [/^(Power\w+)$/, 'passes', 'the power that the site may use is used up'],
  [/^(InvalidAccount|AccountNotAllowed)$/, 'needs-somebody', 'its account may not use its queue'],
  [/^(InvalidQOS|QOSNotAllowed)$/, 'needs-somebody', 'its quality of service may not be used there'],
  [/^(QOSUsageThreshold|Association\w*TimeLimit|QOSTimeLimit)$/, 'needs-somebody', 'its share is used up'],
  // Of the job itself.
  [
    /^(?:Assoc|QOS)Max(\w+?)Minutes?PerJob/,
    'never',
    'it wants more $1 for its time than one job may have here',
  ],
  [/^(?:Assoc|QOS)Max(\w+?)Per(?:Job|Node)/, 'never', 'it wants more $1 than one job may have here'],
  [/^QOSMin(\w+?)(?:NotSatisfied)?$/, 'never', 'it wants less $1 than a job must have here'],
  // Of all that its user or its account has.
  [/^(?:Assoc|QOS)Grp(\w+?)RunMinutes/, 'passes', 'the limit of $1 for running jobs is reached'],
  [/^(?:Assoc|QOS)Grp(\w+?)Minutes/, 'needs-somebody', 'the budget of $1 is used up'],
  [/^(?:Assoc|QOS)GrpWall/, 'needs-somebody', 'the budget of time is used up'],
  [/^(?:Assoc|QOS)Grp(\w+?)(?:Limit)?$/, 'passes', "the limit of $1 of its account's jobs is reached"],
  [/^(?:QOS)?Max(\w+?)PerUser(?:Limit)?$/, 'passes', "its user's limit of $1 is reached"],
  [/^(?:QOS)?Max(\w+?)PerAccount$/, 'passes', "its account's limit of $1 is reached"],
  [/^AssocMax(\w+?)Limit$/, 'passes', "its user's limit of $1 is reached"],
  [/^(?:Association|QOS)(Job|Resource)Limit$/, 'passes', 'a limit of $1s is reached'],
];

/** What Slurm's limits are of, in people's words; others stay as Slurm has them. */
const things: Readonly<Record<string, string>> = {
  Cpu: 'processors',
  CPU: 'processors',
  Mem: 'memory',
  Memory: 'memory',
  Node: 'nodes',
  WallDuration: 'time',
  Wall: 'time',
  Jobs: 'running jobs',
  Job: 'job',
  Resource: 'resource',
  SubmitJob: 'waiting and running jobs',
  SubmitJobs: 'waiting and running jobs',
  License: 'licences',
};

/** What Slurm's word for why a job waits means; one that is not known is told as it is. */
export function waitingFor(said: string): Waiting | undefined {
  if (said === '' || said === 'None') return undefined;
  for (const [pattern, outlook, words] of reasons) {
    const found = pattern.exec(said);
    if (!found) continue;
    const thing = found[1] ?? '';
    const reason = words.replace('$1', things[thing] ?? thing);
    // A limit is known to its administrators by its own word.
    return { reason: words.includes('$1') ? `${reason} (${said})` : reason, outlook };
  }
  return { reason: `Slurm says: ${said}` };
}
