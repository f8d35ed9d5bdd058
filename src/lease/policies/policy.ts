import type { GroupRequest } from '../../protocol/cluster.ts';
import type { SectionKit, SectionReader, SectionSchema } from '../../protocol/section.ts';
import type { Slot } from '../model.ts';
import type { PolicySettings, PoolSettings } from '../settings.ts';
import type { SlotRequest } from './slot-request.ts';

/** Groups that are to be leased together, as far as their slot is concerned. */
export type SizedGroups = readonly Pick<GroupRequest, 'count' | 'memoryMiB' | 'cpus'>[];

/** Idle slots that are held ready: how many, of which size, for how long. */
export interface WarmSlots {
  readonly slots: number;
  readonly nodes: number;
  readonly memoryMiBPerNode: number;
  readonly cpusPerNode: number;
  readonly durationMs: number;
}

/**
 * A member of the family, as its file exports it to the table in `index.ts`: its section of the
 * site file, which slots are asked for, how long they are kept, and how VMs map to them.
 * docs/policies.md has what each costs.
 */
export interface PolicyKind {
  /** `kind` in its section. */
  readonly kind: string;
  /** What its section may hold. */
  schema(kit: SectionKit): SectionSchema;
  read(entry: PolicySettings, reader: SectionReader): PolicySettings;
  /** The slot for groups that are to be leased together. */
  slot(policy: PolicySettings, groups: SizedGroups, durationMs: number, settings: PoolSettings): SlotRequest;
  /** How many VMs a node may have. */
  vmsPerNode(policy: PolicySettings): number;
  /**
   * Who is put into a slot that is held already and has room: whoever comes, or only its owner.
   * Absent: nobody.
   */
  heldFor?(policy: PolicySettings): 'all' | 'owner';
  /** Until when a ready slot that nobody is in is wanted; absent: no longer. `endsAt`: when its job ends. */
  wantedUntil?(policy: PolicySettings, slot: Slot, endsAt: number, now: number): number;
  /** The idle slots that it wants ready; absent: none. */
  warm?(policy: PolicySettings): WarmSlots;
}

/** Keys that several policies have. */
export const commonKeys = ({ Type }: SectionKit) => ({
  vmsPerNode: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_024 })),
  factor: Type.Optional(Type.Number({ minimum: 1, maximum: 100 })),
  /** Workspaces of several owners may be in one slot, at once or one after the other. */
  shared: Type.Optional(Type.Boolean()),
});
