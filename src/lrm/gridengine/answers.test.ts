import { describe, expect, it } from 'vitest';
import { answerError, isGone, kindOf, submittedId } from './answers.ts';

/** Answers of Son of Grid Engine 8.1.9, recorded. */

const notRun = (words: string): string => `Unable to run job: ${words}\nExiting.\n`;

describe('report 1: what Grid Engine answers', () => {
  it.each([
    [notRun('Job was rejected because job requests unknown queue "nowhere"')],
    [notRun('job rejected: the requested project "noproj" does not exist')],
    [notRun('job rejected: the requested parallel environment "nope" does not exist')],
    [notRun('unknown resource "nores"')],
    [notRun('error: no suitable queues')],
    [notRun("warning: root's job is not allowed to run in any queue\nerror: no suitable queues")],
    [notRun('error: no suitable queues: commlib error of a node')],
    [notRun('job rejected: root@vm is not allowed to submit jobs')],
    ['qsub: invalid option argument "-zzz"\n'],
    ['mpi is not a parallel environment'],
    ['No cluster queue or queue instance matches the phrase "nowhere"'],
  ])('is a refusal of the request: %j', words => {
    expect(kindOf(1, words)).toBe('refused');
  });

  it.each([
    [25, notRun('job rejected: only 1 jobs are allowed per user (current job count: 1)')],
    [25, notRun('job rejected: only 1 jobs are allowed per cluster')],
    [25, notRun('whatever a JSV says when it lets the job try again')],
    [1, notRun('denied: too many jobs')],
  ])('is a limit that passes: %i %j', (code, words) => {
    expect(kindOf(code, words)).toBe('deferred');
  });

  it.each([
    [
      'error: commlib error: got select error (Connection refused)\nUnable to run job: unable to send message to qmaster using port 42107 on host "vm": got send error.\nExiting.\n',
    ],
    ['error: unable to send message to qmaster using port 9 on host "head": got send error\n'],
    [notRun('failed receiving gdi request response for mid=1 (got syncron message receive timeout error).')],
    [notRun('unable to contact qmaster using port 6444 on host "head"')],
    ['error: fopen("/opt/sge/default/common/act_qmaster") failed: Stale file handle\n'],
    [notRun('denied: host "head" is no submit host')],
    [notRun('something that nobody has heard of')],
    ['sh: 1: fork: Resource temporarily unavailable'],
    [''],
  ])('is not known to be about the request, and is tried again: %j', words => {
    expect(kindOf(1, words)).toBe('unavailable');
  });

  it('is passed on in its words', () => {
    const answer = notRun('job rejected: only 1 jobs are allowed per user (current job count: 1)');
    expect(answerError('Grid Engine did not take the job', 25, answer)).toMatchObject({
      kind: 'deferred',
      message:
        'Grid Engine did not take the job: job rejected: only 1 jobs are allowed per user (current job count: 1)',
    });
    expect(answerError('qdel', 1, '').message).toBe('qdel: exit code 1 and printed nothing');
  });

  it('a job that was submitted with a warning is one that was submitted', () => {
    const warned = notRun(
      'warning: root\'s job is not allowed to run in any queue\nYour job 73 ("wsp-slot-x") has been submitted',
    );
    expect(submittedId('', warned)).toBe('73');
    expect(submittedId('Welcome\n74\n', '')).toBe('74');
    expect(submittedId('', notRun('error: no suitable queues'))).toBeUndefined();
    expect(submittedId('no job 74', '')).toBeUndefined();
    expect(submittedId('74 jobs', '')).toBeUndefined();
  });

  it('what qdel says of a job that is gone is told from what it says when it fails', () => {
    expect(isGone('denied: job "999999" does not exist')).toBe(true);
    expect(isGone('job 5 is already in deletion')).toBe(true);
    expect(isGone('ann has registered the job 5 for deletion')).toBe(true);
    expect(isGone('ann has deleted job 5')).toBe(true);
    expect(isGone('error: commlib error: got select error (Connection refused)')).toBe(false);
    expect(isGone('denied: host "head" is no submit host')).toBe(false);
  });
});
