/**
 * Parsing of origins, as in undici.
 *
 * What lives here: `parseOrigin`, with undici's rules and messages for strings, URL objects and
 * objects that look like one. Constructors and origin patterns call it. It must not know options.
 */

import { invalid } from '../undici';
import { defaultPort } from './host';
import { isAbsent } from './own-options';

const PROTOCOL_MESSAGE = 'Invalid URL protocol: the URL must start with `http:` or `https:`.';

function startsWithHttp(value: unknown): boolean {
  return typeof value === 'string' && /^https?:/.test(value);
}

function isPort(port: unknown): boolean {
  const value = Number.parseInt(String(port), 10);
  return value === Number(port) && value >= 0 && value <= 65535;
}

/** Whether this is a `URL` of any realm. */
export function isUrl(value: unknown): value is URL {
  if (value instanceof URL) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { [Symbol.toStringTag]: tag, href } = value as Record<string | symbol, unknown>;
  return tag === 'URL' && typeof href === 'string';
}

/** The parts of a URL, each of which may be anything. */
interface UrlLike {
  origin?: unknown;
  protocol?: unknown;
  hostname?: unknown;
  port?: unknown;
  path?: unknown;
  pathname?: unknown;
  search?: unknown;
}

function isAbsentOrText(value: unknown): value is string | null | undefined {
  return isAbsent(value) || typeof value === 'string';
}

function fromParts(parts: UrlLike): URL {
  const { origin, protocol, hostname, port, path, pathname, search } = parts;
  if (!isAbsent(port) && port !== '' && !isPort(port)) {
    throw invalid(
      'Invalid URL: port must be a valid integer or a string representation of an integer.',
    );
  }
  if (!isAbsentOrText(path)) {
    throw invalid('Invalid URL path: the path must be a string or null/undefined.');
  }
  if (!isAbsentOrText(pathname)) {
    throw invalid('Invalid URL pathname: the pathname must be a string or null/undefined.');
  }
  if (!isAbsentOrText(hostname)) {
    throw invalid('Invalid URL hostname: the hostname must be a string or null/undefined.');
  }
  if (!isAbsentOrText(origin)) {
    throw invalid('Invalid URL origin: the origin must be a string or null/undefined.');
  }
  if (!startsWithHttp(origin || protocol)) throw invalid(PROTOCOL_MESSAGE);

  const scheme = typeof protocol === 'string' ? protocol : '';
  const effectivePort = isAbsent(port) ? defaultPort(scheme) : (port as string | number);
  const base = (origin ?? `${scheme}//${hostname ?? ''}:${effectivePort}`).replace(/\/$/, '');
  let rest = path ?? `${pathname ?? ''}${typeof search === 'string' ? search : ''}`;
  if (rest !== '' && !rest.startsWith('/')) rest = `/${rest}`;
  // Joined as text: `new URL(rest, base)` would let an absolute URL in `rest` replace the base.
  return newUrl(`${base}${rest}`);
}

/** Like `new URL`, but removes user name and password from the input in Node's error. */
function newUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (error) {
    const failed = error as { input?: unknown };
    if (typeof failed.input === 'string') failed.input = withoutCredentials(failed.input);
    throw error;
  }
}

/** For messages: the text of a URL-like value without what precedes an `@`. */
export function withoutCredentials(text: string): string {
  return text.replace(/^([^/]*\/\/)?.*@/s, '$1');
}

function parseUrl(url: unknown): URL {
  if (typeof url === 'string') {
    const parsed = newUrl(url);
    if (!startsWithHttp(parsed.origin || parsed.protocol)) throw invalid(PROTOCOL_MESSAGE);
    return parsed;
  }
  if (!url || typeof url !== 'object') {
    throw invalid('Invalid URL: The URL argument must be a non-null object.');
  }
  if (!(url instanceof URL)) return fromParts(url);
  if (!startsWithHttp(url.origin || url.protocol)) throw invalid(PROTOCOL_MESSAGE);
  return url;
}

/**
 * The origin passed to a constructor, without user name and password.
 *
 * @throws InvalidArgumentError, or the TypeError of `new URL()`, like undici.
 */
export function parseOrigin(origin: unknown): URL {
  const url = parseUrl(origin);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') throw invalid('invalid url');
  if (url.username === '' && url.password === '') return url;
  // undici sends neither. Events and debug output contain the URL, so they must not be in it.
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  return bare;
}
