import Type, { type Static } from 'typebox';
import { type LinkEntry, linkSchemas } from '../../control/network/links/index.ts';
import { vmmSchemas } from '../../control/vmm/index.ts';
import { policySchemas } from '../../lease/policies/index.ts';
import { lrmSchemas } from '../../lrm/index.ts';
import type { LrmSettings } from '../../lrm/kind.ts';
import { adaptationKinds } from '../../protocol/adaptation.ts';
import { namePattern } from '../../protocol/ids.ts';
import { DurationText, literals, MemoryText } from '../../protocol/schema.ts';
import { sectionKit } from '../../protocol/section.ts';

/**
 * The site file's shape (`wsp service --config site.yaml`): what an administrator decides. YAML;
 * durations and sizes in words (`10s`, `4G`). Relative paths are relative to the file. A
 * `description` completes "must be …" in messages. `site.ts` reads and checks it.
 */

const { strict, Word, Program, Path } = sectionKit;
const Name = Type.String({
  pattern: namePattern,
  description: 'a name: lower-case letters, digits and hyphens, starting with a letter, at most 31',
});
const Ipv4 = Type.String({
  pattern: '^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\\.(?!$)|$)){4}$',
  description: 'an IPv4 address such as 10.90.0.1',
});

const Network = Type.Object(
  {
    name: Name,
    /** The network in CIDR form, for example 10.90.0.0/16. */
    subnet: Type.String({ pattern: '^[0-9.]+/[0-9]+$', description: 'a network such as 10.90.0.0/16' }),
    /** First and last address to give out. Default: the subnet's hosts without the gateway. */
    first: Type.Optional(Ipv4),
    last: Type.Optional(Ipv4),
    gateway: Type.Optional(Ipv4),
    dns: Type.Optional(Type.Array(Ipv4, { maxItems: 4 })),
    /** How its VMs reach other nodes. */
    link: Type.Unsafe<LinkEntry>(Type.Union(linkSchemas(sectionKit))),
    mtu: Type.Optional(Type.Integer({ minimum: 576, maximum: 9_216 })),
  },
  strict,
);
/** One of the site's networks, as it is written. */
export type NetworkEntry = Static<typeof Network>;

/** How pilots reach the service: `site.ts` checks what a schema cannot. */
const Transport = Type.Union([
  Type.Object({ kind: Type.Literal('websocket') }, strict),
  Type.Object({ kind: Type.Literal('http') }, strict),
  Type.Object(
    {
      kind: Type.Literal('ssh'),
      /** The host, as the nodes' ssh knows it, on which `wsp ingest` runs. */
      host: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]*$', description: 'the name of a host' }),
      /** Who to be there. Default: ssh's own choice. */
      user: Type.Optional(
        Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_.-]*$', description: 'the name of a user' }),
      ),
      /** A private key, by its path on the nodes. Default: ssh's own choice. */
      identityFile: Type.Optional(
        Type.String({ pattern: '^/[^\\0\\r\\n]*$', description: 'an absolute path' }),
      ),
      /** Options of ssh_config(5). */
      options: Type.Optional(
        Type.Array(
          Type.String({
            pattern: '^[A-Za-z][A-Za-z0-9]*=[^\\0\\r\\n]+$',
            description: 'an option of ssh, such as Port=2222',
          }),
          { maxItems: 64 },
        ),
      ),
      /** What is run there. Default: wsp ingest. */
      command: Type.Optional(
        Type.Array(
          Type.String({
            pattern: '^[A-Za-z0-9_./+=:,@-]+$',
            description: 'a word without special characters',
          }),
          { minItems: 1, maxItems: 32 },
        ),
      ),
    },
    strict,
  ),
]);
/** A way for pilots' messages, as it is written. */
export type TransportEntry = Static<typeof Transport>;

const Service = Type.Object(
  {
    /** Address and port to listen on; port 0 takes a free one. */
    listen: Type.String({
      pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}$',
      description: 'an address and a port, such as 10.0.0.1:8080',
    }),
    /** The service's URL as the nodes reach it, when that is not where it listens. */
    url: Type.Optional(
      Type.String({ pattern: '^https?://[^/?#\\s]+/?$', description: 'a URL such as http://head.site:8080' }),
    ),
    /** Directory for the database and the service's other state; made with mode 0700. */
    stateDir: Path,
    /** File with a line `user token` for each user, mode 0600. Absent file: made with a new token for `admin`. */
    tokensFile: Path,
    /** Where this host's users need no token; in `login` beside it they show who they are. */
    socket: Type.Optional(Path),
    /** munged's socket on this host: users with a MUNGE credential need no token, from any host of its realm. */
    munge: Type.Optional(Path),
    /** Certificate and key (PEM; the key with mode 0600): the service speaks TLS. Both absent: made, self-signed. */
    tls: Type.Optional(Type.Object({ certificateFile: Path, keyFile: Path }, strict)),
    /** How pilots reach the service, in the order in which they try. Default: websocket. */
    transports: Type.Optional(Type.Array(Transport, { minItems: 1, maxItems: 8 })),
    /** The URL that it listens on is written here once it answers: for port 0, for scripts. */
    urlFile: Type.Optional(Path),
    /** How many requests a second each user may send in the long run (100), and at once (500). */
    rate: Type.Optional(
      Type.Object(
        {
          perSecond: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
          burst: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
        },
        strict,
      ),
    ),
  },
  strict,
);

const Node = Type.Object(
  {
    /** Directory of the job's user on the nodes. */
    workDir: Path,
    /** Argument vector of the privileged helper on the nodes. */
    helper: Type.Array(Program, { minItems: 1, maxItems: 32 }),
    adaptation: Type.Optional(literals(adaptationKinds)),
    /** Of how many ended slots a node keeps logs and journals (100), and for how long (14d). */
    keepLogs: Type.Optional(
      Type.Object(
        {
          slots: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000 })),
          for: Type.Optional(DurationText),
        },
        strict,
      ),
    ),
    vmm: Type.Unsafe<{ readonly kind: string }>(Type.Union(vmmSchemas(sectionKit))),
  },
  strict,
);

const Leases = Type.Object(
  {
    /** Of a workspace whose request names none. Default 1h. */
    defaultDuration: Type.Optional(DurationText),
    /** Default and at most 14d. */
    maxDuration: Type.Optional(DurationText),
    /** Memory that the VMM takes for each VM beside its guest's. Default: as its driver states. */
    vmmOverhead: Type.Optional(MemoryText),
    /** Memory that a pilot takes on each node of its slot. (default: 96M) */
    pilotOverhead: Type.Optional(MemoryText),
    /** Added to the lease in the job's walltime, for deploying and for releasing. Default 2m. */
    walltimePad: Type.Optional(DurationText),
    /** How long guests get to shut down. Default 10s. */
    shutdownGrace: Type.Optional(DurationText),
    /** How long before the end owner and guests are told. Default 10m and 1m; empty: never. */
    endNotices: Type.Optional(Type.Array(DurationText, { maxItems: 8, uniqueItems: true })),
    /** From the first submission that the scheduler did not take until it must have. Default 1h. */
    submitTimeout: Type.Optional(DurationText),
    /** From the first pilot's report until all must have reported. Default 60s. */
    reserveTimeout: Type.Optional(DurationText),
    pilotSilence: Type.Optional(DurationText),
    /** Leases on a node that is drained go on to their end (default), or are ended as preempted. */
    drain: Type.Optional(Type.Union([Type.Literal('wait'), Type.Literal('leave')])),
    /** Leases whose job is suspended stand still (default), or are ended as preempted. */
    suspended: Type.Optional(Type.Union([Type.Literal('wait'), Type.Literal('leave')])),
    /** From the slot being ready until every VM must run. Default 5m. */
    deployTimeout: Type.Optional(DurationText),
    /** From the order to release until the job must be gone; then it is cancelled. Default 60s. */
    releaseTimeout: Type.Optional(DurationText),
    /** Until a guest must have reported its context. Default 2m. */
    contextTimeout: Type.Optional(DurationText),
  },
  strict,
);

export const QuotaEntry = Type.Object(
  {
    /** Live workspaces, and what may be in all of them together. */
    workspaces: Type.Optional(Type.Integer({ minimum: 0 })),
    vms: Type.Optional(Type.Integer({ minimum: 0 })),
    cpus: Type.Optional(Type.Integer({ minimum: 0 })),
    memory: Type.Optional(MemoryText),
    /** Reserved by live leases and used by ended ones. */
    vmMinutes: Type.Optional(Type.Integer({ minimum: 0 })),
    maxDuration: Type.Optional(DurationText),
  },
  strict,
);

const PolicyEntry = Type.Unsafe<{ readonly kind: string }>(Type.Union(policySchemas(sectionKit)));

const Lrm = Type.Unsafe<LrmSettings>(Type.Union(lrmSchemas(sectionKit)));
const PoolEntry = Type.Object(
  {
    name: Name,
    lrm: Lrm,
    /** Which slots are asked for. Default: exact. */
    policy: Type.Optional(PolicyEntry),
    /** Its own, each of its keys in the place of that of the site's `node`. */
    node: Type.Optional(Type.Partial(Node, strict)),
    /** The networks that its nodes reach. Default: all of the site's. */
    networks: Type.Optional(Type.Array(Name, { maxItems: 64, uniqueItems: true })),
  },
  strict,
);
/** One pool, as it is written. */
export type PoolEntry = Static<typeof PoolEntry>;

export const SiteFile = Type.Object(
  {
    service: Service,
    /** The site's only LRM; or `pools`. */
    lrm: Type.Optional(Lrm),
    /** Several LRMs, in order of preference. */
    pools: Type.Optional(Type.Array(PoolEntry, { minItems: 1, maxItems: 16 })),
    images: Type.Object(
      {
        /** The same path for service and nodes: a directory with an image.json for each image. */
        dir: Path,
      },
      strict,
    ),
    networks: Type.Array(Network, { maxItems: 64 }),
    /** The network of groups that name none. Default: the only network, when there is one only. */
    defaultNetwork: Type.Optional(Name),
    node: Node,
    leases: Type.Optional(Leases),
    /** Which slots are asked of the only LRM. Default: exact. */
    policy: Type.Optional(PolicyEntry),
    webhooks: Type.Optional(
      Type.Object(
        {
          /** Networks, not public or our own, where webhooks may go all the same. Default: none. */
          allow: Type.Optional(Type.Array(Word, { maxItems: 64 })),
        },
        strict,
      ),
    ),
    /** Of every user and every project that has none of its own. Default: no limits. */
    quotas: Type.Optional(
      Type.Object({ user: Type.Optional(QuotaEntry), project: Type.Optional(QuotaEntry) }, strict),
    ),
  },
  strict,
);
export type SiteFile = Static<typeof SiteFile>;
/** How nodes are used, as it is written. */
export type NodeEntry = SiteFile['node'];
