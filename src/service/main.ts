import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock, withDeadline } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import { systemProcesses } from '../platform/process.ts';
import { systemRandom } from '../platform/random.ts';
import { WspError } from '../protocol/errors.ts';
import { bootIdFile } from '../protocol/login.ts';
import { loginNames } from './access/login-names.ts';
import { openAccess } from './access/open.ts';
import { type OpenPool, openPools } from './lrm/open-pools.ts';
import { openStore } from './store/sqlite.ts';
import { buildApp } from './api/app.ts';
import { readPilotProgram } from './pilots/assignment.ts';
import { createEngine } from './core/engine.ts';
import { imageCatalogue } from './images/images.ts';
import { type Listening, listen, writeUrlFile } from './api/listening.ts';
import { serviceLog } from './log.ts';
import type { EnginePool } from './lrm/pool.ts';
import { helperPolicyOf } from './config/helper-policy.ts';
import { leaseSettings, loadSite, type SiteConfig } from './config/site.ts';
import { loadTls, tlsHosts } from './api/tls.ts';
import { loadTokens } from './access/tokens.ts';
import { version } from '../platform/version.ts';

/**
 * `wsp service`: the only place that wires.
 *
 *   start: site file ─► tokens ─► store (locks the state directory) ─► LRMs ─► API listens ─► engine starts ─► requests are answered
 *   stop:  URL file ─► API ─► engine with its store ─► LRMs       also when a step of the start has failed, for what was open by then
 *
 * If we crash anywhere: the store has all that was acknowledged; the next start goes on from there.
 */
type Closers = Partial<Record<(typeof closingOrder)[number], () => Promise<void>>>;
const closingOrder = ['urlFile', 'api', 'engine', 'store', 'lrms'] as const;

/** The longest that one part may take to stop before the rest of it is left to the next start. */
const stopDeadlineMs = 30_000;

/**
 * Runs the service until SIGTERM or SIGINT. Throws `WspError`: `not_found` and `invalid_file` (site file, tokens file), `failed` (port or state
 * directory in use, scheduler's commands missing, pilot not built, state cannot be stored any more). `pilotProgram`: path of the built pilot.
 */
export async function runService(configPath: string, pilotProgram = pilotFile()): Promise<void> {
  const site = loadSite(configPath);
  const log = serviceLog(process.env['WSP_LOG_LEVEL'] === 'debug' ? 'debug' : 'info');
  const ending = watchForTheEnd();
  const closers: Closers = {};
  try {
    // A signal during a slow start ends that too.
    await Promise.race([start(site, pilotProgram, log, closers, ending.broken), ending.reached]);
    log.info('stopping', { why: await ending.reached });
  } finally {
    await stop(closers, log);
    ending.forget();
  }
}

async function start(
  site: SiteConfig,
  pilotProgram: string,
  log: Log,
  closers: Closers,
  broken: (cause: unknown) => void,
): Promise<void> {
  const file = loadTokens(site.tokensFile, systemRandom);
  const pilot = pilotsOf(site, pilotProgram);
  const store = openStore(site.stateDir);
  closers.store = () => store.close();
  const pools = await openPools(site, log, close => void (closers.lrms = close));
  const headAddress = pools.find(each => each.headAddress)?.headAddress;
  const tls = await openTls(site, headAddress);
  const images = openImages(site, log);
  let listening: Listening | undefined;
  const engine = createEngine({
    ...engineOptions(site, pools),
    clock: systemClock,
    random: systemRandom,
    log,
    store,
    images: () => images.read().images.map(({ manifest }) => manifest),
    pilot: {
      ...pilot,
      serviceUrl: () => nodesUrlOf(listening),
      serviceCa: () => tls?.cert ?? null,
    },
    onBroken: broken,
  });
  const access = await openAccess(site, store, file, engine, log, () =>
    namesOf(site, listening, headAddress),
  );
  // The port must be known before the first job is submitted, so we listen first; who asks before the engine runs waits for it.
  const started = deferred<void>();
  const app = await buildApp({
    engine,
    ...access,
    rate: site.rate,
    tls,
    images,
    agentPools: pools.flatMap(({ agentPool }) => agentPool ?? []),
    version,
    clock: systemClock,
    random: systemRandom,
    log,
    ready: started.promise,
  });
  closers.api = () => app.close();
  const { url, socket: socketPath } = site;
  listening = await listen(app, { ...site.listen, url, headAddress, socketPath, tls });
  closers.api = listening.close;
  await engine.start();
  delete closers.store;
  closers.engine = () => access.webhooks.stop().then(() => engine.stop());
  await access.webhooks.start();
  started.resolve();
  tellUrl(site.urlFile, listening.url, closers);
  tellLog(log, listening, pools);
}

/** What the site file says to every pilot. */
function pilotsOf(site: SiteConfig, program: string) {
  const { transports } = site;
  return { transports, networks: helperPolicyOf(site).networks, program: readPilotProgram(program) };
}

function tellLog(log: Log, { url, nodesUrl }: Listening, pools: readonly OpenPool[]): void {
  const lrms = pools.map(({ name, lrm }) => `${name}: ${lrm.kind}`).join(', ');
  log.info('listening', { url, nodesUrl, pools: lrms, pid: process.pid, version });
}

function tellUrl(urlFile: string | null, url: string, closers: Closers): void {
  if (urlFile === null) return;
  writeUrlFile(urlFile, url);
  closers.urlFile = () => rm(urlFile, { force: true });
}

function openImages({ imagesDir }: SiteConfig, log: Log) {
  return imageCatalogue(imagesDir, problem =>
    log.warn('a directory of the image store is not an image', { ...problem }),
  );
}

/** The names that the service goes by in logins; none before it listens. */
function namesOf(
  { listen: { host }, tls, url }: SiteConfig,
  listening: Listening | undefined,
  headAddress: string | undefined,
): ReadonlySet<string> {
  if (listening === undefined) return new Set();
  const port = Number(new URL(listening.url).port);
  const bootId = readFileSync(bootIdFile, 'utf8').trim();
  return loginNames({ host, port, isTls: tls !== null, url, headAddress, bootId });
}

async function openTls({ tls, listen: { host }, url }: SiteConfig, headAddress: string | undefined) {
  if (tls === null) return undefined;
  const hosts = tlsHosts(host, url, headAddress);
  return loadTls(tls, hosts, systemClock.now(), systemProcesses);
}

function engineOptions(site: SiteConfig, pools: readonly EnginePool[]) {
  const { networks, leases } = site;
  const imageDirectory = (image: string): string => join(site.imagesDir, image);
  const plan = { networks, imageDirectory, contextTimeoutMs: leases.contextTimeoutMs };
  return { pools, lease: leaseSettings(site), plan };
}

async function stop(closers: Closers, log: Log): Promise<void> {
  for (const part of closingOrder) {
    const close = closers[part];
    if (!close) continue;
    await withDeadline(systemClock, stopDeadlineMs, `stopping the ${part}`, close()).catch((cause: unknown) =>
      log.error('a part did not stop', { part, ...errorFields(cause) }),
    );
  }
}

/** The built pilot: beside us when we are built too, else where the build puts it. */
function pilotFile(): string {
  const beside = join(import.meta.dirname, 'pilot.cjs');
  return existsSync(beside) ? beside : join(import.meta.dirname, '../../dist/pilot.cjs');
}

function nodesUrlOf(listening: Listening | undefined): string {
  if (!listening) throw new Error('no URL to give to pilots: the service does not listen yet');
  return listening.nodesUrl;
}

/** `reached` resolves with the signal's name, and rejects when the state cannot be stored any more. */
function watchForTheEnd() {
  const { promise: reached, resolve, reject } = deferred<string>();
  // Whoever waits for it hears of it; until somebody does, it is no unhandled rejection.
  reached.catch(() => undefined);
  const signals = ['SIGTERM', 'SIGINT'] as const;
  for (const signal of signals) process.on(signal, resolve);
  return {
    reached,
    broken: (cause: unknown) =>
      reject(
        new WspError('failed', `the state cannot be stored any more: ${(cause as Error).message}`, {
          hint: 'check the space and the health of the disk under service.stateDir, then start again: nothing acknowledged is lost',
          cause,
        }),
      ),
    forget: () => {
      for (const signal of signals) process.off(signal, resolve);
    },
  };
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (cause: unknown) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
