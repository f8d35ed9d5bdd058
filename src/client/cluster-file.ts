import { dirname, resolve } from 'node:path';
import Type, { type Static } from 'typebox';
import { GroupRequest, WorkspaceRequest } from '../protocol/cluster.ts';
import { invalidFile, mistakesIn, parseYaml } from '../protocol/document.ts';
import type { ErrorDetail } from '../protocol/errors.ts';
import { DurationText, MemoryText, PathText } from '../protocol/schema.ts';
import {
  latestMoment,
  momentToCome,
  momentWords,
  parseDurationMs,
  parseMemoryMiB,
} from '../protocol/units.ts';
import { readText, readUserData } from './files.ts';

/**
 * The cluster file (`wsp create -f cluster.yaml`): a `WorkspaceRequest` as people write it.
 *
 *   name: osg                      # optional
 *   duration: 1h                   # optional
 *   project: lattice               # optional: who is charged
 *   pools: [static, batch]         # optional: whose nodes it may have, the best first
 *   sshKeys: [ssh-ed25519 AAAA…]   # optional
 *   startBy: 30m                   # optional: from now, or a time such as 2026-11-23T14:00:00Z
 *   keepPartial, requeue, pending: true, heal: replace   # optional, as the flags of wsp create
 *   groups:
 *     - name: worker
 *       image: mini
 *       count: 2                   # default 1
 *       memory: 256M               # default 256M
 *       cpus: 1                    # default 1
 *       networks: [private]        # optional, in the order of the VM's interfaces
 *       roles: [worker]            # optional
 *       userData: "#!/bin/sh …"    # or { base64: … }; or userDataFile: a path, relative to this file
 */
const { name, image, count, cpus, networks, roles, userData } = GroupRequest.properties;

const ClusterGroup = Type.Object(
  {
    name,
    image,
    count: Type.Optional(count),
    memory: Type.Optional(MemoryText),
    cpus: Type.Optional(cpus),
    networks,
    roles,
    userData,
    userDataFile: Type.Optional(PathText),
  },
  { additionalProperties: false },
);
type ClusterGroup = Static<typeof ClusterGroup>;

/** See above; `docs/cluster-files.md` has each key beside its flag. */
export const ClusterFile = Type.Object(
  {
    name: WorkspaceRequest.properties.name,
    duration: Type.Optional(DurationText),
    project: WorkspaceRequest.properties.project,
    pools: WorkspaceRequest.properties.pools,
    sshKeys: WorkspaceRequest.properties.sshKeys,
    startBy: Type.Optional(Type.String()),
    keepPartial: WorkspaceRequest.properties.keepPartial,
    requeue: WorkspaceRequest.properties.requeue,
    heal: WorkspaceRequest.properties.heal,
    pending: WorkspaceRequest.properties.pending,
    groups: Type.Array(ClusterGroup, { minItems: 1, maxItems: 64 }),
  },
  { additionalProperties: false },
);
export type ClusterFile = Static<typeof ClusterFile>;

/**
 * Reads a cluster file. `now`: what its times are counted from (milliseconds since the epoch).
 * Throws `WspError` (`not_found`; `invalid_file` with all mistakes, each with its path).
 */
export function readClusterFile(path: string, now: number): WorkspaceRequest {
  return parseClusterFile(readText(path, `cluster file ${path}`), path, now);
}

/** A cluster file's text as a request. `path` names it in messages, and is what `userDataFile` is relative to. */
export function parseClusterFile(text: string, path: string, now: number): WorkspaceRequest {
  const document = parseYaml(text, path);
  const mistakes = mistakesIn(ClusterFile, document);
  if (mistakes.length > 0) throw invalidFile(path, mistakes);
  const { duration, startBy, groups, ...same } = document as ClusterFile;

  const details: ErrorDetail[] = [];
  const request: WorkspaceRequest = {
    ...same,
    ...(duration === undefined ? {} : { durationMs: parseDurationMs(duration) ?? 0 }),
    ...(startBy === undefined ? {} : { startBy: startByOf(startBy, now, details) }),
    groups: groups.map((group, index) => groupRequest(group, `groups[${index}]`, dirname(path), details)),
  };
  for (const [index, group] of groups.entries()) {
    const first = groups.findIndex(other => other.name === group.name);
    if (first !== index)
      details.push({ path: `groups[${index}].name`, message: `is the name of groups[${first}] too` });
  }
  // The request's own limits, told with the names that the file has for them.
  for (const { path: at, message } of mistakesIn(WorkspaceRequest, request))
    details.push({ path: at.replace('memoryMiB', 'memory').replace('durationMs', 'duration'), message });
  if (details.length > 0) throw invalidFile(path, details);
  return request;
}

function startByOf(text: string, now: number, details: ErrorDetail[]): string {
  const at = momentToCome(text, now);
  if (at !== undefined && at <= latestMoment) return new Date(at).toISOString();
  const message = `must be a time from now such as 30m, or ${momentWords} (it is "${text}")`;
  details.push({ path: 'startBy', message });
  return new Date(now).toISOString();
}

function groupRequest(
  group: ClusterGroup,
  at: string,
  directory: string,
  details: ErrorDetail[],
): GroupRequest {
  const { memory = '256M', userDataFile, count = 1, cpus = 1, ...same } = group;
  const request = { ...same, count, cpus, memoryMiB: parseMemoryMiB(memory) ?? 0 };
  if (userDataFile === undefined) return request;
  const wrong = (message: string): GroupRequest => {
    details.push({ path: `${at}.userDataFile`, message });
    return request;
  };
  if (same.userData !== undefined) return wrong('cannot be used together with userData');
  try {
    return { ...request, userData: readUserData(resolve(directory, userDataFile), 'the file') };
  } catch (cause) {
    return wrong((cause as Error).message);
  }
}
