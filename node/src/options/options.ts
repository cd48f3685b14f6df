/**
 * Options of clients and pools: checked as undici checks them, filled in, ready for the engine.
 *
 * What lives here: undici's rules and messages in undici's order, and `PoolSettings`. The
 * constructors of `Client`, `Pool` and `Agent` call it. It must not know sessions or requests.
 *
 * One difference, on purpose: undici's `Pool` and `Agent` look at most options only when the first
 * request makes a `Client`, and fail that request. Here every option is checked in the constructor.
 */

import * as http from 'node:http';
import { isIP } from 'node:net';

import { errors, peerMajor, type PeerReason, reasonNow } from '../undici';
import {
  checkZone,
  type ConnectSettings,
  findUnsupported,
  readConnectOptions,
} from './connect-options';
import { type Decompression, NOT_DECODED, readDecompress } from './decompress';
import { ownOptions, type RawOptions, spread } from './own-options';
import { parseOrigin } from './parse-origin';
import { proxyOf, type ProxySettings } from './proxy-settings';

/** Which class asks: a `Client` is a pool of one connection whose queue fails as a whole. */
export type SettingsKind = 'client' | 'pool';

/** HTTP/2 options, checked and kept. */
export interface H2Settings {
  /** Most requests at a time on one connection. Default 100. */
  readonly maxConcurrentStreams: number;
  /**
   * Bytes that the server may send ahead on one stream. Default `null`: 262 144, which grows to
   * 2 MiB where the way to the server is long.
   */
  readonly initialWindowSize: number | null;
  /**
   * Bytes that the server may send ahead on all streams together. Default `null`: as much as all
   * streams may, so that one that is not read never holds up the others.
   */
  readonly connectionWindowSize: number | null;
  /** Milliseconds between PING frames; 0 never. Default 60 000. */
  readonly pingInterval: number;
  /** Whether HTTP/2 is spoken without asking, as `http:` origins must. */
  readonly priorKnowledge: boolean;
}

/** Everything that a pool of one origin needs to know. Times are milliseconds, 0 never. */
export interface PoolSettings {
  readonly kind: SettingsKind;
  readonly url: URL;
  /** Most connections at a time; `null`: no limit. 1 for a client. */
  readonly connections: number | null;
  readonly pipelining: number;
  /**
   * Whether a request has the connection as soon as the response before it is complete, also if only
   * one is in flight: what undici takes `pipelining: true` for. What the server sends behind the
   * response then counts as an answer to it.
   */
  readonly eager: boolean;
  readonly keepAliveTimeout: number;
  readonly keepAliveMaxTimeout: number;
  readonly keepAliveTimeoutThreshold: number;
  /** `null`: no limit. */
  readonly clientTtl: number | null;
  /** `null`: no limit. */
  readonly maxRequestsPerClient: number | null;
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
  /** Bytes. */
  readonly maxHeaderSize: number;
  /** Bytes; -1: no limit. */
  readonly maxResponseSize: number;
  /** The default for requests. */
  readonly decompress: Decompression;
  readonly strictContentLength: boolean;
  readonly localAddress: string | null;
  readonly socketPath: string | null;
  readonly connect: ConnectSettings;
  /** Proxy on the way there; `null`: none. */
  readonly proxy: ProxySettings | null;
  /** Why the peer's own class serves these options for good; `null`: the engine does. */
  readonly peerReason: PeerReason | null;
  readonly allowH2: boolean;
  readonly preferH2: boolean;
  readonly h2: H2Settings;
}

function invalid(message: string): Error {
  return new errors.InvalidArgumentError(message);
}

function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

function defaultMaxHeaderSize(): number {
  const size = http.maxHeaderSize;
  if (!Number.isInteger(size) || size <= 0) {
    throw invalid('http module not available or http.maxHeaderSize invalid');
  }
  return size;
}

const UNSUPPORTED: readonly (readonly [string, string])[] = [
  ['keepAlive', 'pipelining=0'],
  ['socketTimeout', 'headersTimeout & bodyTimeout'],
  ['requestTimeout', 'headersTimeout & bodyTimeout'],
  ['idleTimeout', 'keepAliveTimeout'],
  ['maxKeepAliveTimeout', 'keepAliveMaxTimeout'],
];

const isFiniteNumber = (value: unknown): value is number => Number.isFinite(value);
const isInteger = (value: unknown): value is number => Number.isInteger(value);

/** One of undici's rules: the value is absent or fits, or the message is thrown. */
function check(value: unknown, fits: (value: unknown) => boolean, message: string): void {
  if (!isAbsent(value) && !fits(value)) throw invalid(message);
}

function checkConnect(connect: unknown): void {
  check(
    connect,
    (value) => typeof value === 'function' || typeof value === 'object',
    'connect must be a function or an object',
  );
}

const atLeast = (least: number) => (value: unknown) => isInteger(value) && value >= least;
const isBoolean = (value: unknown) => typeof value === 'boolean';

/** HTTP/2 options of undici 8, which reads the flat names only without `h2Options`. */
function checkH2(options: RawOptions): void {
  const h2 = options['h2Options'];
  if (isAbsent(h2)) {
    checkFlatH2(options);
    return;
  }
  const { useH2c, settings, maxConcurrentStreams, connectionWindowSize, pingInterval } = spread(h2);
  const positive = 'must be a positive integer, greater than 0';
  check(useH2c, isBoolean, 'h2Options.useH2c must be a valid boolean value');
  check(
    spread(settings)['initialWindowSize'],
    atLeast(1),
    `h2Options.settings.initialWindowSize ${positive}`,
  );
  check(maxConcurrentStreams, atLeast(1), `h2Options.maxConcurrentStreams ${positive}`);
  check(connectionWindowSize, atLeast(1), `h2Options.connectionWindowSize ${positive}`);
  check(
    pingInterval,
    atLeast(0),
    'h2Options.pingInterval must be a positive integer, greater or equal to 0',
  );
}

function checkFlatH2(options: RawOptions): void {
  const positive = 'must be a positive integer, greater than 0';
  const streams = () =>
    check(
      options['maxConcurrentStreams'],
      (value) => typeof value === 'number' && !(value < 1),
      `maxConcurrentStreams ${positive}`,
    );
  const useH2c = () => check(options['useH2c'], isBoolean, 'useH2c must be a valid boolean value');
  // The two majors differ in which of these they look at first.
  if (peerMajor === 7) {
    streams();
    useH2c();
  } else {
    useH2c();
    streams();
  }
  check(options['initialWindowSize'], atLeast(1), `initialWindowSize ${positive}`);
  check(options['connectionWindowSize'], atLeast(1), `connectionWindowSize ${positive}`);
  check(
    options['pingInterval'],
    atLeast(0),
    'pingInterval must be a positive integer, greater or equal to 0',
  );
}

/** The rules of undici's `Client` constructor, in its order. */
function checkClientOptions(options: RawOptions): void {
  for (const [name, instead] of UNSUPPORTED) {
    if (options[name] !== undefined) throw invalid(`unsupported ${name}, use ${instead} instead`);
  }
  check(options['maxHeaderSize'], atLeast(1), 'invalid maxHeaderSize');
  check(options['socketPath'], (value) => typeof value === 'string', 'invalid socketPath');
  check(
    options['connectTimeout'],
    (value) => isFiniteNumber(value) && value >= 0,
    'invalid connectTimeout',
  );
  check(
    options['keepAliveTimeout'],
    (value) => isFiniteNumber(value) && value > 0,
    'invalid keepAliveTimeout',
  );
  check(
    options['keepAliveMaxTimeout'],
    (value) => isFiniteNumber(value) && value > 0,
    'invalid keepAliveMaxTimeout',
  );
  check(options['keepAliveTimeoutThreshold'], isFiniteNumber, 'invalid keepAliveTimeoutThreshold');
  check(options['headersTimeout'], atLeast(0), 'headersTimeout must be a positive integer or zero');
  check(options['bodyTimeout'], atLeast(0), 'bodyTimeout must be a positive integer or zero');
  checkConnect(options['connect']);
  check(
    options['maxRequestsPerClient'],
    atLeast(0),
    'maxRequestsPerClient must be a positive number',
  );
  check(
    options['localAddress'],
    (value) => typeof value === 'string' && isIP(value) !== 0,
    'localAddress must be valid string IP address',
  );
  checkZone(String(options['localAddress']), 'localAddress');
  check(options['maxResponseSize'], atLeast(-1), 'maxResponseSize must be a positive number');
  readDecompress(options['decompress']);
  check(
    options['autoSelectFamilyAttemptTimeout'],
    atLeast(-1),
    'autoSelectFamilyAttemptTimeout must be a positive number',
  );
  check(options['allowH2'], isBoolean, 'allowH2 must be a valid boolean value');
  if (peerMajor === 7) checkFlatH2(options);
  else if (options['allowH2'] !== false) checkH2(options);
}

/** The rules of undici's `Pool` constructor, in its order. */
function checkPoolOptions(options: RawOptions): void {
  check(
    options['connections'],
    (value) => isFiniteNumber(value) && value >= 0,
    'invalid connections',
  );
  if (options['factory'] !== undefined && typeof options['factory'] !== 'function') {
    throw invalid('factory must be a function.');
  }
  checkConnect(options['connect']);
}

/** The rule of undici's connector. */
function checkConnectorOptions(connect: RawOptions): void {
  check(
    connect['maxCachedSessions'],
    atLeast(0),
    'maxCachedSessions must be a positive integer or zero',
  );
}

/** Options that undici's `Pool` hands on as they are; all others go through JSON. */
const KEPT_BY_POOL = new Set([
  'connections',
  'factory',
  'connect',
  'connectTimeout',
  'tls',
  'maxCachedSessions',
  'socketPath',
  'autoSelectFamily',
  'autoSelectFamilyAttemptTimeout',
  'allowH2',
  'useH2c',
  'clientTtl',
]);

/** What JSON makes of the options of a pool: `Infinity`, `NaN` and functions count as absent. */
function throughJson(options: RawOptions): RawOptions {
  const out = spread(options);
  for (const name of Object.keys(out)) {
    const value = out[name];
    const lost = typeof value === 'number' ? !Number.isFinite(value) : typeof value === 'function';
    if (lost && !KEPT_BY_POOL.has(name)) out[name] = undefined;
  }
  return out;
}

/** What undici hands to its connector, spread for spread. */
function connectorOptions(options: RawOptions): RawOptions {
  const { tls, maxCachedSessions, allowH2, socketPath, connectTimeout, connect } = options;
  const { autoSelectFamily, autoSelectFamilyAttemptTimeout } = options;
  return spread(
    tls,
    { maxCachedSessions, allowH2, socketPath, timeout: connectTimeout },
    typeof autoSelectFamily === 'boolean'
      ? { autoSelectFamily, autoSelectFamilyAttemptTimeout }
      : {},
    connect,
  );
}

/**
 * Why the peer's own class must serve these options for good; `null`: the engine can. A
 * `connect.lookup` runs for the engine, but beside an option that only Node's sockets know it goes
 * with that one.
 */
function peerReason(
  options: RawOptions,
  kind: SettingsKind,
  proxy: ProxySettings | null,
): PeerReason | null {
  // The peer would not know of the proxy, and go past it. The proxy agents have asked before.
  if (proxy !== null) return null;
  const { connect } = options;
  if (typeof connect === 'function') return 'connect';
  if (kind === 'pool' && typeof options['factory'] === 'function') return 'factory';
  const { lookup, ...others } = spread(connect);
  if (typeof lookup === 'function' && findUnsupported(others) !== null) return 'lookup';
  const isForNode = reasonNow(true) !== null && findUnsupported(connectorOptions(options)) !== null;
  return isForNode ? 'node option' : null;
}

/** Whether HTTP/2 without TLS is asked for. */
export function wantsH2c({ useH2c, h2Options }: RawOptions): boolean {
  return useH2c === true || spread(h2Options)['useH2c'] === true;
}

/** A number as undici would use it, or `fallback`. */
function numberOr(value: unknown, fallback: number): number {
  if (isAbsent(value)) return fallback;
  const number = Number(value);
  return Number.isNaN(number) ? fallback : number;
}

/** A limit where 0 and absent mean none. */
function limit(value: unknown): number | null {
  const number = numberOr(value, 0);
  return number > 0 ? number : null;
}

function readH2(options: RawOptions): H2Settings {
  const nested = spread(options['h2Options']);
  const settings = spread(nested['settings']);
  const given = (name: string) => nested[name] ?? options[name];
  const initial = settings['initialWindowSize'] ?? given('initialWindowSize');
  const whole = given('connectionWindowSize');
  return {
    maxConcurrentStreams: numberOr(given('maxConcurrentStreams'), 100),
    initialWindowSize: isAbsent(initial) ? null : Number(initial),
    connectionWindowSize: isAbsent(whole) ? null : Number(whole),
    pingInterval: numberOr(given('pingInterval'), 60_000),
    priorKnowledge: given('useH2c') === true,
  };
}

/** Checked options that do not depend on the origin yet. */
export interface CheckedOptions {
  readonly kind: SettingsKind;
  readonly connect: ConnectSettings;
  /** The settings for `origin`. */
  at(origin: unknown): PoolSettings;
}

/**
 * Checks options without an origin, as `Agent` must for options that many origins will use.
 *
 * @throws InvalidArgumentError with undici's message, or one that names the `connect` key.
 */
export function checkOptions(
  options: unknown,
  kind: SettingsKind,
  proxy: ProxySettings | null = null,
): CheckedOptions {
  const given = ownOptions(options);
  if (kind === 'pool') checkPoolOptions(given);
  else checkClientOptions(given);

  const connector = connectorOptions(given);
  if (typeof given['connect'] !== 'function') checkConnectorOptions(connector);
  const rest = kind === 'pool' ? throughJson(given) : given;
  if (kind === 'pool') checkClientOptions(rest);

  const reason = peerReason(given, kind, proxy);
  const connect = readConnectOptions(reason === null ? connector : ownOptions({}));
  return {
    kind,
    connect,
    at: (origin) => fillIn(kind, parseOrigin(origin), rest, connect, proxy, reason),
  };
}

function fillIn(
  kind: SettingsKind,
  url: URL,
  options: RawOptions,
  connect: ConnectSettings,
  proxy: ProxySettings | null,
  reason: PeerReason | null,
): PoolSettings {
  const localAddress = (options['localAddress'] as string | null | undefined) ?? null;
  const preferH2 = spread(options['connect'])['preferH2'];
  const settings: PoolSettings = {
    kind,
    url,
    connections: kind === 'client' ? 1 : roundUp(limit(options['connections'])),
    pipelining: numberOr(options['pipelining'], 1),
    eager: options['pipelining'] === true,
    keepAliveTimeout: numberOr(options['keepAliveTimeout'], 4_000),
    keepAliveMaxTimeout: numberOr(options['keepAliveMaxTimeout'], 600_000),
    keepAliveTimeoutThreshold: numberOr(options['keepAliveTimeoutThreshold'], 2_000),
    clientTtl: kind === 'client' ? null : limit(options['clientTtl']),
    maxRequestsPerClient: limit(options['maxRequestsPerClient']),
    headersTimeout: numberOr(options['headersTimeout'], 300_000),
    bodyTimeout: numberOr(options['bodyTimeout'], 300_000),
    maxHeaderSize: isAbsent(options['maxHeaderSize'])
      ? defaultMaxHeaderSize()
      : (options['maxHeaderSize'] as number),
    maxResponseSize: numberOr(options['maxResponseSize'], -1),
    decompress: readDecompress(options['decompress']) ?? NOT_DECODED,
    strictContentLength: isAbsent(options['strictContentLength'])
      ? true
      : Boolean(options['strictContentLength']),
    localAddress: localAddress ?? connect.localAddress,
    socketPath: connect.socketPath,
    connect,
    proxy,
    peerReason: reason,
    allowH2: isAbsent(options['allowH2']) ? peerMajor === 8 : options['allowH2'] === true,
    preferH2: preferH2 === true,
    h2: readH2(options),
  };
  return settings;
}

/** The settings of each way over TLS: to the origin, and to the proxy. */
export function tlsWays({ url, connect, proxy }: PoolSettings): readonly ConnectSettings[] {
  const ways = url.protocol === 'https:' ? [connect] : [];
  return proxy?.isSecure ? [...ways, proxy.connect] : ways;
}

/** undici opens one more connection while fewer than the limit exist, so 1.5 allows two. */
function roundUp(connections: number | null): number | null {
  return connections === null ? null : Math.ceil(connections);
}

/**
 * The settings of a client or pool of `origin`.
 *
 * Where the peer's class must serve the options (see `peerReason`), the `connect` part of the
 * settings is the default one: the peer reads the option itself.
 *
 * @throws InvalidArgumentError as undici's constructor of that kind, see the file's comment.
 */
export function parseSettings(origin: unknown, options: unknown, kind: SettingsKind): PoolSettings {
  const given = ownOptions(options);
  if (kind === 'pool') {
    // undici's Pool reads the origin before it looks at the options of its clients.
    checkPoolOptions(given);
    if (typeof given['connect'] !== 'function') checkConnectorOptions(connectorOptions(given));
    parseOrigin(origin);
  }
  return checkOptions(given, kind, proxyOf(options)).at(origin);
}
