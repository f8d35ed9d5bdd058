import { createServer } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { lrmKind, openLrm } from '../lrm/index.ts';
import type { GangSite } from '../lrm/kind.ts';
import { type Lrm, LrmError, type LrmCapabilities } from '../lrm/lrm.ts';
import { roomFor, sharedWith } from '../platform/directory.ts';
import { systemRandom } from '../platform/random.ts';
import { statIfThere } from '../platform/stat.ts';
import { type Check, failure, good, warning } from '../protocol/check.ts';
import { WspError } from '../protocol/errors.ts';
import { formatDuration } from '../protocol/units.ts';
import { imageCatalogue } from './images/images.ts';
import { gangRequest } from './lrm/effects.ts';
import { listenOn } from './api/listening.ts';
import { examineSite, type SiteConfig } from './config/site.ts';
import { type PoolConfig, poolNamed } from './config/site-pools.ts';
import { loadTokens } from './access/tokens.ts';
import { messageOf } from '../platform/message-of.ts';

export { poolNamed };

/** Every mistake of a site file, as one check each; `config` when the file's shape is right. */
export function checkSiteFile(file: string): {
  readonly checks: readonly Check[];
  readonly config: SiteConfig | undefined;
} {
  const name = 'site-file';
  const fix = `correct it in ${file}; docs/admin/install.md explains every key`;
  try {
    const { config, mistakes } = examineSite(file);
    const checks = mistakes.map(({ path, message }) => failure(name, `${path}: ${message}`, fix));
    return { checks: checks.length > 0 ? checks : [good(name, `${file} has no mistake`)], config };
  } catch (cause) {
    if (!(cause instanceof WspError)) throw cause;
    return { checks: [failure(name, cause.message, fix)], config: undefined };
  }
}

/** Whether the service could start here, as this user. Makes nothing; rejects for no finding. */
export async function examineHost(config: SiteConfig): Promise<readonly Check[]> {
  return [
    await checkStateDir(config.stateDir),
    checkTokens(config.tokensFile),
    ...checkImages(config.imagesDir),
    ...(await Promise.all(config.pools.map(pool => checkPool(pool, config)))).flat(),
    await checkListening(config.listen),
    checkNodesUrl(config),
  ];
}

/** The pools whose nodes are this host; of those that use it alike only the first. */
export function poolsHere({ pools }: SiteConfig): readonly PoolConfig[] {
  const here = pools.filter(({ lrm }) => lrmKind(lrm).onThisHost);
  return here.filter(({ node }, at) => !here.slice(0, at).some(other => isDeepStrictEqual(other.node, node)));
}

/** The database is small; a full disk stops the service. */
const comfortableMiB = 512;

async function checkStateDir(stateDir: string): Promise<Check> {
  const name = 'state-dir';
  try {
    const { path, freeMiB } = await roomFor(stateDir);
    if (freeMiB < comfortableMiB)
      return warning(name, `${freeMiB} MiB free in ${path}`, 'make room, or move service.stateDir');
    const stat = statIfThere(stateDir);
    if (!stat)
      return good(name, `the service makes ${stateDir} at its first start; ${freeMiB} MiB are free there`);
    const shared = sharedWith(stateDir);
    if (shared !== undefined)
      return failure(
        name,
        `${stateDir} is not the service's alone: ${shared}`,
        'name another service.stateDir',
      );
    if ((stat.mode & 0o077) !== 0)
      return warning(name, `others can look into ${stateDir}, which holds secrets`, `chmod 700 ${stateDir}`);
    return good(name, `${stateDir} can be written to, ${freeMiB} MiB free`);
  } catch (cause) {
    const fix = "make it and give it to the service's user, or set service.stateDir";
    return failure(name, `${stateDir} cannot be written to: ${messageOf(cause)}`, fix);
  }
}

function checkTokens(file: string): Check {
  const name = 'tokens-file';
  try {
    // `loadTokens` would make it.
    if (!statIfThere(file))
      return warning(
        name,
        `${file} is not there`,
        'the service makes it at its first start, with a token for admin',
      );
    loadTokens(file, systemRandom);
    return good(name, `only its owner can read ${file}, which holds tokens`);
  } catch (cause) {
    return failure(
      name,
      messageOf(cause),
      `one line "user token" for each user, mode 0600, owned by the service's user`,
    );
  }
}

function checkImages(imagesDir: string): readonly Check[] {
  const { images, problems } = imageCatalogue(imagesDir, () => undefined).read();
  if (images.length + problems.length === 0)
    return [
      failure(
        'images',
        `there is no image in ${imagesDir}`,
        'make setup builds the mini image; guest/README.md says what an image is',
      ),
    ];
  return [
    ...images.map(({ manifest, sizeBytes }) =>
      good(`image ${manifest.name}`, `${Math.ceil(sizeBytes / 1_048_576)} MiB: ${manifest.description}`),
    ),
    ...problems.map(({ directory, message }) =>
      failure('images', `${directory}: ${message}`, 'repair it, or take it out of images.dir'),
    ),
  ];
}

async function checkPool(
  { at: name, lrm: settings, gang }: PoolConfig,
  { leases }: SiteConfig,
): Promise<readonly Check[]> {
  const check = lrmKind(settings).check?.(settings, name);
  if (check) return [check];
  const { lrm } = await openLrm(settings, '');
  try {
    const site = await lrm.capabilities();
    const jobs = await lrm.list();
    return [
      good(name, `${lrm.kind} answers: ${sizeOf(site)}; jobs of ours: ${jobs.length}`),
      ...checkScripts(name, site),
      ...checkWalltime(site, leases.maxDurationMs + leases.walltimePadMs),
      await checkDryRun(name, lrm, gang, leases.defaultDurationMs + leases.walltimePadMs),
    ];
  } catch (cause) {
    if (!(cause instanceof LrmError)) throw cause;
    return [
      failure(
        name,
        cause.message,
        `its commands must work for this user on this host; binDir, conf and queue of ${name} in the site file say which`,
      ),
    ];
  } finally {
    await lrm.close();
  }
}

/** What the scheduler itself says of the smallest lease, with all that the site adds to each. */
async function checkDryRun(at: string, lrm: Lrm, gang: GangSite, walltimeMs: number): Promise<Check> {
  const name = `${at} dry run`;
  const size = { nodesWanted: 1, memoryMiBPerNode: 256, cpusPerNode: 1, walltimeMs };
  try {
    await lrm.dryRun(gangRequest({ id: 'slot-doctor', ...size }, gang, ''));
    return good(
      name,
      `${lrm.kind} would take a lease of one node for ${formatDuration(walltimeMs)} with this queue, account and options; it checks some limits only when a job is really submitted`,
    );
  } catch (cause) {
    if (!(cause instanceof LrmError)) throw cause;
    const fix = `correct queue, account and options of ${at}, or ask the scheduler's administrators for what this user may do`;
    return cause.kind === 'refused'
      ? failure(name, cause.message, fix)
      : warning(
          name,
          cause.message,
          'this may pass by itself: the service submits leases again and again until it has',
        );
  }
}

function sizeOf({ nodes, memoryMiBPerNode, cpusPerNode, killDelayMs }: LrmCapabilities): string {
  return `${nodes} nodes of up to ${memoryMiBPerNode} MiB and ${cpusPerNode} processors, ${formatDuration(killDelayMs)} from its warning to its kill`;
}

function checkScripts(at: string, { keepsScripts }: LrmCapabilities): readonly Check[] {
  if (keepsScripts === undefined) return [];
  return [
    warning(
      `${at} scripts`,
      `${keepsScripts}: the scripts of jobs are stored, and the secrets of leases' slots in them`,
      'keep that database and its backups from everybody but its administrators; a secret can do nothing once its lease has ended',
    ),
  ];
}

function checkWalltime({ maxWalltimeMs }: LrmCapabilities, wantedMs: number): readonly Check[] {
  if (maxWalltimeMs === undefined || wantedMs <= maxWalltimeMs) return [];
  return [
    warning(
      'walltime',
      `the queue's longest job is ${formatDuration(maxWalltimeMs)}, leases.maxDuration and walltimePad make ${formatDuration(wantedMs)}`,
      'set leases.maxDuration to less; longer leases are refused one by one',
    ),
  ];
}

async function checkListening({ host, port }: SiteConfig['listen']): Promise<Check> {
  const name = 'listen';
  const server = createServer();
  try {
    await listenOn(server, host, port);
    return good(name, port === 0 ? `${host}: a free port is taken` : `${host}:${port} is free`);
  } catch (cause) {
    if (!(cause instanceof WspError)) throw cause;
    const version = await runningService(host, port);
    if (version !== undefined)
      return good(name, `the service answers on ${host}:${port} (version ${version})`);
    return failure(name, cause.message, cause.hint ?? 'change service.listen in the site file');
  } finally {
    await new Promise(resolve => server.close(resolve));
  }
}

const answerDeadlineMs = 5_000;

/** The version of the service that answers there; undefined when none does. */
async function runningService(host: string, port: number): Promise<string | undefined> {
  const at = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  try {
    const answer = await fetch(`http://${at}:${port}/v1/health`, {
      signal: AbortSignal.timeout(answerDeadlineMs),
    });
    const { status, version } = (await answer.json()) as { status?: unknown; version?: unknown };
    return status === 'ok' && typeof version === 'string' ? version : undefined;
  } catch {
    return undefined;
  }
}

/** Pilots dial out to the service: a loopback address is another one on every node. */
function checkNodesUrl({ url, listen, pools }: SiteConfig): Check {
  const name = 'nodes-url';
  const reached = url ?? `http://${listen.host}:${listen.port}`;
  if (pools.every(({ lrm }) => lrmKind(lrm).onThisHost)) return good(name, 'the nodes are on this host');
  if (/^https?:\/\/(localhost|127\.|\[::1\])/.test(reached))
    return failure(
      name,
      `the nodes cannot reach ${reached}, which is the address of each node itself`,
      'set service.listen to an address of this host that the nodes can reach, or service.url',
    );
  if (url === null && /^(0\.0\.0\.0|::)$/.test(listen.host))
    return failure(
      name,
      `the nodes cannot use the address ${listen.host}`,
      'set service.url to a URL by which the nodes reach this host',
    );
  return good(name, `the nodes are told ${reached}; only a check on a node can say whether they reach it`);
}
