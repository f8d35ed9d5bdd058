import Type from 'typebox';
import { literals, Name, strict } from './schema.ts';
import { momentPattern, momentWords } from './units.ts';

/**
 * What a client asks for: the body of `POST /v1/workspaces`, and (as YAML, with units in words) a cluster file.
 * `units.ts` turns `256M` and `1h` into the numbers here.
 */

/** The most that user data can have. */
export const mostUserDataBytes = 65_536;

/** What a guest is handed, byte for byte: a text in UTF-8, or any bytes in base64. */
export const UserData = Type.Union([
  Type.String({
    maxLength: mostUserDataBytes,
    // A JSON text can hold half of a character, which no UTF-8 stands for.
    pattern: '^\\P{Surrogate}*$',
    description: `a text of at most ${mostUserDataBytes} characters`,
  }),
  Type.Object(
    {
      base64: Type.String({
        maxLength: Math.ceil(mostUserDataBytes / 3) * 4,
        pattern: '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
        description: `base64 (RFC 4648, section 4) of at most ${mostUserDataBytes} bytes`,
      }),
    },
    strict,
  ),
]);
export type UserData = Type.Static<typeof UserData>;

export const GroupRequest = Type.Object(
  {
    name: Name,
    image: Name,
    count: Type.Integer({ minimum: 1, maximum: 1_024, default: 1 }),
    memoryMiB: Type.Integer({ minimum: 16, maximum: 4_194_304, default: 256 }),
    cpus: Type.Integer({ minimum: 1, maximum: 512, default: 1 }),
    /** Names of the site's networks, in the order of the VM's interfaces. Absent: the site's default network. */
    networks: Type.Optional(Type.Array(Name, { maxItems: 8, uniqueItems: true })),
    roles: Type.Optional(Type.Array(Name, { maxItems: 16, uniqueItems: true })),
    /** Handed to the guest as it is (a shell script for `mini`, cloud-config or a script for cloud images). */
    userData: Type.Optional(UserData),
  },
  strict,
);
export type GroupRequest = Type.Static<typeof GroupRequest>;

/** What becomes of a running workspace that loses a VM. */
export const healPolicies = ['fail', 'replace'] as const;
export const HealPolicy = literals(healPolicies);
export type HealPolicy = Type.Static<typeof HealPolicy>;

const LeaseDuration = Type.Integer({
  minimum: 1_000,
  maximum: 14 * 24 * 3_600_000,
  description: 'a time from 1s to 14d (in milliseconds)',
});

export const WorkspaceRequest = Type.Object(
  {
    /** Unique among the owner's live workspaces. Absent: the workspace's id. */
    name: Type.Optional(Name),
    groups: Type.Array(GroupRequest, { maxItems: 64 }),
    /** The project that is charged beside the user: one of theirs. Absent: their first, if they have one. */
    project: Type.Optional(Name),
    /** Groups may be added until it is launched; with none, or with some. */
    pending: Type.Optional(Type.Boolean()),
    durationMs: Type.Optional(LeaseDuration),
    /** The pools whose nodes it may have, the best first. Absent: all of the site's, in the site's order. */
    pools: Type.Optional(Type.Array(Name, { minItems: 1, maxItems: 16, uniqueItems: true })),
    /** Public keys (one line each) that may log into every VM. */
    sshKeys: Type.Optional(
      Type.Array(
        Type.String({
          maxLength: 8_192,
          pattern: '^[^\\r\\n]+$',
          description: 'one public key on one line, as ssh-keygen writes it to a file that ends in .pub',
        }),
        { maxItems: 64 },
      ),
    ),
    /** All VMs run by then, or the workspace is given up. Absent: it waits for as long as the LRM lets it. */
    startBy: Type.Optional(Type.String({ pattern: momentPattern, description: momentWords })),
    /** A VM that fails takes only itself out. Absent or false: all VMs run, or none does. */
    keepPartial: Type.Optional(Type.Boolean()),
    /** Started anew, with the same names and addresses and its whole duration, when the batch scheduler takes its nodes back. Absent or false: it ends then. */
    requeue: Type.Optional(Type.Boolean()),
    /** What becomes of it when a VM is lost while it runs: `fail` (absent): it ends. `replace`: another VM is started in its place, with the same name and addresses; when its nodes are lost too, the whole workspace in a new slot. */
    heal: Type.Optional(HealPolicy),
    /** Made up by the client: the same request with the same token is the same workspace, however often it is sent. */
    clientToken: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9._-]{1,64}$',
        description: '1 to 64 letters, digits, dots, underscores or hyphens',
      }),
    ),
  },
  strict,
);
export type WorkspaceRequest = Type.Static<typeof WorkspaceRequest>;

/** Body of `POST /v1/workspaces/:workspace/extend`: how much longer the lease is to be. */
export const ExtendRequest = Type.Object({ durationMs: LeaseDuration }, strict);

/** Body of `POST /v1/workspaces/:workspace/groups`: more groups for a workspace that has not been launched. */
export const AddRequest = Type.Object(
  { groups: Type.Array(GroupRequest, { minItems: 1, maxItems: 64 }) },
  strict,
);

/** What can be done to VMs while their lease runs. `shutdown` keeps them for `start`; `destroy` is for good. */
export const vmOperations = ['start', 'shutdown', 'pause', 'resume', 'reboot', 'destroy'] as const;
export type VmOperation = (typeof vmOperations)[number];

/** The VMs that an order is for: all of them, one by its id or name, or those of a group; none when the target is unknown. */
export function targetsOf<Vm extends { readonly id: string; readonly name: string; readonly group: string }>(
  vms: readonly Vm[],
  target: string | undefined,
): readonly Vm[] {
  if (target === undefined) return vms;
  const one = vms.filter(({ id, name }) => id === target || name === target);
  return one.length > 0 ? one : vms.filter(({ group }) => group === target);
}

/** Body of `POST /v1/workspaces/:workspace/operations`. */
export const OperateRequest = Type.Object(
  {
    operation: literals(vmOperations),
    /** A VM, by its name or id, or a group. Absent: all VMs. */
    target: Type.Optional(Type.String({ maxLength: 64 })),
    /** How long guests get to shut down (shutdown, reboot). Absent: what the site gives. */
    graceMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3_600_000, description: 'a time of at most 1h (in milliseconds)' }),
    ),
  },
  strict,
);
export type OperateRequest = Type.Static<typeof OperateRequest>;
