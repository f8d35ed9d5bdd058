import type { Static, TObject } from 'typebox';
import type { SectionKit, SectionReader } from '../protocol/section.ts';

/** What the section of every scheduler may hold that others use too. */
export const schedulerKeys = ({ Type, Word, Arguments, Path, Program }: SectionKit) => ({
  /** The queue that gangs go to, for the limits too. Default: the scheduler's default. */
  queue: Type.Optional(Word),
  /** Who is charged: an account, or a project. */
  account: Type.Optional(Word),
  /** Extra arguments for the submit command. */
  options: Type.Optional(Arguments),
  /** Directory of the scheduler's commands. Default: PATH. */
  binDir: Type.Optional(Path),
  /** The Node program on the nodes. Default: node. */
  node: Type.Optional(Program),
});

type SchedulerEntry = Static<TObject<ReturnType<typeof schedulerKeys>>>;

/** What an adapter has of its section: paths are absolute, and what may be left out undefined. */
export type SettingsOf<Entry> = {
  readonly [Key in keyof Omit<Entry, 'kind' | 'account'>]:
    | Readonly<Entry[Key]>
    | (undefined extends Entry[Key] ? undefined : never);
};

/** What these keys become; the others are left as they are. */
export function readScheduler<Entry extends SchedulerEntry>(
  { account, options = [], ...rest }: Entry,
  { path, word }: SectionReader,
) {
  const lrm = { ...rest, options, binDir: path(rest.binDir), node: word(rest.node) };
  return { lrm, gang: { queue: rest.queue, account, options } };
}
