import { describe, expect, it } from 'vitest';
import type { LrmError, Outlook } from '../lrm.ts';
import { errorKind, waitingWords } from './words.ts';

/** Words of OpenPBS 23.06.06 and Torque, from recordings and their sources. */

describe('report 1: what a command that failed means', () => {
  it.each<[string, number, LrmError['kind']]>([
    ['qsub: Unknown queue', 170, 'refused'],
    ['qsub: Illegal attribute or resource value select.ncpus', 166, 'refused'],
    ['qsub: Unauthorized Request ', 159, 'refused'],
    ['qsub: Job violates queue and/or server resource limits', 188, 'refused'],
    ['qsub: Access to queue is denied', 174, 'refused'],
    ['qsub: Bad UID for job execution', 175, 'refused'],
    ['qsub: the chemistry group may not use vms', 15_136 % 256, 'refused'],
    [
      'qsub: submit error (Job exceeds queue resource limits MSG=cannot locate feasible nodes)',
      190,
      'refused',
    ],
    ["qsub: would exceed queue vms's per-user limit of jobs in 'Q' state", 38, 'deferred'],
    ['qsub: Maximum number of jobs for user wsp already in queue vms', 38, 'deferred'],
    ['qsub: Maximum number of jobs already in queue', 198, 'deferred'],
    ['qsub: would exceed limit on resource ncpus in complex', 39, 'deferred'],
    ['qsub: Queue is not enabled', 173, 'deferred'],
    ['Connection refused; qsub: cannot connect to server pbss (errno=15010)', 162, 'unavailable'],
    ['qsub: Request not allowed: Server shutting down', 212, 'unavailable'],
    ['qsub: End of File', 1, 'unavailable'],
    ['qsub: Invalid credential', 171, 'unavailable'],
    ['qsub: System error: Success', 162, 'unavailable'],
    ['pbs_iff: cannot connect to host', 1, 'unavailable'],
    ['Segmentation fault', 139, 'unavailable'],
    ['', 15_136 % 256, 'unavailable'],
  ])('%s', (said, code, kind) => {
    expect(errorKind(code, said)).toBe(kind);
  });
});

describe('site S6: why a job waits, and whether that passes', () => {
  it.each<[string, Outlook | undefined, string]>([
    ['Not Running: Queue not started.', 'needs-somebody', 'it waits: Queue not started'],
    [
      'Not Running: Server job limit has been reached.',
      'passes',
      'it waits: Server job limit has been reached',
    ],
    ['Not Running: Not enough free nodes available', 'passes', 'it waits: Not enough free nodes available'],
    [
      'Not Running: Insufficient amount of resource: mem (R: 3360mb A: 3200mb T: 4200mb)',
      'passes',
      'it waits: Insufficient amount of resource: mem (R: 3360mb A: 3200mb T: 4200mb)',
    ],
    [
      'Not Running: Insufficient amount of resource: ncpus (R: 9 A: 4 T: 8)',
      'never',
      'it waits: Insufficient amount of resource: ncpus (R: 9 A: 4 T: 8)',
    ],
    // All that there is, which is in use.
    [
      'Not Running: Insufficient amount of resource: ncpus (R: 8 A: 4 T: 8)',
      'passes',
      'it waits: Insufficient amount of resource: ncpus (R: 8 A: 4 T: 8)',
    ],
    [
      'Not Running: Job would cross dedicated time boundary',
      'passes',
      'it waits: Job would cross dedicated time boundary',
    ],
    [
      'Not Running: Specified host does not exist: n99',
      'never',
      'it waits: Specified host does not exist: n99',
    ],
    [
      'Can Never Run: Not enough total nodes available',
      'never',
      'PBS can never run it: Not enough total nodes available',
    ],
    ['', undefined, 'PBS has not started it yet and does not say why'],
    ['Ask\nthe desk...', undefined, 'PBS says: Ask the desk'],
  ])('%s', (comment, outlook, reason) => {
    expect(waitingWords(comment)).toEqual({ outlook, reason });
  });
});
