import Type, { type Static, type TSchema } from 'typebox';
import { DurationText, MemoryText, PathText, strict } from './schema.ts';

/**
 * Sections of the site file of which there are several kinds (`lrm`, `node.vmm`, `policy`). Each
 * member of such a family says in its own folder what its section may hold and what becomes of it.
 * The schemas' library is handed in: programs on nodes, and the core, have members but no schemas.
 */

const Word = Type.String({ minLength: 1, pattern: '^[^\\s\\0]+$', description: 'one word' });
const Argument = Type.String({
  minLength: 1,
  pattern: '^[^\\0\\r\\n]+$',
  description: 'one argument, on one line',
});

/** What sections are written with. */
export const sectionKit = {
  Type,
  strict,
  Word,
  /** More arguments for a command. */
  Arguments: Type.Array(Argument, { maxItems: 64 }),
  /** A program: a name to look for in PATH, or a path; `./` and `../` are relative to the file. */
  Program: Type.String({
    pattern: '^[^~\\0\\r\\n][^\\0\\r\\n]*$',
    description: 'a program or an argument on one line, which does not begin with ~: write the whole path',
  }),
  Port: Type.Integer({ minimum: 1, maximum: 65_535 }),
  Path: PathText,
  Duration: DurationText,
  Memory: MemoryText,
} as const;
/** See `sectionKit`. */
export type SectionKit = typeof sectionKit;

/** What may be in a section: an object with a `kind`. */
export type SectionSchema = TSchema;

/** A section as it is written, of the function that makes its schema. */
export type EntryOf<Schema extends (kit: SectionKit) => SectionSchema> = Static<ReturnType<Schema>>;

/** Values of a section that a schema cannot check; a value comes back all the same. */
export interface SectionReader {
  /** Tells of a mistake at a key of this section. */
  mistake(key: string, message: string): void;
  /** `1h` in milliseconds. */
  durationMs(text: string, key: string): number;
  /** `256M` in MiB. */
  memoryMiB(text: string, key: string): number;
  /** A path relative to the file, as an absolute one; none stays none. */
  path<Text extends string | undefined>(text: Text): Text;
  /** A word of a command: `./x` and `../x` are paths relative to the file, all else stays as it is. */
  word<Text extends string | undefined>(text: Text): Text;
}
