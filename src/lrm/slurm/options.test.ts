import { describe, expect, it } from 'vitest';
import { optionMistakes } from '../index.ts';

const mistakes = (...options: readonly string[]) => optionMistakes('slurm', options);

describe('report 5 options of sbatch that a site may not set', () => {
  it.each([
    ['--clusters=other', /lrm\.conf/],
    ['-Mother', /--clusters/],
    ['--job-name=mine', /finds its jobs by their names/],
    ['-J', /--job-name/],
    ['--array=1-3', /a lease is one job/],
    ['--arr=1-3', /may be short for --array/],
    ['--wrap=sleep 1', /the job's program is the pilot/],
    ['--nodes=7', /what a lease asks for/],
    ['-N7', /--nodes/],
    ['--mem-per-cpu=1G', /what a lease asks for/],
    ['-o/tmp/out', /--output/],
    ['--error=/tmp/out', /wsp show/],
    ['--parsable', /sets it itself/],
    ['--requeue', /wsp create --requeue/],
    ['-H', /--hold/],
    ['-QvH', /-H \(--hold\)/],
    ['-W', /--wait/],
    ['--partition=long', /set lrm\.queue/],
    ['--signal=USR1@60', /end of its lease/],
    ['--test-only', /--dry-run/],
    ['job.sh', /is no option of sbatch/],
    ['--', /is no option/],
    ['', /an empty argument/],
  ])('%s is refused, with what to use instead', (option, message) => {
    expect(mistakes('--qos=leases', option)).toEqual([
      { index: 1, message: expect.stringMatching(message) as string },
    ]);
  });

  it.each([
    ['--constraint=kvm&ib'],
    ['--constraint', 'kvm'],
    ['-C', 'kvm'],
    ['-Cnode'],
    ['-sC', 'kvm'],
    ['--account=physics', '--qos', 'leases', '--exclusive', '--reservation=maint', '-xn01', '--nice=5'],
    ['--mem-bind=local', '--no-requeue', '--gres=gpu:1', '--export-file=3', '--mail-user=a@example.org'],
  ])('%s is left to the site', (...options) => {
    expect(mistakes(...options)).toEqual([]);
  });

  it('an argument after an option without a value is none of its', () => {
    expect(mistakes('--exclusive', 'job.sh', '-s', 'job.sh', '-C', ':').map(({ index }) => index)).toEqual([
      1, 3, 5,
    ]);
  });
});
