/**
 * Response header fields, from the boundary's text form to what handlers get.
 *
 * What lives here: parsed headers, raw headers as Buffers, and the interning of names. Called by
 * the request when a head or trailers arrive. It must not know records.
 *
 * Field lists are latin1 text `name LF value LF …`, with names as received.
 */

import type { ParsedHeaders } from '../undici';

/**
 * A server that invents names must not fill memory, so the interned names stop growing at this size;
 * real traffic has a few dozen names.
 */
const INTERN_LIMIT = 1024;

/** The longest head that is kept, in characters. */
const KEPT_HEAD = 4096;

/** A name in lower case. */
interface Name {
  readonly text: string;
  /**
   * Whether `head` cannot tell if the headers object has it: every object has `constructor`,
   * `__proto__`, …, and names that are not interned are created for each field.
   */
  readonly isUnsure: boolean;
  /** The last head that had it, so that a repeated name is detected without a lookup. */
  head: number;
}

/** A spelling of a name, as received. */
interface Spelling {
  readonly name: Name;
  /** Including its LF. */
  readonly line: string;
  /**
   * What followed it the last time. Servers write their fields in a fixed order, so comparing with that
   * usually suffices, and is cheaper than slicing the name, hashing it and looking it up.
   */
  next: Spelling | null;
}

const names = new Map<string, Name>();
const spellings = new Map<string, Spelling>();
/** The first spelling of the last head. */
let first: Spelling | null = null;
/** Number of the current head; it wraps. */
let heads = 0;

/** A slice would keep its whole head alive; going through a Buffer creates an independent string. */
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

/** Of these, Node's HTTP/2 keeps the first: they have one value (`node:internal/http2/util`). */
const SINGLE = new Set(
  `:status access-control-allow-credentials access-control-max-age
  access-control-request-method age authorization content-encoding content-language content-length
  content-location content-md5 content-range content-type date dnt etag expires from host
  if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location
  max-forwards proxy-authorization range referer retry-after tk upgrade-insecure-requests
  user-agent x-content-type-options`.split(/\s+/),
);

/** Joins what is repeated as Node's HTTP/2, and so undici over it, does. */
function joinField(known: string | string[], name: string, value: string): string | string[] {
  if (Array.isArray(known)) {
    known.push(value);
    return known;
  }
  if (name === 'set-cookie') return [known, value];
  if (SINGLE.has(name)) return known;
  return `${known}${name === 'cookie' ? '; ' : ', '}${value}`;
}

/** A field whose name is, or may be, repeated in its head. */
function addField(headers: ParsedHeaders, name: string, value: string, isHttp2: boolean): void {
  const known = Object.hasOwn(headers, name) ? headers[name] : undefined;
  if (known === undefined) {
    Object.defineProperty(headers, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else if (isHttp2) {
    headers[name] = joinField(known, name, value);
  } else if (typeof known === 'string') {
    headers[name] = [known, value];
  } else {
    known.push(value);
  }
}

/** The last head, and its headers if it was repeated: servers that set `date` alone repeat theirs for a second. */
let lastText = '';
let lastStart = 0;
let lastHeaders: Readonly<ParsedHeaders> | null = null;

/**
 * The headers object for the fields from `start`: lower-case names; what a repeated one is depends on
 * the protocol, as in undici: over HTTP/1.1 an array.
 */
export function parseFields(text: string, start = 0, isHttp2 = false): ParsedHeaders {
  const isRepeated = text === lastText && start === lastStart;
  // A copy takes a tenth of the time.
  if (isRepeated && lastHeaders !== null) return { ...lastHeaders };
  const headers: ParsedHeaders = {};
  let isPlain = text.length <= KEPT_HEAD;
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
      isPlain = false;
      addField(headers, name.text, value, isHttp2);
    }
    previous = spelling;
    spelling = spelling.next;
  }
  if (isPlain) {
    lastText = text;
    lastStart = start;
    lastHeaders = isRepeated ? { ...headers } : null;
  }
  return headers;
}

/** Appends names and values of the fields from `start` to `raw`, as Buffers. */
export function rawFields(text: string, start = 0, raw: Buffer[] = []): Buffer[] {
  const length = text.length;
  // One allocation for all: latin1 has one byte per character.
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
