/**
 * The head of a response, as received.
 *
 * What lives here: the fields in the form in which a dispatcher passes them, access to single ones,
 * and the list for the peer's Headers, which is created on first access. It must not know bodies.
 */

import { parseFields } from '../headers';
import type { FetchInternals, PeerHeadersList } from '../undici';

/** Fields as a dispatcher passes them, or the engine's text. */
export type Fields =
  | { readonly kind: 'text'; readonly text: string; readonly start: number }
  | { readonly kind: 'raw'; readonly raw: readonly unknown[] }
  | { readonly kind: 'parsed'; readonly parsed: Readonly<Record<string, unknown>> };

type Visit = (name: string, value: string) => void;

/** Bytes of a header, or what an interceptor has replaced them with. */
function textOf(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString('latin1') : (value as string);
}

function visitEach(name: string, value: unknown, visit: Visit): void {
  if (Array.isArray(value)) for (const single of value) visit(name, textOf(single));
  else visit(name, textOf(value));
}

/** Calls `visit` with the lower-case name and the value of each field. */
function visitFields(fields: Fields, visit: Visit): void {
  if (fields.kind === 'raw') {
    const { raw } = fields;
    for (let i = 0; i < raw.length; i += 2) {
      visitEach(textOf(raw[i]).toLowerCase(), raw[i + 1], visit);
    }
    return;
  }
  const parsed = fields.kind === 'parsed' ? fields.parsed : parseFields(fields.text, fields.start);
  for (const [name, value] of Object.entries(parsed)) visitEach(name, value, visit);
}

/** Whether there may be a field of this name, in lower case; faster than searching for its value. */
export function mayHave(fields: Fields, name: string): boolean {
  return fields.kind !== 'text' || fields.text.toLowerCase().includes(`\n${name}\n`);
}

/** The joined value of a field; `null` for none. */
export function fieldOf(fields: Fields, wanted: string): string | null {
  let found: string | null = null;
  visitFields(fields, (name, value) => {
    if (name === wanted) found = found === null ? value : `${found}, ${value}`;
  });
  return found;
}

type HeadersMap = PeerHeadersList['headersMap'];

/** A header list that is parsed on first access; genuine for the peer's Headers. */
export class LazyHeadersList implements PeerHeadersList {
  #fields: Fields | null;
  #map: HeadersMap = EMPTY;
  #cookies: string[] | null = null;
  #sorted: unknown = null;

  constructor(fields: Fields) {
    this.#fields = fields;
  }

  #read(): void {
    const fields = this.#fields;
    if (fields === null) return;
    this.#fields = null;
    const map: HeadersMap = new Map();
    visitFields(fields, (name, value) => {
      const known = map.get(name);
      const delimiter = name === 'cookie' ? '; ' : ', ';
      map.set(name, {
        name,
        value: known === undefined ? value : `${known.value}${delimiter}${value}`,
      });
      if (name === 'set-cookie') (this.#cookies ??= []).push(value);
    });
    this.#map = map;
  }

  get headersMap(): HeadersMap {
    this.#read();
    return this.#map;
  }

  set headersMap(map: HeadersMap) {
    this.#fields = null;
    this.#map = map;
  }

  get cookies(): string[] | null {
    this.#read();
    return this.#cookies;
  }

  set cookies(cookies: string[] | null) {
    this.#read();
    this.#cookies = cookies;
  }

  get sortedMap(): unknown {
    return this.#sorted;
  }

  set sortedMap(sorted: unknown) {
    this.#sorted = sorted;
  }
}

const EMPTY: HeadersMap = new Map();

/** Makes `LazyHeadersList` inherit from the peer's list; once. */
export function adoptHeadersList(internals: FetchInternals): void {
  Object.setPrototypeOf(LazyHeadersList.prototype, internals.HeadersList.prototype);
}
