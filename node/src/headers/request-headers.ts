/**
 * Header fields of a request: undici's checks, and the serialised lines.
 *
 * What lives here: special names, the bytes allowed in names and values, and the three shapes in which
 * callers pass headers. It must not know bodies, sessions or records. Source of the rules: undici's
 * documented behaviour, RFC 9110 section 5.
 */

import { errors, invalid } from '../undici';

/** What the fields of a request amount to. `request.ts` keeps it in the request itself. */
export interface HeaderTarget {
  /** Value of `host`; `null` until given. */
  host: string | null;
  /** Value of `content-length`; `null` until given. */
  contentLength: number | null;
  contentType: string | null;
  /** `true` when `connection: close` was given. */
  reset: boolean | null;
  /** The other fields as they go on the wire, each ended by CRLF. */
  lines: string;
}

/** Not a TypeScript enum: the values are compared on every header of every request. */
const ORDINARY = 0;
const HOST = 1;
const CONTENT_LENGTH = 2;
const CONTENT_TYPE = 3;
const REJECTED = 4;
const CONNECTION = 5;
const EXPECT = 6;

const SPECIAL = new Map<string, number>([
  ['host', HOST],
  ['content-length', CONTENT_LENGTH],
  ['content-type', CONTENT_TYPE],
  ['transfer-encoding', REJECTED],
  ['keep-alive', REJECTED],
  ['upgrade', REJECTED],
  ['connection', CONNECTION],
  ['expect', EXPECT],
]);

/** A valid spelling of a name. */
interface KnownName {
  readonly kind: number;
  /** The last valid value, and its line: programs repeat theirs. */
  value: string | undefined;
  line: string;
}

/** Bounded, because names may be untrusted. */
const KNOWN_LIMIT = 2048;
const known = new Map<unknown, KnownName>();
/** The longest value that is kept, in characters. */
const KEPT_VALUE = 64;

/** RFC 9110 5.6.2: token. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 5.5, with obs-text; no control characters but the tab, and nothing beyond latin1. */
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const DIGITS = /^[0-9]+$/;

/** Whether `text` is a token of RFC 9110: a method or a field name. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** Whether `text` is a valid field value. */
export function isHeaderValue(text: string): boolean {
  return !BAD_VALUE.test(text);
}

/**
 * Checks a name that was not seen before.
 *
 * The name itself must be a token: the Kelvin sign, for example, becomes a `k` in lower case and another
 * byte on the wire. And it must be a string, because an object could change its text; anything else
 * fails as in undici, with the TypeError of the call.
 */
function learn(key: unknown): KnownName {
  const name = (key as string).toLowerCase();
  if (typeof key !== 'string' || !isToken(key)) throw invalid('invalid header key');
  const spelling = { kind: SPECIAL.get(name) ?? ORDINARY, value: undefined, line: '' };
  if (known.size < KNOWN_LIMIT) known.set(key, spelling);
  return spelling;
}

/** One value as text. Read once: an object's own `toString` could return something else next time. */
function textOf(value: unknown, key: string): string {
  if (value === null) return '';
  if (typeof value === 'object') throw invalid(`invalid ${key} header`);
  // A template, not String(): a symbol is rejected, as by undici.
  const text = typeof value === 'string' ? value : `${value as number}`;
  if (BAD_VALUE.test(text)) throw invalid(`invalid ${key} header`);
  return text;
}

/**
 * Takes one field.
 *
 * @throws InvalidArgumentError or NotSupportedError with undici's message.
 */
export function addHeader(target: HeaderTarget, key: string, value: unknown): void {
  if (value === undefined) return;
  let list: string[] | null = null;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    throw invalid(`invalid ${key} header`);
  }
  const spelling = known.get(key) ?? learn(key);
  if (spelling.value === value) {
    target.lines += spelling.line;
    return;
  }
  const { kind } = spelling;
  let text = '';
  if (Array.isArray(value)) {
    // Not with its own `map`, which could return something other than what is checked.
    list = [];
    for (const single of value) list.push(textOf(single, key));
  } else text = textOf(value, key);

  if (kind === ORDINARY) {
    if (list === null) {
      const line = `${key}: ${text}\r\n`;
      target.lines += line;
      if (text === value && text.length <= KEPT_VALUE) {
        spelling.value = text;
        spelling.line = line;
      }
    } else for (const single of list) target.lines += `${key}: ${single}\r\n`;
    return;
  }
  addSpecial(target, kind, key, list, text);
}

function addSpecial(
  target: HeaderTarget,
  kind: number,
  key: string,
  list: string[] | null,
  text: string,
): void {
  switch (kind) {
    case HOST:
      if (target.host !== null) throw invalid('duplicate host header');
      if (list !== null) throw invalid('invalid host header');
      target.host = text;
      return;
    case CONTENT_LENGTH:
      if (target.contentLength !== null) throw invalid('duplicate content-length header');
      if (list !== null || !DIGITS.test(text)) throw invalid('invalid content-length header');
      target.contentLength = Number(text);
      // Beyond that, the number on the wire would differ from the caller's.
      if (!Number.isSafeInteger(target.contentLength)) {
        throw invalid('invalid content-length header');
      }
      return;
    case CONTENT_TYPE:
      target.contentType ??= list === null ? text : list.join(', ');
      for (const single of list ?? [text]) target.lines += `${key}: ${single}\r\n`;
      return;
    case CONNECTION:
      if (list !== null) throw invalid('invalid connection header');
      for (const part of text.toLowerCase().split(',')) {
        const token = part.trim();
        if (!isToken(token)) throw invalid('invalid connection header');
        if (token === 'close') target.reset = true;
      }
      return;
    case EXPECT:
      throw new errors.NotSupportedError('expect header not supported');
    default:
      throw invalid(`invalid ${key.toLowerCase()} header`);
  }
}

/** A plain object whose prototype was polluted with an iterator is still a plain object. */
export function isIterableObject(value: object): value is Iterable<unknown> {
  if ((value as Partial<Iterable<unknown>>)[Symbol.iterator] === undefined) return false;
  if (Object.hasOwn(value, Symbol.iterator)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    prototype !== null &&
    prototype !== Object.prototype &&
    typeof (value as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function'
  );
}

/**
 * Accepts headers in any of undici's shapes: flat array, iterable of pairs, plain object.
 *
 * @throws InvalidArgumentError or NotSupportedError with undici's message.
 */
export function addHeaders(target: HeaderTarget, headers: unknown): void {
  if (headers === null || headers === undefined) return;
  if (Array.isArray(headers)) {
    if (headers.length % 2 !== 0) throw invalid('headers array must be even');
    for (let i = 0; i < headers.length; i += 2) {
      addHeader(target, headers[i] as string, headers[i + 1]);
    }
    return;
  }
  if (typeof headers !== 'object') throw invalid('headers must be an object or an array');
  if (isIterableObject(headers)) {
    for (const pair of headers) {
      if (!Array.isArray(pair) || pair.length !== 2) {
        throw invalid('headers must be in key-value pair format');
      }
      addHeader(target, pair[0] as string, pair[1]);
    }
    return;
  }
  const fields = headers as Record<string, unknown>;
  for (const key of Object.keys(fields)) addHeader(target, key, fields[key]);
}
