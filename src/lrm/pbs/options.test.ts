import { describe, expect, it } from 'vitest';
import { optionMistakes } from '../index.ts';

const mistakes = (...options: readonly string[]) => optionMistakes('pbs', options);

describe('report 5 options of qsub that a site may not set', () => {
  it.each([
    [['-J', '1-3'], /a lease is one job/],
    [['-t1-3'], /a lease is one job/],
    [['-N', 'mine'], /finds its jobs by their names/],
    [['-o', '/dev/null'], /-o cannot be used: .*wsp show/],
    [['-e/tmp/err'], /-e cannot be used/],
    [['-koe'], /-k cannot be used/],
    [['-j', 'oe'], /-j cannot be used/],
    [['-Rdoe'], /-R cannot be used/],
    [['-r', 'y'], /wsp create --requeue/],
    [['-h'], /somebody released its job/],
    [['-Vh'], /-h cannot be used/],
    [['-I'], /no terminal/],
    [['-z'], /the job's id/],
    [['-q', 'long'], /set lrm\.queue/],
    [['-S', '/bin/csh'], /one of sh/],
    [['-Wblock=true'], /-W block .*wait for the job to end/],
    [['-W', 'umask=022,depend=afterok:17'], /-W umask/],
    [['-W', 'depend=afterok:17'], /depends on no other job/],
    [['-W', 'sandbox=PRIVATE'], /-W sandbox/],
    [['-l', 'walltime=1:00'], /-l walltime .*what a lease asks for/],
    [['-lselect=2:ncpus=1'], /-l select/],
    [['job.sh'], /no option of qsub/],
    [[''], /an empty argument/],
    [['--'], /no option of qsub/],
  ])('%j is refused, with what to use instead', (options, message) => {
    expect(mistakes('-P', 'lab', ...options)).toEqual([
      { index: 2, message: expect.stringMatching(message) as string },
    ]);
  });

  it.each([
    [['-P', 'lab', '-p', '10', '-W', 'group_list=physics', '-M', 'a@example.org']],
    [['-l', 'place_x=1', '-lscratch=10gb', '-a', '1200', '-VA', 'physics']],
    [['-P', '-N']],
  ])('%j is left to the site', options => {
    expect(mistakes(...options)).toEqual([]);
  });
});
