import { hostname } from 'node:os';
import { nodeNamePattern, slotIdPattern } from '../protocol/ids.ts';
import type { SlotAssignment } from '../protocol/pilot.ts';
import { latestMoment } from '../protocol/units.ts';

/** Checks what the pilot itself relies on; the service made the rest from types. Throws with the field's name. */
export function checkAssignment(value: unknown): SlotAssignment {
  const assignment = value as SlotAssignment;
  const wrong =
    typeof value !== 'object' || value === null
      ? 'it is not an object'
      : !new RegExp(slotIdPattern).test(assignment.slotId)
        ? 'slotId is not a slot id'
        : typeof assignment.secret !== 'string' || assignment.secret.length < 16
          ? 'secret is missing'
          : !/^https?:\/\//.test(assignment.serviceUrl)
            ? 'serviceUrl is not an http(s) URL'
            : !Array.isArray(assignment.transports) || assignment.transports.length === 0
              ? 'transports is empty'
              : !assignment.node?.workDir?.startsWith('/')
                ? 'node.workDir is not an absolute path'
                : undefined;
  if (wrong) throw new Error(`bad slot assignment: ${wrong}`);
  return assignment;
}

/** The node's name as the LRM knows it: the first of the LRM's variables that is set, else the short host name. */
export function nodeNameFrom(assignment: SlotAssignment, env: NodeJS.ProcessEnv): string {
  const name =
    assignment.nodeNameEnv.map(variable => env[variable]).find(Boolean) ?? hostname().split('.')[0] ?? '';
  if (!new RegExp(nodeNamePattern).test(name))
    throw new Error(`the node's name ${JSON.stringify(name)} is not a name`);
  return name;
}

/** When the job ends, milliseconds since the epoch: from the LRM if it tells, else start plus walltime. */
export function jobEndFrom(assignment: SlotAssignment, env: NodeJS.ProcessEnv, now: number): number {
  const told = assignment.jobEndEnv
    .map(variable => Math.floor(Number(env[variable]) * 1_000))
    .find(at => at > 0 && at <= latestMoment);
  return told ?? now + assignment.walltimeMs;
}
