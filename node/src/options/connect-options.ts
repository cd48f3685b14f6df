/**
 * The `connect` option as an object: what the engine honours, and what only Node's sockets can.
 *
 * What lives here: reading `connect` (and `tls`) into `ConnectSettings`, and finding the keys with
 * which the peer's class serves. `options.ts` calls it. It must not know pools, nor how settings
 * are sent to the engine.
 *
 * Every key of Node's `net.connect` and `tls.connect` is in the table of options, which says who
 * honours it. Keys that Node does not know are ignored, as in undici. A function as `connect` never
 * gets here: see `peer-reasons.ts`.
 */

import { type BlockList, isIP, type LookupFunction } from 'node:net';

import { checkServerIdentity as nodesCheck, type PeerCertificate } from 'node:tls';

import { engineOffer, isSpecial, OFFER_KEYS, type OfferOptions } from '../process';
import { invalid } from '../undici';
import { type AllowRule, readAllow } from './allow';
import {
  type Certificates,
  isEmptyList,
  NO_CERTIFICATES,
  readCertificates,
  UnusableCertificates,
} from './certificates';
import { CONNECT_KEYS } from './generated';
import { spread } from './own-options';

/**
 * How connections are opened: validated values, with defaults, except those that depend on the
 * process when a connection is opened, which are `null` without an option (`process-settings.ts`).
 * Times are milliseconds.
 */
export interface ConnectSettings extends Certificates {
  /** Maximum time for all legs together; 0: no limit. Default 10 000, as in undici. */
  readonly timeout: number;
  /** Unix socket or named pipe to use instead of TCP. */
  readonly socketPath: string | null;
  /** Local address to bind to. */
  readonly localAddress: string | null;
  /** Local port to bind to; 0: the system chooses. */
  readonly localPort: number;
  readonly typeOfService: number | null;
  /** Which addresses may be connected to; `null`: all. */
  readonly allow: AllowRule | null;
  /** Addresses that are never connected to. */
  readonly blockList: BlockList | null;
  /** Flags of `dns.lookup`, as given; falsy: none. */
  readonly hints: unknown;
  /** `TCP_NODELAY`. Default true. */
  readonly noDelay: boolean;
  /** Idle time before TCP keep-alive probes; negative: none. Default 60 000, as in undici. */
  readonly keepAliveProbe: number;
  /** IP version: 4, 6, or 0 for both. Default 0. */
  readonly family: 0 | 4 | 6;
  /** Race addresses of both families (RFC 8305). Default: Node's. */
  readonly autoSelectFamily: boolean | null;
  /** Delay before the next address is tried while one is pending, at least 10. Default: Node's. */
  readonly autoSelectFamilyAttemptTimeout: number | null;
  /** Name for SNI and verification. Default: the request's `host`, then the origin's. */
  readonly servername: string | null;
  /** Only the literal `false` disables it. */
  readonly rejectUnauthorized: boolean | null;
  /** Versions, cipher suites, groups and signature schemes, as given. */
  readonly offer: OfferOptions;
  /** Judges servers instead of their names; `null`: names are checked. */
  readonly checkServerIdentity: IdentityCheck | null;
  /** Number of TLS sessions kept for resumption. Default 100, as in undici. */
  readonly maxCachedSessions: number;
  /** Verify with the operating system's verifier. Default false. */
  readonly platformVerifier: boolean;
  /** Let the peer serve servers whose TLS is too old for rustls. Default true. */
  readonly fallback: boolean;
  /** Trust every certificate in `ca`, not only roots. Default false. */
  readonly allowPartialTrustChain: boolean;
  /** Write what TLS negotiates to stderr. Default false. */
  readonly enableTrace: boolean;
  /** The user's resolver; `null`: the system's. */
  readonly lookup: LookupFunction | null;
}

/** As `tls.checkServerIdentity`. */
type IdentityCheck = (host: string, certificate: PeerCertificate) => unknown;

/** The first keys of an option object that only Node's sockets, or only its TLS, can honour. */
export interface PeerKeys {
  readonly socket: string | null;
  readonly tls: string | null;
  /** Why not even Node can honour that of TLS; `null`: it may. */
  readonly refusal: Error | null;
  /** What the engine gets if there is none. */
  readonly certificates: Certificates;
}

/** Values of such keys that have no effect, where those are not just the falsy ones. */
const HARMLESS: Readonly<Record<string, (value: unknown) => boolean>> = spread({
  certificateCompression: isEmptyList,
  fd: () => false,
  onread: (value: unknown) => typeof value !== 'object',
  readable: (value: unknown) => value !== false,
  writable: (value: unknown) => value !== false,
}) as never;

function isFalsy(value: unknown): boolean {
  return !value;
}

/** See above. `options` has own properties only. */
export function findPeerKeys(options: Readonly<Record<string, unknown>>): PeerKeys {
  const first = (isTls: boolean): string | null =>
    Object.keys(options).find((name) => {
      const key = CONNECT_KEYS.get(name);
      if (key?.by !== 'peer' || key.isTls !== isTls) return false;
      const value = options[name];
      return value !== undefined && value !== null && !(HARMLESS[name] ?? isFalsy)(value);
    }) ?? null;
  const socket = first(false) ?? unusableOfSocket(options);
  const tls = first(true) ?? unusableOfTls(options);
  const found = (socket ?? tls) === null ? readCertificates(options) : NO_CERTIFICATES;
  if (!(found instanceof UnusableCertificates))
    return { socket, tls, refusal: null, certificates: found };
  const { culprit, error } = found;
  return { socket, tls: culprit, refusal: error, certificates: NO_CERTIFICATES };
}

/** A key with a value that only Node's sockets can use, or report on. */
function unusableOfSocket(options: Readonly<Record<string, unknown>>): string | null {
  const { localPort, typeOfService, blockList } = options;
  const isWithin = (value: unknown, most: number): boolean =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
  if (localPort && !isWithin(localPort, 65_535)) return 'localPort';
  if ((typeOfService ?? null) !== null && !isWithin(typeOfService, 255)) return 'typeOfService';
  const isList = typeof (blockList as Partial<BlockList> | null | undefined)?.check === 'function';
  return blockList && !isList ? 'blockList' : null;
}

/** A key of TLS with a value that the engine cannot use, such as an older version; not of certificates. */
function unusableOfTls(options: Readonly<Record<string, unknown>>): string | null {
  const { enableTrace } = options;
  if (isSpecial(options) && engineOffer(options) === null) {
    const given = OFFER_KEYS.filter((name) => (options[name] ?? null) !== null);
    const isAlone = (name: string): boolean =>
      engineOffer(spread({ [name]: options[name] })) === null;
    const culprit = given.find(isAlone) ?? given[0];
    if (culprit !== undefined) return culprit;
  }
  const { checkServerIdentity: check, rejectUnauthorized } = options;
  // Of servers that are not verified, Node's sockets ask about those that could be.
  if (check && (typeof check !== 'function' || rejectUnauthorized === false)) {
    return 'checkServerIdentity';
  }
  return (enableTrace ?? null) !== null && typeof enableTrace !== 'boolean' ? 'enableTrace' : null;
}

function readTimeout(value: unknown): number {
  // undici treats any falsy value as no limit; those that are not numbers count as 0 here, too.
  if (value === undefined || value === null) return 10_000;
  const timeout = Number(value);
  if (Number.isNaN(timeout) || timeout < 0) throw invalid('invalid connect.timeout');
  return timeout === Infinity ? 0 : timeout;
}

function readSocketPath(options: Readonly<Record<string, unknown>>): string | null {
  const path = 'path' in options ? options['path'] : options['socketPath'];
  if (path === undefined || path === null || path === '') return null;
  if (typeof path !== 'string') throw invalid('invalid socketPath');
  return path;
}

function readLocalAddress(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string' || isIP(value) === 0) {
    throw invalid('connect.localAddress must be valid string IP address');
  }
  checkZone(value, 'connect.localAddress');
  return value;
}

/** An address with a zone (`fe80::1%eth0`) can be connected to, but not bound to. */
export function checkZone(address: string, name: string): void {
  if (address.includes('%')) throw invalid(`${name} cannot have a zone`);
}

function readKeepAliveProbe(options: Readonly<Record<string, unknown>>): number {
  const { keepAlive, keepAliveInitialDelay } = options;
  if (keepAlive === false || keepAlive === 0 || keepAlive === '') return -1;
  if (keepAliveInitialDelay === undefined) return 60_000;
  const delay = Number(keepAliveInitialDelay);
  if (Number.isNaN(delay)) throw invalid('invalid connect.keepAliveInitialDelay');
  // Node counts in whole seconds and keeps the system's default, two hours, if the result is 0.
  return delay < 1_000 ? 7_200_000 : delay;
}

function readFamily(value: unknown): 0 | 4 | 6 {
  switch (value) {
    case undefined:
    case null:
    case 0:
      return 0;
    case 4:
    case 'IPv4':
      return 4;
    case 6:
    case 'IPv6':
      return 6;
    default:
      throw invalid('connect.family must be 0, 4 or 6');
  }
}

function readAttemptTimeout(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (!Number.isInteger(value)) throw invalid('invalid connect.autoSelectFamilyAttemptTimeout');
  // Node raises smaller values to 10, too.
  return Math.max(10, value as number);
}

function readText(options: Readonly<Record<string, unknown>>, name: string): string | null {
  const value = options[name];
  if (value === undefined || value === null || value === '') return null;
  if (typeof value !== 'string') throw invalid(`connect.${name} must be a string`);
  return value;
}

function readFlag<T>(
  options: Readonly<Record<string, unknown>>,
  name: string,
  fallback: T,
): boolean | T {
  const value = options[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'boolean') throw invalid(`connect.${name} must be a boolean`);
  return value;
}

function readLookup(value: unknown): LookupFunction | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'function') throw invalid('connect.lookup must be a function');
  return value as LookupFunction;
}

/** Node's own is the engine's. */
function readIdentityCheck(given: unknown): IdentityCheck | null {
  return typeof given === 'function' && given !== nodesCheck ? (given as IdentityCheck) : null;
}

/** Any given value overrides the process's setting. */
function readVerification(options: Readonly<Record<string, unknown>>): boolean | null {
  return 'rejectUnauthorized' in options ? options['rejectUnauthorized'] !== false : null;
}

/** The options without those of TLS. */
export function withoutTls(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const isOthers = ([name]: [string, unknown]) => CONNECT_KEYS.get(name)?.isTls !== true;
  return spread(Object.fromEntries(Object.entries(options).filter(isOthers)));
}

/**
 * Settings from the options that undici would pass to its connector, without those of `findPeerKeys`.
 *
 * `options` has own properties only, so that a polluted `Object.prototype` changes nothing.
 *
 * @throws InvalidArgumentError that names the option.
 */
export function readConnectOptions(
  options: Readonly<Record<string, unknown>>,
  certificates: Certificates,
): ConnectSettings {
  const settings: ConnectSettings = {
    ...certificates,
    timeout: readTimeout(options['timeout']),
    socketPath: readSocketPath(options),
    localAddress: readLocalAddress(options['localAddress']),
    localPort: Number(options['localPort'] ?? 0),
    typeOfService: (options['typeOfService'] as number | null | undefined) ?? null,
    allow: readAllow(options['allow']),
    blockList: (options['blockList'] || null) as unknown as BlockList | null,
    hints: options['hints'],
    noDelay: readFlag(options, 'noDelay', true),
    keepAliveProbe: readKeepAliveProbe(options),
    family: readFamily(options['family']),
    autoSelectFamily: readFlag(options, 'autoSelectFamily', null),
    autoSelectFamilyAttemptTimeout: readAttemptTimeout(options['autoSelectFamilyAttemptTimeout']),
    servername: readText(options, 'servername'),
    rejectUnauthorized: readVerification(options),
    checkServerIdentity: readIdentityCheck(options['checkServerIdentity']),
    offer: Object.fromEntries(OFFER_KEYS.map((name) => [name, options[name]])),
    maxCachedSessions: (options['maxCachedSessions'] as number | null | undefined) ?? 100,
    platformVerifier: readFlag(options, 'platformVerifier', false),
    fallback: readFlag(options, 'fallback', true),
    allowPartialTrustChain: Boolean(options['allowPartialTrustChain']),
    enableTrace: options['enableTrace'] === true,
    lookup: readLookup(options['lookup']),
  };
  const { ca, crl, moreRoots } = settings;
  const ownTrust = { ca: ca !== null, crl: crl.length > 0, pfx: moreRoots.length > 0 };
  for (const [name, isGiven] of Object.entries(settings.platformVerifier ? ownTrust : {})) {
    if (isGiven)
      throw invalid(`connect.platformVerifier and connect.${name} are mutually exclusive`);
  }
  return settings;
}
