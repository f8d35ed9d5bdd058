import { resolve } from 'node:path';
import { createClient } from '../../client/client.ts';
import { systemClock } from '../../platform/clock.ts';
import { CommandFailure, systemProcesses } from '../../platform/process.ts';
import { systemRandom } from '../../platform/random.ts';
import {
  type Check,
  failure,
  good,
  nodeVersion,
  reportOf,
  reportText,
  warning,
} from '../../protocol/check.ts';
import { WspError } from '../../protocol/errors.ts';
import type { WspCommand } from '../command.ts';
import type { CommandContext } from '../program.ts';
import { loadHelperPolicy, loadNodeDoctor, loadServiceDoctor } from '../programs.ts';
import { loginMeans } from '../login-means.ts';
import { cliSettings } from '../settings.ts';

interface DoctorOptions {
  readonly config?: string;
  readonly node?: boolean;
  readonly pool?: string;
  readonly qemu?: string;
  readonly workDir?: string;
  readonly images?: string;
}

/** Adds `doctor`, of a service's host (`--config`), a node (`--node`), or a client and node. */
export function addDoctorCommand(program: WspCommand): void {
  program
    .command('doctor')
    .argument('[helper...]', "the helper's command, behind --, when no site file says it")
    .summary('check this host: what works, what is missing, how to fix it')
    .description(
      'Checks this host: what works, what is missing, and how to fix it. It changes nothing, except that it starts the helper and ends it. Without --config and --node it checks the host as a client, and as a node with ordinary settings.',
    )
    .option('--config <file>', "check this host as the service's host, by this site file")
    .option('--node', 'check this host as a node; with --config, as that site wants its nodes')
    .option('--pool <name>', 'with --config and --node: check as the nodes of this pool have to be')
    .option('--qemu <program>', "the name or path of QEMU (default: the site file's, or qemu-system-x86_64)")
    .option(
      '--work-dir <dir>',
      "the jobs' directory on nodes, where logs and disks of VMs are (default: the site file's)",
    )
    .option('--images <dir>', "the directory of images (default: the site file's)")
    .examples(
      'wsp doctor',
      'wsp doctor --config /etc/workspace-pilot/site.yaml',
      'wsp doctor --node -- sudo -n /usr/local/sbin/wsp-helper',
    )
    .does(doctor);
}

async function doctor(
  context: CommandContext,
  helper: readonly string[],
  options: DoctorOptions,
): Promise<number> {
  const checks = [nodeVersion(process.version)];
  const said = expectationsOf(helper, options);
  if (options.config !== undefined) checks.push(...(await examineSite(options.config, said, options)));
  else {
    if (!options.node) checks.push(...(await checkService(context.env)), await checkSsh());
    checks.push(...(await examineNode(said)));
  }
  const report = reportOf(checks);
  context.answer(report, reportText(report));
  return report.ok ? 0 : 1;
}

/** The site's service host, or one of its nodes, or both when they are one. */
async function examineSite(
  file: string,
  said: Partial<Expectations>,
  options: DoctorOptions,
): Promise<readonly Check[]> {
  const { checkSiteFile, examineHost, poolNamed, poolsHere } = await loadServiceDoctor();
  const { checks, config } = checkSiteFile(file);
  if (!config) return checks;
  const { helperPolicyOf } = await loadHelperPolicy();
  const asNode = (
    { node, reaches }: Pick<SiteConfig['pools'][number], 'node' | 'reaches'>,
    images: string | undefined,
  ): Promise<readonly Check[]> =>
    examineNode({
      ...node,
      networks: helperPolicyOf(config, reaches).networks,
      imagesDir: images,
      ...said,
    });
  if (options.node) {
    const wanted =
      options.pool === undefined
        ? { node: config.node, reaches: null }
        : poolNamed(config.pools, options.pool);
    return [...checks, ...(await asNode(wanted, config.imagesDir))];
  }
  const all = [...checks, ...(await examineHost(config)), ...(await openImages(config))];
  const here = poolsHere(config);
  for (const pool of here)
    for (const check of await asNode(pool, undefined))
      all.push(here.length === 1 ? check : { ...check, name: `${pool.name} ${check.name}` });
  return all;
}

/** What of the images cannot be opened as VMs open it; the service's own look tells the rest. */
async function openImages({ pools, imagesDir }: SiteConfig): Promise<readonly Check[]> {
  const { checkImages, openerFor } = await loadNodeDoctor();
  const [opener] = pools.flatMap(({ node }) => openerFor(node.vmm, systemProcesses.run) ?? []);
  if (!opener) return [];
  const checks = await checkImages(imagesDir, opener);
  return checks.filter(({ status }) => status !== 'ok');
}

type SiteConfig = NonNullable<
  ReturnType<Awaited<ReturnType<typeof loadServiceDoctor>>['checkSiteFile']>['config']
>;
type Expectations = Parameters<Awaited<ReturnType<typeof loadNodeDoctor>>['examineNode']>[0];

async function examineNode(wanted: Partial<Expectations>): Promise<readonly Check[]> {
  const { examineNode, ordinaryNode } = await loadNodeDoctor();
  const parts = { run: systemProcesses.run, clock: systemClock, random: systemRandom };
  return await examineNode({ ...ordinaryNode, ...wanted }, parts);
}

/** What the command line says, over what the site file says. */
function expectationsOf(
  helper: readonly string[],
  { qemu, workDir, images }: DoctorOptions,
): Partial<Expectations> {
  return {
    ...(helper.length > 0 ? { helper } : {}),
    ...(qemu === undefined ? {} : { vmm: { kind: 'qemu', binary: qemu, accelerator: 'auto' } }),
    ...(workDir === undefined ? {} : { workDir: resolve(workDir) }),
    ...(images === undefined ? {} : { imagesDir: resolve(images) }),
  };
}

/** Whether `wsp` can be used here: settings, service, token. */
async function checkService(env: NodeJS.ProcessEnv): Promise<readonly Check[]> {
  const checks: Check[] = [];
  let name = 'client';
  try {
    const { serviceUser, ...settings } = cliSettings(env);
    const client = createClient({ ...settings, login: loginMeans(serviceUser) });
    checks.push(good(name, `uses the service at ${client.url}`));
    name = 'service';
    checks.push(good(name, `the service answers; its version is ${(await client.health()).version}`));
    name = 'token';
    const images = await client.listImages();
    checks.push(
      good(name, `the service accepts it; images: ${images.map(image => image.name).join(', ') || 'none'}`),
    );
  } catch (cause) {
    if (!(cause instanceof WspError)) throw cause;
    const tell = name === 'client' ? warning : failure;
    checks.push(tell(name, cause.message, cause.hint ?? 'docs/cli.md says where the settings come from'));
  }
  return checks;
}

async function checkSsh(): Promise<Check> {
  try {
    const { stderr } = await systemProcesses.run(['ssh', '-V'], { deadlineMs: 10_000 });
    return good('ssh', stderr.trim());
  } catch (cause) {
    if (!(cause instanceof CommandFailure)) throw cause;
    return warning('ssh', `${cause.message}: wsp ssh needs it`, 'install it (Debian: openssh-client)');
  }
}
