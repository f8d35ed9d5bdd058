import { describe, expect, it } from 'vitest';
import { optionMistakes } from '../index.ts';

const mistakes = (...options: readonly string[]) => optionMistakes('gridengine', options);

describe('report 5 options of qsub that a site may not set', () => {
  it.each([
    [['-t', '1-3'], /a lease is one job/],
    [['-N', 'mine'], /finds its jobs by their names/],
    [['-terse'], /sets it itself/],
    [['-sync', 'y'], /would wait for the job to end/],
    [['-now', 'y'], /waits in the queue/],
    [['-o', '/tmp/out'], /wsp show/],
    [['-j', 'n'], /wsp show/],
    [['-e', '/tmp/out'], /wsp show/],
    [['-S', '/bin/csh'], /the job's program is the pilot/],
    [['-notify'], /sets it itself/],
    [['-r', 'y'], /wsp create --requeue/],
    [['-h'], /until somebody released its job/],
    [['-hold_jid', '7'], /until somebody released its job/],
    [['-q', 'long.q'], /set lrm\.queue/],
    [['-P', 'physics'], /set lrm\.account/],
    [['-pe', 'mpi', '4'], /set lrm\.parallelEnvironments/],
    [['-l', 'kvm=1,h_rt=60'], /what a lease asks for/],
    [['-w', 'n'], /sets it itself/],
    [['-verify'], /--dry-run/],
    [['-clear'], /takes back/],
    [['-@', '/etc/options'], /another file/],
    [['-l'], /no value after it/],
    [['job.sh'], /is no option of qsub/],
    [['-zzz'], /is no option of qsub/],
    [['--'], /is no option/],
    [[''], /an empty argument/],
  ])('%j is refused, with what to use instead', (options, message) => {
    expect(mistakes('-A', 'leases', ...options)[0]).toEqual({
      index: 2,
      message: expect.stringMatching(message) as string,
    });
  });

  it.each([
    ['-l', 'kvm=1,arch=lx-amd64', '-hard', '-p', '-100', '-R', 'y'],
    ['-binding', 'linear:2'],
    ['-binding', 'env', 'linear:2'],
    ['-a', '203701010000', '-soft', '-l', 'h_stack=1G', '-masterq', 'big.q', '-V'],
    ['-v', 'SITE=a b', '-js', '3', '-m', 'a', '-M', 'ops@example.org', '-jsv', '/opt/sge/jsv'],
  ])('%s is left to the site', (...options) => {
    expect(mistakes(...options)).toEqual([]);
  });

  it('an argument after an option without a value is none of its', () => {
    expect(mistakes('-V', 'job.sh', '-l', '-h', '-h').map(({ index }) => index)).toEqual([1, 4]);
  });
});
