import type { Lrm } from '../../src/lrm/lrm.ts';
import { slurm } from '../../src/lrm/slurm/slurm.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import type { SlurmCluster } from './slurm.ts';
import { siteTerms } from './slurm-conf.ts';

/**
 * The adapter as the site's service has it: Slurm's commands are run as its user, and jobs get the
 * site file's queue, account and options. `changed`: what becomes of a batch script on its way.
 */
export function serviceLrm(
  { conf, node, account }: Pick<SlurmCluster, 'conf' | 'node' | 'account'>,
  changed: (script: string) => string = script => script,
): Lrm {
  const { queue, options } = siteTerms;
  const lrm = slurm(
    { conf, node, queue, options },
    {
      run: (argv, how) =>
        systemProcesses.run(account.as(argv), {
          ...how,
          env: { ...how.env, ...account.env },
          input: how.input === undefined ? undefined : changed(how.input),
        }),
    },
    { uid: account.id },
  );
  return {
    ...lrm,
    submit: request =>
      lrm.submit({
        queue,
        account: siteTerms.account,
        ...request,
        options: [...options, ...request.options],
      }),
  };
}
