/**
 * Header fields of responses, from the boundary's text form to what handlers get.
 *
 * What lives here: parsed headers, raw headers as Buffers, and the interning of names. Called by
 * the request when a head or trailers arrive. It must not know records.
 *
 * Field lists come as latin1 text `name LF value LF …`, names as they stood on the wire.
 */

import type { ParsedHeaders } from '../undici';

/**
 * A server that invents names must not fill the memory, so what is interned stops growing at this
 * size; real traffic has some dozens of names.
 */
const INTERN_LIMIT = 1024;

/** A name in lower case. */
interface Name {
  readonly text: string;
  /**
   * Whether `head` does not say if the headers object has it: every object has `constructor`,
   * `__proto__`, …, and what is not interned is made anew for each field.
   */
  readonly isUnsure: boolean;
  /** The last head that had it, so that a name that repeats is known without a look-up. */
  head: number;
}

/** A spelling of a name as it stood on the wire. */
interface Spelling {
  readonly name: Name;
  /** With the LF that ends it. */
  readonly line: string;
  /**
   * What came after it the last time. Servers write their fields in one order, so comparing with
   * that mostly does, and takes less than cutting the name out, hashing it and looking it up.
   */
  next: Spelling | null;
}

const names = new Map<string, Name>();
const spellings = new Map<string, Spelling>();
/** What the last head began with. */
let first: Spelling | null = null;
/** Number of the head that is being read; it wraps. */
let heads = 0;

/** A slice would keep its whole head alive; the detour through a Buffer makes a string of its own. */
function ownCopy(slice: string): string {
  return Buffer.from(slice, 'latin1').toString('latin1');
}

function nameOf(raw: string): Name {
  const lower = raw.toLowerCase();
  const known = names.get(lower);
  if (known !== undefined) return known;
  if (names.size >= INTERN_LIMIT) return { text: lower, isUnsure: true, head: -1 };
  const text = ownCopy(lower);
  const name = { text, isUnsure: text in Object.prototype, head: -1 };
  names.set(text, name);
  return name;
}

/** The spelling of a field that is not the expected one; expected the next time after `previous`. */
function learn(raw: string, previous: Spelling | null): Spelling {
  let spelling = spellings.get(raw);
  if (spelling === undefined) {
    spelling = { name: nameOf(raw), line: ownCopy(`${raw}\n`), next: null };
    if (spellings.size >= INTERN_LIMIT) return spelling;
    spellings.set(ownCopy(raw), spelling);
  }
  if (previous === null) first = spelling;
  else previous.next = spelling;
  return spelling;
}

/** A field whose name repeats in its head, or may do so. */
function addField(headers: ParsedHeaders, name: string, value: string): void {
  const known = Object.hasOwn(headers, name) ? headers[name] : undefined;
  if (known === undefined) {
    Object.defineProperty(headers, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else if (typeof known === 'string') {
    headers[name] = [known, value];
  } else {
    known.push(value);
  }
}

/** The headers object for the fields from `start` on: lower-case names, an array where one repeats. */
export function parseFields(text: string, start = 0): ParsedHeaders {
  const headers: ParsedHeaders = {};
  const length = text.length;
  heads = (heads + 1) & 0x3fffffff;
  const head = heads;
  let position = start;
  let previous: Spelling | null = null;
  let spelling: Spelling | null = first;
  while (position < length) {
    if (spelling === null || !text.startsWith(spelling.line, position)) {
      spelling = learn(text.slice(position, text.indexOf('\n', position)), previous);
    }
    const valueStart = position + spelling.line.length;
    const valueEnd = text.indexOf('\n', valueStart);
    const value = text.slice(valueStart, valueEnd);
    position = valueEnd + 1;

    const { name } = spelling;
    if (name.head !== head && !name.isUnsure) {
      name.head = head;
      headers[name.text] = value;
    } else {
      addField(headers, name.text, value);
    }
    previous = spelling;
    spelling = spelling.next;
  }
  return headers;
}

/** Names and values of the fields from `start` on as Buffers, added to `raw`. */
export function rawFields(text: string, start = 0, raw: Buffer[] = []): Buffer[] {
  const length = text.length;
  // One piece of memory for all: latin1 has a byte for each character.
  const bytes = Buffer.from(start === 0 ? text : text.slice(start), 'latin1');
  let position = start;
  while (position < length) {
    const end = text.indexOf('\n', position);
    raw.push(bytes.subarray(position - start, end - start));
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
