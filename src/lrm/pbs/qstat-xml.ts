import { secondsOf } from '../commands.ts';
import { isNode, nodesOf, parseXml, textOf, type XmlNode } from '../xml.ts';
import { garbage, numberOf, type PbsJob, pbsJob, sizeMiB } from './job.ts';
import type { PbsLimits, PbsNode } from './server.ts';

/** `qstat -x` and `pbsnodes -x` of Torque (qstat(1B); recorded). Times: seconds since the epoch. */

/** Our jobs (`wsp-…`) among those of an answer. Throws `LrmError` (`unavailable`). */
export function parseXmlJobs(stdout: string): readonly PbsJob[] {
  return jobNodes(stdout)
    .filter(job => textOf(job['Job_Name']).startsWith('wsp-'))
    .map(toPbsJob);
}

/** The hosts of `pbsnodes -x`. Throws `LrmError` (`unavailable`). */
export function parseXmlNodes(stdout: string): readonly PbsNode[] {
  const data = parseXml(stdout, 'pbsnodes')['Data'];
  if (!isNode(data)) throw garbage('pbsnodes', 'XML', stdout);
  return nodesOf(data['Node']).map(node => {
    const status = new Map(
      textOf(node['status'])
        .split(',')
        .map(each => [each.replace(/=.*$/s, ''), each.replace(/^[^=]*=/, '')]),
    );
    return {
      name: textOf(node['name']).split('.')[0] ?? '',
      idle: textOf(node['state']) === 'free' && textOf(node['jobs']) === '',
      cpus: Number(textOf(node['np'])) || 0,
      memoryMiB: sizeMiB(status.get('physmem') ?? '') ?? 0,
      queue: undefined,
    };
  });
}

/**
 * Limits by name, of Torque's `qstat -Q -f` or `qstat -B -f`, which it prints as text: a line `Queue: name` or `Server: name`, then lines `    key = value`.
 * Throws `LrmError` (`unavailable`).
 */
export function parseTextLimits(
  stdout: string,
): ReadonlyMap<string, PbsLimits & { readonly isActive: boolean }> {
  const blocks = stdout.split(/^(?=(?:Queue|Server): )/m).filter(block => /^(?:Queue|Server): /.test(block));
  if (blocks.length === 0) throw garbage('qstat', 'XML', stdout);
  return new Map(
    blocks.map(block => {
      const name = /^\w+: (\S+)/.exec(block)?.[1] ?? '';
      const values = new Map(
        [...block.matchAll(/^ {4}(\S+) = (.*)$/gm)].map(([, key = '', value = '']) => [key, value]),
      );
      const killDelay = values.get('kill_delay');
      return [
        name,
        {
          maxWalltimeSeconds: secondsOf(values.get('resources_max.walltime') ?? ''),
          killDelaySeconds: killDelay === undefined ? undefined : Number(killDelay),
          isEnabled: values.get('enabled') !== 'False',
          defaultQueue: values.get('default_queue'),
          isActive: values.get('server_state') === 'Active',
        },
      ];
    }),
  );
}

/** The jobs of an answer: all; or ours alone when one of anybody's has text in it that is no XML. */
function jobNodes(stdout: string): readonly XmlNode[] {
  try {
    const data = parseXml(stdout, 'qstat')['Data'];
    if (isNode(data)) return nodesOf(data['Job']);
    // `<Data></Data>`
    if (data === '') return [];
  } catch (cause) {
    if (!/<Data>.*<\/Data>\s*$/s.test(stdout)) throw cause;
    return [...stdout.matchAll(/<Job>.*?<\/Job>/gs)]
      .map(([job]) => job)
      .filter(job => job.includes('<Job_Name>wsp-'))
      .flatMap(job => nodesOf(parseXml(job, 'qstat')['Job']));
  }
  throw garbage('qstat', 'XML', stdout);
}

function toPbsJob(job: XmlNode): PbsJob {
  return pbsJob(job, {
    jobId: textOf(job['Job_Id']),
    startedAt: time(job['start_time']),
    endedAt: time(job['comp_time']),
    // Torque's own scheduler makes none; Maui and Moab do not tell Torque.
    estimatedStartAt: undefined,
    exitStatus: numberOf(job['exit_status']),
  });
}

function time(value: unknown): number | undefined {
  const seconds = Number(textOf(value));
  return seconds > 0 ? seconds * 1_000 : undefined;
}
