/**
 * Per-origin options: the `origins` option of `Agent`.
 *
 * What lives here: the grammar of origin patterns, their specificity, and merging a pattern's
 * options with the agent's. `agent.ts` calls it. It must not know pools.
 *
 * A pattern is `[scheme://]host[:port]`:
 * - `scheme` is `http` or `https`; without one, both match.
 * - `host` is a name, an IP address (IPv6 in brackets), `*.` before a name, or `*`. `*.` stands for
 *   one or more labels: `*.example.com` matches `a.example.com` and `a.b.example.com`, but not
 *   `example.com`. Spellings of the same host (case, IDN, a trailing dot, other forms of an IP
 *   address) are equivalent.
 * - `port` is a number, or `*` for every port. Without one, a pattern with a scheme matches the
 *   scheme's default port, as in any URL, and a pattern without a scheme matches every port.
 *
 * Only the most specific of several matching patterns applies, whatever their order:
 * 1. an exact host before a `*.` host, a longer `*.` host before a shorter one, `*` last;
 * 2. then an explicit port before every port;
 * 3. then an explicit scheme before both.
 */

import { invalid } from '../undici';
import { CLIENT_OPTIONS, CONNECT_KEYS, H2_OPTIONS, POOL_OPTIONS } from './generated';
import { defaultPort, hostOf, parseHost, portOf } from './host';
import { ownOptions, spread } from './own-options';
import { withoutCredentials } from './parse-origin';

/** A parsed pattern. */
interface OriginPattern {
  readonly text: string;
  /** `null`: both. */
  readonly scheme: 'http:' | 'https:' | null;
  /** The host, or what follows `*`: `.example.com`, or nothing for `*`. */
  readonly host: string;
  readonly isWildcard: boolean;
  /** `null`: every port. */
  readonly port: number | null;
}

/** One entry of `origins`. */
export interface OriginRule {
  readonly pattern: OriginPattern;
  readonly options: Record<string, unknown>;
}

const GRAMMAR =
  /^(?:(https?):\/\/)?(\*|(?:\*\.)?[^*/:@?#[\]\\\s]+|\[[0-9a-f:.]+\])(?::(\d{1,5}|\*))?\/?$/i;

function badPattern(text: string, why: string): Error {
  const shown = JSON.stringify(withoutCredentials(text));
  return invalid(`invalid origin pattern ${shown}: ${why}`);
}

function canonicalHost(text: string, host: string): string {
  const canonical = parseHost(host);
  if (canonical === null || canonical === '') throw badPattern(text, 'the host is not valid');
  return canonical;
}

/** Reads a pattern; see the file's comment. Throws InvalidArgumentError. */
export function parsePattern(text: string): OriginPattern {
  const parts = GRAMMAR.exec(text);
  const host = parts?.[2];
  if (text.includes('@')) throw badPattern(text, 'it must not contain a user name or a password');
  if (parts === null || host === undefined) {
    throw badPattern(
      text,
      'expected [scheme://]host[:port] with the scheme http or https, where the host may be "*" or start with "*."',
    );
  }
  const scheme =
    parts[1] === undefined ? null : (`${parts[1].toLowerCase()}:` as 'http:' | 'https:');
  let port: number | null;
  if (parts[3] === '*') port = null;
  else if (parts[3] !== undefined) port = Number(parts[3]);
  else port = scheme === null ? null : defaultPort(scheme);
  if (port !== null && (port < 1 || port > 65535)) throw badPattern(text, 'the port is not valid');

  const isWildcard = host.startsWith('*');
  const name = isWildcard ? host.slice(2) : host;
  const canonical = name === '' ? '' : canonicalHost(text, name);
  return {
    text,
    scheme,
    host: isWildcard && canonical !== '' ? `.${canonical}` : canonical,
    isWildcard,
    port,
  };
}

function matches(pattern: OriginPattern, url: URL): boolean {
  if (pattern.scheme !== null && pattern.scheme !== url.protocol) return false;
  if (pattern.port !== null && pattern.port !== portOf(url)) return false;
  const host = hostOf(url);
  if (!pattern.isWildcard) return host === pattern.host;
  return host.length > pattern.host.length && host.endsWith(pattern.host);
}

function countLabels(host: string): number {
  return host === '' ? 0 : host.split('.').length - 1;
}

/** Negative if `a` is more specific than `b`; 0 only for equivalent patterns. */
function bySpecificity(a: OriginPattern, b: OriginPattern): number {
  if (a.isWildcard !== b.isWildcard) return a.isWildcard ? 1 : -1;
  const labels = a.isWildcard ? countLabels(b.host) - countLabels(a.host) : 0;
  if (labels !== 0) return labels;
  if ((a.port === null) !== (b.port === null)) return a.port === null ? 1 : -1;
  if ((a.scheme === null) !== (b.scheme === null)) return a.scheme === null ? 1 : -1;
  return 0;
}

function meansTheSame(a: OriginPattern, b: OriginPattern): boolean {
  return (
    a.scheme === b.scheme && a.host === b.host && a.isWildcard === b.isWildcard && a.port === b.port
  );
}

/** Options that an origin can have; anything else in an entry is an error. */
const ORIGIN_OPTIONS = new Set(
  [...CLIENT_OPTIONS, ...POOL_OPTIONS, ...H2_OPTIONS].map(({ name }) => name),
);

/**
 * The options of one entry, with valid names; values are validated after merging.
 *
 * @param where Names the entry in messages.
 */
export function checkOriginOptions(options: unknown, where: string): Record<string, unknown> {
  if (options instanceof Promise) {
    throw invalid(`${where} must be an object, not a Promise: the function cannot be async`);
  }
  if (!isRecord(options)) throw invalid(`${where} must be an object`);
  const given = ownOptions(options);
  for (const name of Object.keys(given)) {
    if (!ORIGIN_OPTIONS.has(name)) throw invalid(`${where}.${name} is not a per-origin option`);
  }
  for (const name of ['connect', 'tls']) {
    for (const key of Object.keys(spread(given[name]))) {
      if (!CONNECT_KEYS.has(key)) throw invalid(`${where}.${name}.${key} is not an option`);
    }
  }
  return given;
}

/** Whether this is an object with options, of any realm: not a list, a `Map` or the like. */
export function isRecord(value: unknown): value is object {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/**
 * For every class except `Agent`, which alone has a pool per origin.
 *
 * @throws InvalidArgumentError if `origins` is given.
 */
export function refuseOrigins({ origins }: Readonly<Record<string, unknown>>, name: string): void {
  if (origins === undefined || origins === null) return;
  throw invalid(`origins is an option of Agent, not of ${name}`);
}

/**
 * The rules of an `origins` object, most specific first.
 *
 * @throws InvalidArgumentError for an invalid pattern, two equivalent patterns, a value that is
 * not an object, or a name that is not a per-origin option or a key of `connect`.
 */
export function parseOrigins(origins: object): OriginRule[] {
  const rules: OriginRule[] = [];
  for (const [text, options] of Object.entries(origins)) {
    const pattern = parsePattern(text);
    const twin = rules.find((rule) => meansTheSame(rule.pattern, pattern));
    if (twin !== undefined) throw badPattern(text, `it means the same as ${twin.pattern.text}`);
    rules.push({
      pattern,
      options: checkOriginOptions(options, `origins[${JSON.stringify(text)}]`),
    });
  }
  return rules.sort((a, b) => bySpecificity(a.pattern, b.pattern));
}

/** The most specific rule that matches `url`. `rules` are in the order of `parseOrigins`. */
export function findRule(rules: readonly OriginRule[], url: URL): OriginRule | undefined {
  return rules.find((rule) => matches(rule.pattern, url));
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/**
 * An origin's options over the agent's: each option replaces the agent's, except that two `connect`
 * objects are merged key by key, so that a `ca` for one origin keeps the agent's `timeout`.
 */
export function mergeOptions(
  base: Readonly<Record<string, unknown>>,
  own: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const merged = { ...base, ...own };
  if (isPlain(base['connect']) && isPlain(own['connect'])) {
    merged['connect'] = { ...base['connect'], ...own['connect'] };
  }
  return merged;
}
