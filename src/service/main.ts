import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openLrm, type OpenedLrm } from '../lrm/index.ts';
import { LrmError } from '../lrm/lrm.ts';
import { systemClock, withDeadline } from '../platform/clock.ts';
import { errorFields, type Log } from '../platform/log.ts';
import { CommandFailure } from '../platform/process.ts';
import { systemRandom } from '../platform/random.ts';
import { WspError } from '../protocol/errors.ts';
import { buildApp } from './api/app.ts';
import { readPilotProgram } from './assignment.ts';
import type { Engine } from './engine-api.ts';
import { createEngine } from './engine.ts';
import { type ImageCatalogue, imageCatalogue } from './images.ts';
import { listen, type Listening, writeUrlFile } from './listening.ts';
import { serviceLog } from './log.ts';
import { leaseSettings, loadSite, type SiteConfig } from './site.ts';
import type { Store } from './store/store.ts';
import { openSqliteStore } from './store/sqlite.ts';
import { loadTokens } from './tokens.ts';
import { version } from './version.ts';

/**
 * `wsp service`: the only place that wires. What is opened is closed in the opposite order, also when a later step fails:
 *
 *   site file ─► tokens ─► store (locks the state directory) ─► LRM ─► engine ─► API listens ─► engine starts ─► requests are answered
 *
 * If we crash anywhere: the store has all that was acknowledged; the next start goes on from there.
 */

/** The longest that an orderly stop may take before the rest is left to the next start. */
const stopDeadlineMs = 20_000;

/**
 * Runs the service until SIGTERM or SIGINT. Throws `WspError`: `not_found` and `invalid_file` (site file), `failed` (port in use, state directory
 * in use, scheduler's commands missing, pilot not built, state cannot be stored any more).
 */
export async function runService(configPath: string): Promise<void> {
  const site = loadSite(configPath);
  const log = serviceLog(process.env['WSP_LOG_LEVEL'] === 'debug' ? 'debug' : 'info');
  const ending = endOfService();
  const opened: (() => Promise<void>)[] = [];
  try {
    await start(site, log, opened, ending.fail);
    const why = await ending.promise;
    log.info('stopping', { why });
  } finally {
    await stop(opened, log);
    ending.forget();
  }
}

async function start(site: SiteConfig, log: Log, opened: (() => Promise<void>)[], broken: (cause: unknown) => void) {
  const tokens = loadTokens(site.tokensFile, systemRandom);
  const program = readPilotProgram(pilotFile());
  const images = imageCatalogue(site.imagesDir, problem =>
    log.warn('a directory of the image store is not an image', { ...problem }),
  );
  images.read();
  const store = openStore(site.stateDir);
  const storeClose = once(() => store.close());
  opened.push(storeClose);
  const lrm = await openLrm(site.lrm);
  opened.push(() => lrm.lrm.close());
  await checkLrm(lrm, log);

  let listening: Listening | undefined;
  const nodesUrl = (): string => listening?.nodesUrl ?? unknownUrl();
  const engine = makeEngine(site, { log, store: { ...delegate(store), close: storeClose }, lrm, program, images, nodesUrl, broken });
  // The port must be known before the first job is submitted, so we listen first; who asks before the engine runs waits for it.
  const started = deferred();
  const parts = { engine, tokens, images, lrmKind: lrm.lrm.kind, version, clock: systemClock, log };
  const app = await buildApp({ ...parts, ready: started.promise });
  listening = await listen(app, { ...site.listen, url: site.url, headAddress: lrm.headAddress });
  const { url, close } = listening;
  opened.push(() => engine.stop(), close);
  await engine.start();
  started.resolve();
  if (site.urlFile !== null) writeUrlFile(site.urlFile, url);
  log.info('listening', { url, nodesUrl: nodesUrl(), lrm: lrm.lrm.kind, pid: process.pid, version });
}
