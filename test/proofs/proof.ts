/**
 * A test that exercises what people can write to the product: by its file and its title, as they
 * stand in the source.
 */
export interface Proof {
  readonly file: string;
  readonly title: string;
  /** What it exercises, in the words of `surface.ts`. */
  readonly of: readonly string[];
  /**
   * What must stand in the test's file, or in a module of the tests that it imports. Default: the
   * name of the key, the command or the flag.
   */
  readonly by?: string;
}

/** What `of` says of several flags of one command: `wsp create` with `--name`, `--wait`. */
export function flags(command: string, ...names: readonly string[]): readonly string[] {
  return names.map(name => `${command} --${name}`);
}

/** What `of` says of several keys of one section. */
export function keys(section: string, ...names: readonly string[]): readonly string[] {
  return names.map(name => `${section}.${name}`);
}
