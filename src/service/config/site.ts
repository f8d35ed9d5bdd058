import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import ipaddr from 'ipaddr.js';
import type { Static } from 'typebox';
import { linkKind } from '../../control/network/links/index.ts';
import { noQuota } from '../../lease/quota.ts';
import { retireAfterMs } from '../../lease/retire.ts';
import type { LeaseSettings, Quota } from '../../lease/settings.ts';
import { lrmKind } from '../../lrm/index.ts';
import { statIfThere } from '../../platform/stat.ts';
import { invalidFile, mistakesIn, parseYaml } from '../../protocol/document.ts';
import { type ErrorDetail, WspError } from '../../protocol/errors.ts';
import type { SectionReader } from '../../protocol/section.ts';
import { textOf } from '../../protocol/text.ts';
import type { NodeSettings, PilotTransport } from '../../protocol/pilot.ts';
import { formatDuration } from '../../protocol/units.ts';
import { type PoolConfig, poolsOf } from './site-pools.ts';
import { memoryOf, siteNode } from './site-node.ts';
import { type Mistake, sectionReader } from './site-values.ts';
import { type QuotaEntry, SiteFile, type TransportEntry } from './site-file.ts';
import { networksOf, type SiteNetworkConfig } from './site-networks.ts';
import type { TlsConfig } from '../api/tls.ts';
import { tokensFileMistake } from '../access/tokens.ts';

/** A site file that was checked: numbers in milliseconds and MiB, absolute paths, defaults filled in. */
export interface SiteConfig {
  /** Absolute path of the file itself. */
  readonly file: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Null: where it listens. */
  readonly url: string | null;
  readonly stateDir: string;
  readonly tokensFile: string;
  readonly urlFile: string | null;
  readonly socket: string | null;
  /** munged's socket. */
  readonly munge: string | null;
  /** Null: plain HTTP. */
  readonly tls: TlsConfig | null;
  /** How pilots reach the service, in order. */
  readonly transports: readonly PilotTransport[];
  /** What each user may ask of the API. */
  readonly rate: { readonly perSecond: number; readonly burst: number };
  /** In order of preference. */
  readonly pools: readonly PoolConfig[];
  readonly imagesDir: string;
  readonly networks: readonly SiteNetworkConfig[];
  readonly defaultNetwork: string | null;
  /** Of pools that say nothing else. */
  readonly node: NodeSettings;
  readonly leases: ReturnType<typeof leasesOf>;
  /** Of everybody who has none of their own. */
  readonly quotas: { readonly user: Quota; readonly project: Quota };
  /** Networks where webhooks may go beyond what is open to all. */
  readonly webhooksAllow: readonly string[];
}

/** The API takes no longer lease than this. */
const longestLeaseMs = 14 * 24 * 3_600_000;

/** Reads and checks a site file. Throws `WspError`: `not_found`, `invalid_file` (all mistakes). */
export function loadSite(path: string): SiteConfig {
  return parseSite(readText(path), path);
}

/** A site file's text, checked. `path` names it in messages, and is what its relative paths are relative to. */
export function parseSite(text: string, path: string): SiteConfig {
  const { config, mistakes } = checkText(text, path);
  if (config === undefined || mistakes.length > 0) throw invalidFile(nameOf(path), mistakes);
  return config;
}

/** As `loadSite`, but with the mistakes, beside what there is when the file's shape is right. */
export function examineSite(path: string): ReturnType<typeof checkText> {
  return checkText(readText(path), path);
}

function nameOf(path: string): string {
  return `site file ${path}`;
}

function readText(path: string): string {
  try {
    return textOf(readFileSync(path), nameOf(path));
  } catch (cause) {
    if (cause instanceof WspError) throw cause;
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const words = missing ? 'is not there' : `cannot be read: ${(cause as Error).message}`;
    throw new WspError(missing ? 'not_found' : 'invalid_file', `${nameOf(path)} ${words}`, { cause });
  }
}

function checkText(
  text: string,
  path: string,
): { readonly config: SiteConfig | undefined; readonly mistakes: readonly ErrorDetail[] } {
  const document = parseYaml(text, nameOf(path));
  const wrongShape = mistakesIn(SiteFile, document);
  if (wrongShape.length > 0) return { config: undefined, mistakes: wrongShape };
  const mistakes: ErrorDetail[] = [];
  const config = normalise(document as unknown as SiteFile, resolve(path), (at, message) =>
    mistakes.push({ path: at, message }),
  );
  return { config, mistakes };
}

function normalise(site: SiteFile, file: string, mistake: Mistake): SiteConfig {
  const at = (path: string): string => resolve(dirname(file), path);
  const { service } = site;
  const section = (where: string): SectionReader => sectionReader(where, at, mistake);
  const { path } = section('service');
  const networks = networksOf(site.networks, mistake);
  const listen = listenOf(service.listen, mistake);
  const transports = transportsOf(service.transports, mistake);
  const pools = poolsOf(site, at, mistake);
  const defaultNetwork = defaultNetworkOf(site, mistake);
  const ofNode = siteNode(site.node, at, mistake);
  const leases = leasesOf(site.leases ?? {}, section('leases'));
  const memory = memoryOf(site.leases ?? {}, section('leases'));
  const node = { ...ofNode, shutdownGraceMs: leases.shutdownGraceMs };
  const config: SiteConfig = {
    file,
    listen,
    url: service.url?.replace(/\/$/, '') ?? null,
    stateDir: at(service.stateDir),
    tokensFile: at(service.tokensFile),
    urlFile: path(service.urlFile) ?? null,
    socket: path(service.socket) ?? null,
    munge: path(service.munge) ?? null,
    tls: service.tls
      ? { certificateFile: at(service.tls.certificateFile), keyFile: at(service.tls.keyFile) }
      : null,
    transports,
    rate: { perSecond: 100, burst: 500, ...service.rate },
    pools: pools.map(pool => {
      const own = { ...node, ...pool.node };
      return { ...pool, node: own, memory: memory(own) };
    }),
    imagesDir: at(site.images.dir),
    networks,
    defaultNetwork,
    leases,
    node,
    webhooksAllow: allowedNetworks(site.webhooks?.allow ?? [], mistake),
    quotas: {
      user: quotaOf(site.quotas?.user, section('quotas.user')),
      project: quotaOf(site.quotas?.project, section('quotas.project')),
    },
  };
  checkFiles(config, mistake);
  return config;
}

const ordinaryTransports: readonly TransportEntry[] = [{ kind: 'websocket' }];

/** The ways for pilots' messages, in order. One that is there twice is a mistake: it would fail twice. */
function transportsOf(entries = ordinaryTransports, mistake: Mistake): readonly PilotTransport[] {
  const transports = entries.map(transportOf);
  for (const [index, one] of transports.entries()) {
    const same = transports.findIndex(other => isDeepStrictEqual(other, one));
    if (same < index)
      mistake(`service.transports[${index}]`, `is the same as service.transports[${same}]; leave one out`);
  }
  return transports;
}

function transportOf(entry: TransportEntry): PilotTransport {
  if (entry.kind !== 'ssh') return entry;
  return { user: null, identityFile: null, options: [], command: ['wsp', 'ingest'], ...entry };
}

function listenOf(text: string, mistake: Mistake): SiteConfig['listen'] {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  if (port > 65_535) mistake('service.listen', `port ${port} is over 65535`);
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port };
}

function defaultNetworkOf({ networks, defaultNetwork }: SiteFile, mistake: Mistake): string | null {
  const names = networks.map(({ name }) => name);
  if (defaultNetwork === undefined) return names.length === 1 ? (names[0] ?? null) : null;
  if (!names.includes(defaultNetwork))
    mistake(
      'defaultNetwork',
      `${defaultNetwork} is none of the networks (${names.join(', ') || 'there are none'})`,
    );
  return defaultNetwork;
}

/** Times of leases, in milliseconds. */
function leasesOf(given: NonNullable<SiteFile['leases']>, { durationMs, mistake }: SectionReader) {
  const ms = (
    key: Exclude<keyof typeof given, 'vmmOverhead' | 'pilotOverhead' | 'endNotices' | 'drain' | 'suspended'>,
    ordinary: string,
  ): number => durationMs(given[key] ?? ordinary, key);
  const leases = {
    defaultDurationMs: ms('defaultDuration', '1h'),
    maxDurationMs: ms('maxDuration', '14d'),
    walltimePadMs: ms('walltimePad', '2m'),
    shutdownGraceMs: ms('shutdownGrace', '10s'),
    endNoticesMs: (given.endNotices ?? ['10m', '1m'])
      .map((text, index) => durationMs(text, `endNotices[${index}]`))
      .toSorted((one, other) => other - one),
    submitTimeoutMs: ms('submitTimeout', '1h'),
    reserveTimeoutMs: ms('reserveTimeout', '60s'),
    pilotSilenceMs: ms('pilotSilence', '5m'),
    drain: given.drain ?? 'wait',
    suspended: given.suspended ?? 'wait',
    deployTimeoutMs: ms('deployTimeout', '5m'),
    releaseTimeoutMs: ms('releaseTimeout', '60s'),
    contextTimeoutMs: ms('contextTimeout', '2m'),
  };
  const { maxDurationMs, defaultDurationMs, shutdownGraceMs, releaseTimeoutMs } = leases;
  if (maxDurationMs > longestLeaseMs) mistake('maxDuration', 'must be at most 14d');
  if (defaultDurationMs > maxDurationMs)
    mistake('defaultDuration', `is longer than leases.maxDuration (${formatDuration(maxDurationMs)})`);
  if (shutdownGraceMs >= releaseTimeoutMs)
    mistake(
      'shutdownGrace',
      `must be shorter than leases.releaseTimeout (${formatDuration(releaseTimeoutMs)})`,
    );
  return leases;
}

function allowedNetworks(given: readonly string[], mistake: Mistake): readonly string[] {
  for (const [index, network] of given.entries())
    if (!ipaddr.isValidCIDR(network))
      mistake(`webhooks.allow[${index}]`, `${network} is no network such as 10.0.0.0/8`);
  return given;
}

function quotaOf(
  { memory, maxDuration, ...counts }: Static<typeof QuotaEntry> = {},
  { memoryMiB, durationMs }: SectionReader,
): Quota {
  return {
    ...noQuota,
    ...counts,
    memoryMiB: memory === undefined ? null : memoryMiB(memory, 'memory'),
    maxDurationMs: maxDuration === undefined ? null : durationMs(maxDuration, 'maxDuration'),
  };
}

/** What the file system says about the paths. */
function checkFiles({ imagesDir, stateDir, tokensFile, pools }: SiteConfig, mistake: Mistake): void {
  const wanted = (
    key: string,
    path: string,
    kind: 'directory' | 'file',
    absent: 'may be absent' | 'must be there',
  ): void => {
    try {
      const stat = statIfThere(path);
      const right = stat ? stat.isDirectory() === (kind === 'directory') : absent === 'may be absent';
      if (!right) mistake(key, `${path} is not a ${kind}`);
    } catch (cause) {
      mistake(key, `${path} cannot be read: ${(cause as Error).message}`);
    }
  };
  wanted('images.dir', imagesDir, 'directory', 'must be there');
  wanted('service.stateDir', stateDir, 'directory', 'may be absent');
  const wrong = tokensFileMistake(tokensFile);
  if (wrong !== undefined) mistake('service.tokensFile', wrong);
  for (const { lrm, at } of pools)
    for (const [key, path, kind] of lrmKind(lrm).neededPaths?.(lrm) ?? [])
      if (path !== undefined) wanted(`${at}.${key}`, path, kind, 'must be there');
}

/** What the lease core needs of the site file. */
export function leaseSettings({
  networks,
  defaultNetwork,
  leases,
}: SiteConfig): Omit<LeaseSettings, 'quotas' | 'pools' | 'images'> {
  const { contextTimeoutMs: _, ...times } = leases;
  return {
    ...times,
    networks: networks.map(({ name, firstAddress, lastAddress, link }) => ({
      name,
      firstAddress,
      lastAddress,
      vnis: linkKind(link).perWorkspace?.numbers(link) ?? null,
    })),
    defaultNetwork,
    retireAfterMs,
  };
}
