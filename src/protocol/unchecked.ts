import { isIPv4 } from 'node:net';
import { macPattern } from './ids.ts';

/** Longer values are not repeated in what is said of them. */
const longestShown = 60;

/**
 * A value that somebody else has written, and where it stands in its document. The helper is root:
 * what a pilot asks of it, and its policy, are read with this before any of it becomes part of a
 * command or a rule. Every method throws an error that says where and what the value must be.
 */
export class Unchecked {
  /** Undefined: it is not there. */
  readonly value: unknown;
  readonly #path: string;

  constructor(value: unknown, path = '') {
    this.value = value;
    this.#path = path;
  }

  /** What stands at a key of this object; other keys may be there. */
  at(key: string): Unchecked {
    const members = this.#members();
    const value = Object.hasOwn(members, key) ? members[key] : undefined;
    return new Unchecked(value, this.#path === '' ? key : `${this.#path}.${key}`);
  }

  /** What stands at each key of this object. What we do not know, we do not half obey: another key is a mistake. */
  object<Key extends string>(...keys: readonly Key[]): Readonly<Record<Key, Unchecked>> {
    const unknown = Object.keys(this.#members()).find(key => !keys.includes(key as Key));
    if (unknown !== undefined) {
      const key = JSON.stringify(unknown.slice(0, longestShown));
      throw new Error(`${this.#path || 'it'} has a key ${key}, which is not known`);
    }
    return Object.fromEntries(keys.map(key => [key, this.at(key)])) as Record<Key, Unchecked>;
  }

  list(most: number): readonly Unchecked[] {
    const { value } = this;
    if (!Array.isArray(value) || value.length > most) return this.mustBe(`a list of at most ${most}`);
    return value.map((each: unknown, index) => new Unchecked(each, `${this.#path}[${index}]`));
  }

  text(pattern: RegExp | string, what: string): string {
    const { value } = this;
    return typeof value === 'string' && new RegExp(pattern).test(value) ? value : this.mustBe(what);
  }

  oneOf<const Word extends string>(words: readonly Word[]): Word {
    return words.find(word => word === this.value) ?? this.mustBe(`one of ${words.join(', ')}`);
  }

  integer(least: number, most: number): number {
    const { value } = this;
    const isWhole = typeof value === 'number' && Number.isInteger(value);
    return isWhole && value >= least && value <= most
      ? value
      : this.mustBe(`a whole number from ${least} to ${most}`);
  }

  /** Not with leading zeros either: some programs read them as octal. */
  ipv4(): string {
    const { value } = this;
    return typeof value === 'string' && isIPv4(value)
      ? value
      : this.mustBe('an IPv4 address such as 10.90.0.1');
  }

  /** One host's address: not loopback, link-local, multicast, nor "this network". */
  host(): string {
    const value = this.ipv4();
    return /^(0|127|22[4-9]|2[345]\d)\.|^169\.254\./.test(value) ? this.mustBe("a host's address") : value;
  }

  /** A MAC of one interface: an odd first octet would name a group of them. */
  mac(): string {
    const value = this.text(macPattern, 'a MAC');
    return Number.parseInt(value.slice(0, 2), 16) % 2 === 1 ? this.mustBe('the MAC of one interface') : value;
  }

  /** Throws an error that says what stands here instead. */
  mustBe(what: string): never {
    const text = JSON.stringify(this.value) ?? 'missing';
    const but = text.length <= longestShown ? ` (it is ${text})` : '';
    throw new Error(`${this.#path || 'it'} must be ${what}${but}`);
  }

  #members(): Readonly<Record<string, unknown>> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return this.mustBe('an object');
    return value as Record<string, unknown>;
  }
}
