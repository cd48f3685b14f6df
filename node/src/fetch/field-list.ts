/**
 * Header fields of a request of fetch.
 *
 * What lives here: the standard's header list, as far as requests need it, and the reading of
 * `init.headers`. It must not know which fields a request gets. What it cannot read, or may not stand
 * there, is the peer's to refuse.
 */

import { isHeaderValue, isToken } from '../headers';
import type { PeerHeadersList } from '../undici';

const EDGES = /^[\t\n\r ]+|[\t\n\r ]+$/g;

/** Names in the order of their first appearance, each with its values joined. */
export class FieldList {
  /** Lower-case names. */
  readonly #names: string[] = [];
  /** As they were given. */
  readonly #given: string[] = [];
  readonly #values: string[] = [];

  get isEmpty(): boolean {
    return this.#names.length === 0;
  }

  has(name: string): boolean {
    return this.#names.includes(name);
  }

  get(name: string): string | null {
    const index = this.#names.indexOf(name);
    return index === -1 ? null : (this.#values[index] as string);
  }

  append(given: string, value: string): void {
    const name = given.toLowerCase();
    const index = this.#names.indexOf(name);
    if (index === -1) {
      this.#names.push(name);
      this.#given.push(given);
      this.#values.push(value);
    } else {
      const before = this.#values[index] as string;
      this.#values[index] = `${before}${name === 'cookie' ? '; ' : ', '}${value}`;
    }
  }

  /** For a `name` in lower case. */
  set(name: string, value: string): void {
    const index = this.#names.indexOf(name);
    if (index === -1) this.append(name, value);
    else {
      this.#given[index] = name;
      this.#values[index] = value;
    }
  }

  delete(name: string): void {
    const index = this.#names.indexOf(name);
    if (index === -1) return;
    this.#names.splice(index, 1);
    this.#given.splice(index, 1);
    this.#values.splice(index, 1);
  }

  /** A list of its own with the same fields. */
  copy(): FieldList {
    const copy = new FieldList();
    copy.#names.push(...this.#names);
    copy.#given.push(...this.#given);
    copy.#values.push(...this.#values);
    return copy;
  }

  /** As dispatchers take them. */
  toObject(): Record<string, string> {
    const fields: Record<string, string> = {};
    for (let i = 0; i < this.#given.length; i++) {
      const name = this.#given[i] as string;
      const value = this.#values[i] as string;
      if (name !== '__proto__') fields[name] = value;
      else {
        const rest = { enumerable: true, configurable: true, writable: true };
        Object.defineProperty(fields, name, { value, ...rest });
      }
    }
    return fields;
  }

  /** The fields of a list of the peer's. */
  static of({ headersMap }: PeerHeadersList): FieldList {
    const list = new FieldList();
    for (const [name, field] of headersMap) {
      list.#names.push(name);
      list.#given.push(field.name);
      list.#values.push(field.value);
    }
    return list;
  }

  /** A field of a user's, normalised; `false` if it may not stand there. */
  #take(name: unknown, given: unknown): boolean {
    if (typeof name !== 'string' || !isToken(name)) return false;
    let value = given;
    if (typeof value !== 'string') {
      if (typeof value === 'object' || typeof value === 'function' || typeof value === 'symbol') {
        if (value !== null) return false;
      }
      value = String(value);
    }
    const text = (value as string).replace(EDGES, '');
    if (!isHeaderValue(text)) return false;
    this.append(name, text);
    return true;
  }

  /**
   * Reads a plain object or an array of pairs; `null` for anything else, and for what may not stand in
   * a header: nothing has been changed by looking then, and the peer says what is wrong.
   */
  static read(given: object): FieldList | null {
    const list = new FieldList();
    if (Array.isArray(given)) {
      for (const pair of given as unknown[]) {
        if (!Array.isArray(pair) || pair.length !== 2) return null;
        if (!list.#take(pair[0], pair[1])) return null;
      }
      return list;
    }
    const prototype: unknown = Object.getPrototypeOf(given);
    if (prototype !== Object.prototype && prototype !== null) return null;
    if (Symbol.iterator in given) return null;
    const fields = given as Record<string, unknown>;
    for (const name of Object.keys(fields)) {
      if (!list.#take(name, fields[name])) return null;
    }
    return list;
  }
}
