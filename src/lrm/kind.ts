import type { Check } from '../protocol/check.ts';
import type { SectionKit, SectionReader, SectionSchema } from '../protocol/section.ts';
import type { GangRequest, Lrm } from './lrm.ts';
import type { StaticLrm } from './static/static.ts';

/** An LRM's section of the site file in numbers and absolute paths: only its own folder knows what else is in it. */
export interface LrmSettings {
  readonly kind: string;
}

/** What the site adds to every request to the LRM. */
export type GangSite = Pick<GangRequest, 'queue' | 'account' | 'options'>;

/** What a section of the site file has become. */
export interface ChosenLrm {
  readonly lrm: LrmSettings;
  readonly gang: GangSite;
}

/** An option that leases cannot work with. `index`: which argument; `message`: what else to use. */
export interface OptionMistake {
  readonly index: number;
  readonly message: string;
}

/** A path of the site file that must be there, at a key of the section. */
export type NeededPath = readonly [key: string, path: string | undefined, kind: 'directory' | 'file'];

/** An LRM, ready, and how its nodes reach this host when that is not the service's own address. */
export interface OpenedLrm {
  readonly lrm: Lrm;
  readonly headAddress?: string;
  /** Static nodes only: where agents join, and what with. */
  readonly agents?: { readonly lrm: StaticLrm; readonly joinSecretFile: string };
  /** Namespaced local nodes only: the network behind their `eth1`. */
  readonly vmLan?: { readonly subnet: string; readonly gateway: string };
}

/** A member of the family: its section of the site file, its part of the doctor, its opening. */
export interface LrmKind {
  /** `kind` in its section. */
  readonly kind: string;
  /** Its nodes are this host. */
  readonly onThisHost?: true;
  /** What its section may hold. */
  schema(kit: SectionKit): SectionSchema;
  read(entry: LrmSettings, reader: SectionReader): ChosenLrm;
  /**
   * What is wrong with the site's options; absent: it has no submit command. None: a job that is
   * submitted with them is one that the service finds again, follows and ends.
   */
  optionMistakes?(options: readonly string[]): readonly OptionMistake[];
  neededPaths?(settings: LrmSettings): readonly NeededPath[];
  /** Files beside its directory that a backup of the site must have. */
  ownFiles?(settings: LrmSettings): readonly string[];
  /** What only one pool may have: its key, and what it must be in others; undefined: nothing. */
  onlyOnce?(entry: LrmSettings): { readonly key: string; readonly message: string } | undefined;
  /** For the doctor: how it is on this host. Absent: it is opened and asked. */
  check?(settings: LrmSettings, name: string): Check;
  /** `directory`: for what the LRM itself must keep; empty: it is only looked at, and nothing is kept. */
  open(settings: LrmSettings, directory: string): OpenedLrm | Promise<OpenedLrm>;
}
