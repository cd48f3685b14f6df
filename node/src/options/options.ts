/**
 * Options of clients and pools: validated as undici validates them, completed with defaults.
 *
 * What lives here: applying the table of options (`generated.ts`), the rules that do not fit into
 * it, and `PoolSettings`. The constructors of `Client`, `Pool` and `Agent` call it. It must not
 * know sessions or requests.
 *
 * An intended difference: undici's `Pool` and `Agent` validate most options only when the first
 * request creates a `Client`, and fail that request. Here every option is validated in the
 * constructor.
 */

import http = require('node:http');
import { isIP } from 'node:net';

import { buildConnector, type ByPeer, invalid, peerMajor } from '../undici';
import { blockingConnector, blocksAddresses } from './addresses';
import { allowingConnector, readAllow } from './allow';
import {
  checkZone,
  type ConnectSettings,
  findPeerKeys,
  readConnectOptions,
  withoutTls,
} from './connect-options';
import { type Decompression, NOT_DECODED, readDecompress } from './decompress';
import { type DnsSettings, readDns } from './dns-options';
import {
  AGENT_OPTIONS,
  CLIENT_OPTIONS,
  CLIENT_SETTINGS,
  H2_OPTIONS,
  type H2Settings,
  type OptionRow,
  POOL_OPTIONS,
  type Rule,
  type TableSettings,
  TLS_SETTINGS,
  type WholeRow,
} from './generated';
import { isAbsent, ownOptions, type RawOptions, spread } from './own-options';
import { parseOrigin } from './parse-origin';
import { proxyOf, type ProxySettings } from './proxy-settings';
import { limitOf, makeLimit, type SharedLimit } from './shared-limit';
import { readTimings } from './timings';

/** The class: a `Client` is a pool of one connection whose queue fails as a whole. */
export type SettingsKind = 'client' | 'pool';

/** The settings of an origin's pool. Times are milliseconds; 0: no limit. */
export interface PoolSettings extends TableSettings {
  readonly kind: SettingsKind;
  readonly url: URL;
  /**
   * Whether a request gets the connection as soon as the previous response is complete, even with
   * only one in flight: undici's meaning of `pipelining: true`. Bytes after the response then count
   * as the response to the request.
   */
  readonly eager: boolean;
  /** The default for requests. */
  readonly decompress: Decompression;
  /** Whether requests are timed; `null`: those that somebody wants to know the timings of. */
  readonly timings: boolean | null;
  /** How long names are kept; `null`: not at all. */
  readonly dns: DnsSettings | null;
  readonly strictContentLength: boolean;
  readonly localAddress: string | null;
  readonly socketPath: string | null;
  readonly connect: ConnectSettings;
  /** The proxy; `null`: none. */
  readonly proxy: ProxySettings | null;
  /** The limit that its connections count in, if there is one. */
  readonly limit: SharedLimit | null;
  /** Why the peer's own class serves these options permanently; `null`: the engine does. */
  readonly byPeer: ByPeer | null;
  readonly allowH2: boolean;
  readonly preferH2: boolean;
  readonly h2: H2Settings;
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

function fits({ is, least = -Infinity, above = -Infinity, word }: Rule, value: unknown): boolean {
  switch (is) {
    case undefined:
      return true;
    case 'integer':
      return Number.isInteger(value) && (value as number) >= least;
    case 'number':
      return Number.isFinite(value) && (value as number) >= least && (value as number) > above;
    case 'boolean':
      return typeof value === 'boolean';
    case 'text':
      return typeof value === 'string';
    case 'word':
      return value === word;
    case 'address':
      return typeof value === 'string' && isIP(value) !== 0;
    case 'function or object':
      return typeof value === 'function' || typeof value === 'object';
  }
}

/** One of undici's rules: throws the option's message unless the value is absent or valid. */
function check({ name, rule, refusal }: OptionRow, value: unknown, path = name): void {
  if (isAbsent(value)) return;
  if (!fits(rule, value)) throw invalid(refusal.replace('{}', path));
  if (rule.is === 'address') checkZone(value as string, path);
}

/** HTTP/2 rows in the order of undici's checks, which differs by major version and by place. */
function h2Rows(...first: string[]): readonly OptionRow[] {
  const isFirst = ({ name }: OptionRow) => first.includes(name);
  return [
    ...first.flatMap((name) => H2_OPTIONS.filter((row) => row.name === name)),
    ...H2_OPTIONS.filter((row) => !isFirst(row)),
  ];
}

const NESTED_H2 = h2Rows('useH2c', 'initialWindowSize');
const FLAT_H2 = peerMajor === 7 ? h2Rows('maxConcurrentStreams') : h2Rows('useH2c');

/** HTTP/2 options of undici 8, which reads the top-level names only without `h2Options`. */
function checkH2(options: RawOptions): void {
  if (isAbsent(options['h2Options'])) {
    checkFlatH2(options);
    return;
  }
  const h2 = spread(options['h2Options']);
  const settings = spread(h2['settings']);
  for (const row of NESTED_H2) {
    const isSetting = row.name === 'initialWindowSize';
    const path = `h2Options.${isSetting ? 'settings.' : ''}${row.name}`;
    check(row, (isSetting ? settings : h2)[row.name], path);
  }
}

function checkFlatH2(options: RawOptions): void {
  for (const row of FLAT_H2) {
    const value = options[row.name];
    // Here, unlike in `h2Options`, undici accepts any number from 1 on.
    const isStreams = row.name === 'maxConcurrentStreams' && typeof value === 'number';
    if (!isStreams || value < 1) check(row, value);
  }
}

/** The rules of undici's `Client` constructor, in its order. */
function checkClientOptions(options: RawOptions): void {
  for (const [name, instead] of UNSUPPORTED) {
    if (options[name] !== undefined) throw invalid(`unsupported ${name}, use ${instead} instead`);
  }
  for (const row of CLIENT_OPTIONS) check(row, options[row.name]);
  readDecompress(options['decompress']);
  readDns(options['dns']);
  if (peerMajor === 7) checkFlatH2(options);
  else if (options['allowH2'] !== false) checkH2(options);
}

/** The rules of undici's `Pool` constructor, in its order. */
function checkPoolOptions(options: RawOptions): void {
  for (const row of POOL_OPTIONS) check(row, options[row.name]);
  if (options['factory'] !== undefined && typeof options['factory'] !== 'function') {
    throw invalid('factory must be a function.');
  }
  for (const row of CLIENT_OPTIONS) if (row.name === 'connect') check(row, options['connect']);
}

/**
 * Those of a class that passes none of undici's options on to its pools.
 *
 * @throws InvalidArgumentError
 */
export function ownDefaults(options: RawOptions): object {
  const own = spread(Object.fromEntries(Array.from(OWN_OPTIONS, (name) => [name, options[name]])));
  checkClientOptions(own);
  return own;
}

/**
 * The limit of an agent that is made with `options`: of the agent that makes it, or its own.
 *
 * @throws InvalidArgumentError for an invalid option that only agents have.
 */
export function readLimit(options: unknown, given: RawOptions): SharedLimit | null {
  for (const row of AGENT_OPTIONS) check(row, given[row.name]);
  const { maxConnections } = given;
  const own = isAbsent(maxConnections) ? null : makeLimit(maxConnections as number);
  return limitOf(options) ?? own;
}

/** @throws InvalidArgumentError for an option that only agents have. */
export function refuseAgentOptions(given: RawOptions, name: string): void {
  for (const row of AGENT_OPTIONS) {
    if (!isAbsent(given[row.name]))
      throw invalid(`${row.name} is an option of Agent, not of ${name}`);
  }
}

/** The rules of undici's connector. */
function checkConnectorOptions(connect: RawOptions): void {
  for (const row of TLS_SETTINGS) check(row, connect[row.name]);
}

/** Options that undici's `Pool` passes on unchanged; all others are copied through JSON. */
const KEPT_BY_POOL = new Set(['factory']);
for (const { name, isKept } of [...CLIENT_OPTIONS, ...POOL_OPTIONS, ...H2_OPTIONS]) {
  if (isKept) KEPT_BY_POOL.add(name);
}

/** Options of clients and pools that undici does not have. */
export const OWN_OPTIONS: ReadonlySet<string> = new Set([
  'allowH3',
  'decompress',
  'dns',
  'h3',
  'h3EarlyData',
  'maxIdleConnections',
  'minBodyRate',
  'timings',
  'totalTimeout',
]);

/**
 * The options of a pool after JSON: `Infinity` and `NaN` are `null`, and functions are absent. `kept`: those
 * that undici passes on unchanged.
 */
export function throughJson(
  options: RawOptions,
  kept: ReadonlySet<string> = KEPT_BY_POOL,
): Record<string, unknown> {
  const out = spread(options);
  for (const [name, value] of Object.entries(out)) {
    if (kept.has(name)) continue;
    // Of an option that undici does not have, a function is an error.
    if (typeof value === 'function' && !OWN_OPTIONS.has(name)) out[name] = undefined;
    else if (typeof value === 'number' && !Number.isFinite(value)) out[name] = null;
  }
  return out;
}

/** What undici passes to its connector, spread for spread. */
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
 * The options for the peer's class of an origin, which must follow a rule about addresses, and a list of
 * blocked ones over TLS.
 */
export function peerOptions(options: unknown, isTls: boolean): Record<string, unknown> {
  const given = ownOptions(options);
  const connector = connectorOptions(given);
  if (typeof given['connect'] === 'function') return given;
  const make = isTls && blocksAddresses(connector) ? blockingConnector : null;
  const rule = readAllow(connector['allow']);
  if (rule !== null) {
    const useH2c = wantsH2c(given) || connector['useH2c'];
    const all = spread(connector, { useH2c });
    return spread(given, { connect: allowingConnector(all, rule, make ?? buildConnector) });
  }
  return make === null ? given : spread(given, { connect: make(connector) });
}

/** Why the peer's own class must serve permanently, whatever is in `connect`. */
function peerReason(options: RawOptions, kind: SettingsKind): ByPeer | null {
  if (typeof options['connect'] === 'function') return { reason: 'connect', option: 'connect' };
  const hasFactory = kind === 'pool' && typeof options['factory'] === 'function';
  return hasFactory ? { reason: 'factory', option: 'factory' } : null;
}

/** How `connect` is served. */
interface ConnectParts {
  /** What the engine can use of it. */
  readonly connect: ConnectSettings;
  /** Why the peer serves every origin; `null`: it does not. */
  readonly always: ByPeer | null;
  /** Why it serves `https:` origins. */
  readonly overTls: ByPeer | null;
  /** The error that connections to them end with, if that is certain. */
  readonly refusal: Error | null;
}

/**
 * Reads what undici would pass to its connector.
 *
 * @throws InvalidArgumentError that names the key.
 */
export function readConnect(connector: RawOptions, path = 'connect'): ConnectParts {
  const keys = findPeerKeys(connector);
  const serve = (key: string | null): ByPeer | null =>
    key === null ? null : { reason: 'option', option: `${path}.${key}` };
  const always = serve(keys.socket);
  const overTls = always ?? serve(keys.tls);
  if (overTls !== null && connector['platformVerifier'] === true) {
    // The peer would trust other roots.
    throw invalid(`${path}.platformVerifier and ${overTls.option} are mutually exclusive`);
  }
  const { certificates } = keys;
  const own = overTls === null ? connector : withoutTls(connector);
  const connect = readConnectOptions(own, certificates);
  const refusal =
    keys.refusal && invalid(`invalid ${path}.${keys.tls}: ${keys.refusal.message}`, keys.refusal);
  return { connect, always, overTls, refusal };
}

/** Whether HTTP/2 without TLS is requested. */
export function wantsH2c({ useH2c, h2Options }: RawOptions): boolean {
  return useH2c === true || spread(h2Options)['useH2c'] === true;
}

/** The setting of an option: its value as undici would use it, or the default. */
function settingOf({ form, isLimit, fallback }: WholeRow, value: unknown): unknown {
  const absent = fallback === undefined ? defaultMaxHeaderSize : () => fallback;
  if (form === 'flag') return isAbsent(value) ? absent() : value === true;
  if (form === 'text') return isAbsent(value) ? absent() : value;
  const number = isAbsent(value) ? NaN : Number(value);
  return Number.isNaN(number) || (isLimit && number <= 0) ? absent() : number;
}

/** Settings by name; the generator ensures that there is a row for each name. */
function readRows(rows: readonly WholeRow[], valueOf: (row: WholeRow) => unknown): unknown {
  return Object.fromEntries(rows.map((row) => [row.name, settingOf(row, valueOf(row))]));
}

function readTable(kind: SettingsKind, options: RawOptions): TableSettings {
  return {
    ...(readRows(CLIENT_SETTINGS, (row) => options[row.name]) as TableSettings),
    ...(readRows(POOL_OPTIONS, (row) =>
      kind === 'pool' ? options[row.name] : undefined,
    ) as TableSettings),
  };
}

function readH2(options: RawOptions): H2Settings {
  const nested = spread(options['h2Options']);
  const { initialWindowSize } = spread(nested['settings']);
  return readRows(H2_OPTIONS, ({ name }) => {
    const setting = name === 'initialWindowSize' ? initialWindowSize : undefined;
    return setting ?? nested[name] ?? options[name];
  }) as H2Settings;
}

/** Validated options, independent of the origin. */
export interface CheckedOptions {
  readonly kind: SettingsKind;
  /** Certificates or keys that nobody can use: undici fails every connection. */
  readonly refusal: Error | null;
  /** The settings for `origin`. */
  at(origin: unknown): PoolSettings;
}

/**
 * Validates options without an origin, as `Agent` must for options shared by many origins.
 *
 * @throws InvalidArgumentError with undici's message, or one that names the `connect` key.
 */
export function checkOptions(
  options: unknown,
  kind: SettingsKind,
  proxy: ProxySettings | null = null,
  limit: SharedLimit | null = null,
): CheckedOptions {
  const given = ownOptions(options);
  if (kind === 'pool') checkPoolOptions(given);
  else checkClientOptions(given);

  const connector = connectorOptions(given);
  if (typeof given['connect'] !== 'function') checkConnectorOptions(connector);
  const rest = kind === 'pool' ? throughJson(given) : given;
  if (kind === 'pool') checkClientOptions(rest);

  // The peer would bypass a proxy. The proxy agents have checked before.
  const reason = proxy === null ? peerReason(given, kind) : null;
  if (reason?.reason === 'connect' && !isAbsent(connector['allow'])) {
    throw invalid('tls.allow and a connect function are mutually exclusive');
  }
  const parts = readConnect(reason === null ? connector : ownOptions({}));
  const { connect } = parts;
  return {
    kind,
    refusal: parts.refusal,
    at(origin) {
      const url = parseOrigin(origin);
      const byKey = url.protocol === 'https:' ? parts.overTls : parts.always;
      const byPeer = proxy === null ? (reason ?? byKey) : null;
      return { ...fillIn(kind, url, rest, connector, connect), proxy, limit, byPeer };
    },
  };
}

function fillIn(
  kind: SettingsKind,
  url: URL,
  options: RawOptions,
  connector: RawOptions,
  connect: ConnectSettings,
): Omit<PoolSettings, 'proxy' | 'limit' | 'byPeer'> {
  const localAddress = (options['localAddress'] as string | null | undefined) ?? null;
  const { allowH2, preferH2, useH2c } = connector;
  const table = readTable(kind, options);
  return {
    ...table,
    kind,
    url,
    connections: kind === 'client' ? 1 : roundUp(table.connections),
    // undici accepts negative ones: a longer hint of the server's, and requests that are never sent.
    pipelining: Math.max(0, table.pipelining),
    keepAliveTimeoutThreshold: Math.max(0, table.keepAliveTimeoutThreshold),
    eager: options['pipelining'] === true,
    decompress: readDecompress(options['decompress']) ?? NOT_DECODED,
    timings: readTimings(options['timings']),
    dns: readDns(options['dns']),
    strictContentLength: isAbsent(options['strictContentLength'])
      ? true
      : Boolean(options['strictContentLength']),
    localAddress: localAddress ?? connect.localAddress,
    socketPath: connect.socketPath,
    connect,
    allowH2: isAbsent(allowH2) ? peerMajor === 8 : Boolean(allowH2),
    preferH2: preferH2 === true,
    h2: readH2(useH2c === true ? { ...options, useH2c } : options),
  };
}

/** The address that sockets are bound to, if any: with a proxy, those to the proxy. */
export function boundAddress({ localAddress, proxy }: PoolSettings): string | null {
  return proxy?.connect.localAddress ?? localAddress;
}

/** The TLS settings: to the origin, and to the proxy. */
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
 * If the peer's class must serve the options (see `byPeer`), the `connect` part of the settings
 * has the defaults: the peer reads the option itself.
 *
 * @throws InvalidArgumentError as undici's constructor of that kind, see the file's comment.
 */
export function parseSettings(origin: unknown, options: unknown, kind: SettingsKind): PoolSettings {
  const given = ownOptions(options);
  if (kind === 'pool') {
    // undici's Pool reads the origin before it validates the options of its clients.
    checkPoolOptions(given);
    if (typeof given['connect'] !== 'function') checkConnectorOptions(connectorOptions(given));
    parseOrigin(origin);
  }
  return checkOptions(given, kind, proxyOf(options), limitOf(options)).at(origin);
}
