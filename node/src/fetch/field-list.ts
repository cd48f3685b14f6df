/**
 * The header fields of a fetch request.
 *
 * What lives here: the standard's header list, as far as requests need it, and reading
 * `init.headers`. It must not know which fields a request gets. The peer rejects what is invalid or
 * cannot be read here.
 */

import { isHeaderValue, isToken } from '../headers';
import type { PeerHeadersList } from '../undici';

const EDGES = /^[\t\n\r ]+|[\t\n\r ]+$/g;

/** Names in the order of their first appearance, each with its values joined. */
export class FieldList {
  /** Lower-case names. */
  readonly #names: string[] = [];
  /** Names as given. */
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

  /** `name` is in lower case. */
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

  /** A copy. */
  copy(): FieldList {
    const copy = new FieldList();
    copy.#names.push(...this.#names);
    copy.#given.push(...this.#given);
    copy.#values.push(...this.#values);
    return copy;
  }

  /** In the form that dispatchers accept. */
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

  /** The fields of one of the peer's lists. */
  static of({ headersMap }: PeerHeadersList): FieldList {
    const list = new FieldList();
    for (const [name, field] of headersMap) {
      list.#names.push(name);
      list.#given.push(field.name);
      list.#values.push(field.value);
    }
    return list;
  }

  /** Adds a user's field, normalized; `false` if it is invalid. */
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
   * Reads a plain object or an array of pairs; `null` for anything else and for invalid fields:
   * reading has had no effect then, and the peer reports what is wrong.
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
