/**
 * Header fields of responses, from the boundary's text form to what handlers get.
 *
 * What lives here: parsed headers, raw headers as Buffers, and the interning of names. Called by
 * the exchange when a head or trailers arrive. It must not know records.
 *
 * Field lists come as latin1 text `name LF value LF …`, names as they stood on the wire.
 */

import type { ParsedHeaders } from './handler-types';

/**
 * Lower-case form of each spelling seen. A server that invents names must not fill the memory, so
 * the map stops growing at this size; real traffic has some dozens of names.
 */
const INTERN_LIMIT = 1024;
const interned = new Map<string, string>();

function ownCopy(slice: string): string {
  return Buffer.from(slice, 'latin1').toString('latin1');
}

function lowerCase(raw: string): string {
  const known = interned.get(raw);
  if (known !== undefined) return known;
  const lower = raw.toLowerCase();
  // A slice would keep its whole head alive; the detour through a Buffer makes a string of its own.
  if (interned.size < INTERN_LIMIT) {
    interned.set(ownCopy(raw), ownCopy(lower));
  }
  return lower;
}

function define(headers: ParsedHeaders, name: string, value: string): void {
  Object.defineProperty(headers, name, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

/** The headers object for the fields from `start` on: lower-case names, an array where one repeats. */
export function parseFields(text: string, start = 0): ParsedHeaders {
  const headers: ParsedHeaders = {};
  const length = text.length;
  let position = start;
  while (position < length) {
    const nameEnd = text.indexOf('\n', position);
    const valueEnd = text.indexOf('\n', nameEnd + 1);
    const name = lowerCase(text.slice(position, nameEnd));
    const value = text.slice(nameEnd + 1, valueEnd);
    position = valueEnd + 1;

    const known = headers[name];
    if (known === undefined) {
      headers[name] = value;
    } else if (!Object.hasOwn(headers, name)) {
      // `__proto__`, `constructor`, …: inherited, and to be stored as what they are: names.
      define(headers, name, value);
    } else if (typeof known === 'string') {
      headers[name] = [known, value];
    } else {
      known.push(value);
    }
  }
  return headers;
}

/** Flat list of names and values as Buffers, for the fields from `start` on. */
export function rawFields(text: string, start = 0): Buffer[] {
  const raw: Buffer[] = [];
  const length = text.length;
  let position = start;
  while (position < length) {
    const end = text.indexOf('\n', position);
    raw.push(Buffer.from(text.slice(position, end), 'latin1'));
    position = end + 1;
  }
  return raw;
}

/** Reason phrases are bytes; undici reads them as UTF-8. */
export function decodeReason(latin1: string): string {
  for (let i = 0; i < latin1.length; i++) {
    if (latin1.charCodeAt(i) > 0x7f) return Buffer.from(latin1, 'latin1').toString('utf8');
  }
  return latin1;
}
