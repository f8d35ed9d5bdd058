import Type from 'typebox';
import { interfacePattern, namePattern } from '../protocol/ids.ts';

/**
 * The site file (`wsp service --config site.yaml`): what an administrator decides. YAML; durations and sizes in words (`10s`, `4G`).
 * Relative paths are relative to the file. Everything that is wrong with it is reported at once, each with its path.
 */

const Name = Type.String({ pattern: namePattern });
const Ipv4 = Type.String({ pattern: '^(\\d{1,3}\\.){3}\\d{1,3}$' });
const Duration = Type.String({ description: 'for example 90s, 1h30m' });
const Path = Type.String({ minLength: 1 });
const strict = { additionalProperties: false } as const;

const Network = Type.Object(
  {
    name: Name,
    /** The network in CIDR form, for example 10.90.0.0/16. */
    subnet: Type.String(),
    /** First and last address to give out. Default: the subnet's hosts without the gateway. */
    first: Type.Optional(Ipv4),
    last: Type.Optional(Ipv4),
    gateway: Type.Optional(Ipv4),
    dns: Type.Optional(Type.Array(Ipv4, { maxItems: 4 })),
    /** `uplink`: bridged to this interface of every node. `vxlan`: carried between the slot's nodes, one per workspace, isolated. `isolated`: the node alone. */
    link: Type.Union([
      Type.Object({ uplink: Type.String({ pattern: interfacePattern }) }, strict),
      Type.Object(
        {
          vxlan: Type.Object(
            { firstVni: Type.Integer({ minimum: 1 }), port: Type.Optional(Type.Integer()) },
            strict,
          ),
        },
        strict,
      ),
      Type.Literal('isolated'),
    ]),
    mtu: Type.Optional(Type.Integer({ minimum: 576, maximum: 9_216 })),
  },
  strict,
);

export const SiteFile = Type.Object(
  {
    service: Type.Object(
      {
        /** Address and port to listen on; port 0 takes a free one. */
        listen: Type.String({ pattern: '^.+:\\d+$' }),
        /** The service's URL as clients and nodes reach it. Default: http://<listen>. */
        url: Type.Optional(Type.String({ pattern: '^https?://' })),
        /** Directory for the database and the service's other state; made with mode 0700. */
        stateDir: Path,
        /** File with a line `user token` for each user, mode 0600. Absent file: made with a new token for `admin`. */
        tokensFile: Path,
        /** When set, the URL that the service listens on is written here once it answers (for port 0, and for scripts). */
        urlFile: Type.Optional(Path),
      },
      strict,
    ),
    lrm: Type.Union([
      Type.Object(
        {
          kind: Type.Literal('slurm'),
          queue: Type.Optional(Type.String()),
          account: Type.Optional(Type.String()),
          /** Extra arguments for sbatch. */
          options: Type.Optional(Type.Array(Type.String())),
          /** Directory of sbatch, squeue, scancel, sinfo. Default: PATH. */
          binDir: Type.Optional(Path),
          /** SLURM_CONF for those commands. */
          conf: Type.Optional(Path),
          /** The Node program on the nodes. Default: node. */
          node: Type.Optional(Type.String()),
        },
        strict,
      ),
      Type.Object(
        {
          kind: Type.Literal('local'),
          nodes: Type.Integer({ minimum: 1, maximum: 64 }),
          memoryPerNode: Type.Optional(Type.String()),
          cpusPerNode: Type.Optional(Type.Integer({ minimum: 1 })),
          /** `auto`: each node in a network namespace of its own when root, else `none`. */
          namespaces: Type.Optional(Type.Union([Type.Literal('auto'), Type.Literal('none')])),
        },
        strict,
      ),
    ]),
    images: Type.Object(
      {
        /** A directory that service and nodes read at the same path; one directory with an image.json for each image. */ dir: Path,
      },
      strict,
    ),
    networks: Type.Array(Network, { maxItems: 64 }),
    defaultNetwork: Type.Optional(Name),
    node: Type.Object(
      {
        workDir: Path,
        /** Argument vector of the privileged helper on the nodes. */
        helper: Type.Array(Type.String(), { minItems: 1 }),
        adaptation: Type.Optional(Type.Literal('none')),
        vmm: Type.Union([
          Type.Object(
            {
              kind: Type.Literal('qemu'),
              binary: Type.Optional(Type.String()),
              accelerator: Type.Optional(
                Type.Union([Type.Literal('auto'), Type.Literal('kvm'), Type.Literal('tcg')]),
              ),
            },
            strict,
          ),
          Type.Object(
            {
              kind: Type.Literal('sim'),
              start: Type.Optional(Duration),
              boot: Type.Optional(Duration),
              stop: Type.Optional(Duration),
              failStart: Type.Optional(Type.String()),
              failBoot: Type.Optional(Type.String()),
              ignoreShutdown: Type.Optional(Type.String()),
            },
            strict,
          ),
        ]),
      },
      strict,
    ),
    leases: Type.Optional(
      Type.Object(
        {
          defaultDuration: Type.Optional(Duration),
          maxDuration: Type.Optional(Duration),
          vmmOverhead: Type.Optional(Type.String()),
          walltimePad: Type.Optional(Duration),
          shutdownGrace: Type.Optional(Duration),
          reserveTimeout: Type.Optional(Duration),
          deployTimeout: Type.Optional(Duration),
          releaseTimeout: Type.Optional(Duration),
          contextTimeout: Type.Optional(Duration),
        },
        strict,
      ),
    ),
  },
  strict,
);
export type SiteFile = Type.Static<typeof SiteFile>;
