/**
 * The `connect` option as an object: supported, ignored and rejected keys.
 *
 * What lives here: reading `connect` (and `tls`) into `ConnectSettings`. `options.ts` calls it. It
 * must not know pools, nor how settings are sent to the engine.
 *
 * A key of Node's `net.connect` or `tls.connect` is supported, or has no effect for a reason given
 * here, or is rejected by name: it is never silently dropped. Keys that Node does not know are
 * ignored, as in undici. A function as `connect` never gets here: see `peer-reasons.ts`.
 */

import { createPrivateKey } from 'node:crypto';
import { isIP, type LookupFunction } from 'node:net';
import * as tls from 'node:tls';
import { invalid } from '../undici';
import { bytesOf, copyOf } from '../wire';

/** TLS versions that the engine supports. */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/**
 * How connections are opened: validated values, with defaults, except those that depend on the
 * process when a connection is opened, which are `null` without an option (`process-settings.ts`).
 * Times are milliseconds.
 */
export interface ConnectSettings {
  /** Maximum time for all legs together; 0: no limit. Default 10 000, as in undici. */
  readonly timeout: number;
  /** Unix socket or named pipe to use instead of TCP. */
  readonly socketPath: string | null;
  /** Local address to bind to. */
  readonly localAddress: string | null;
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
  /** Trust anchors, PEM or DER; none: no server is trusted; `null`: the default roots. */
  readonly ca: readonly Uint8Array[] | null;
  /** Client certificate chain. */
  readonly cert: Uint8Array | null;
  /** Its private key, decrypted. */
  readonly key: Uint8Array | null;
  readonly minVersion: TlsVersion | null;
  readonly maxVersion: TlsVersion | null;
  /** Number of TLS sessions kept for resumption. Default 100, as in undici. */
  readonly maxCachedSessions: number;
  /** Verify with the operating system's verifier. Default false. */
  readonly platformVerifier: boolean;
  /** Let the peer serve servers whose TLS is too old for rustls. Default true. */
  readonly fallback: boolean;
  /** The user's resolver; `null`: the system's. */
  readonly lookup: LookupFunction | null;
}

/** What to do instead of a rejected key. */
const USE_CONNECTOR =
  'pass a function as connect instead, such as the one that buildConnector returns for these options';

/** Keys that Node supports and the engine does not: why, and the values that have no effect. */
const REFUSED: Readonly<Record<string, { why: string; harmless?: (value: unknown) => boolean }>> = {
  allowHalfOpen: { why: 'connections are never half-open', harmless: isFalsy },
  allowPartialTrustChain: { why: 'only roots are trust anchors', harmless: isFalsy },
  blockList: { why: 'addresses are not filtered' },
  certificateCompression: { why: 'certificate compression is not configurable' },
  checkServerIdentity: { why: 'host names are verified by the engine' },
  ciphers: {
    why: 'the cipher suites are those of rustls',
    harmless: (value) => value === '' || value === tls.DEFAULT_CIPHERS,
  },
  clientCertEngine: { why: 'there is no OpenSSL engine' },
  crl: { why: 'revocation lists are not supported', harmless: isEmptyList },
  dhparam: { why: 'finite-field Diffie-Hellman is not supported', harmless: isFalsy },
  ecdhCurve: {
    why: 'the key exchange groups are those of rustls',
    harmless: (value) => value === tls.DEFAULT_ECDH_CURVE || value === 'auto',
  },
  enableTrace: { why: 'there is no OpenSSL trace', harmless: isFalsy },
  fd: { why: 'existing file descriptors cannot be used' },
  handle: { why: 'existing handles cannot be used' },
  hints: { why: 'lookups have no hints', harmless: isFalsy },
  localPort: { why: 'the system chooses the local port', harmless: isFalsy },
  onread: { why: 'sockets are read by the engine' },
  pfx: { why: 'PKCS#12 is not supported: pass cert and key as PEM', harmless: isEmptyList },
  privateKeyEngine: { why: 'there is no OpenSSL engine' },
  privateKeyIdentifier: { why: 'there is no OpenSSL engine' },
  pskCallback: { why: 'pre-shared keys are not supported' },
  requestOCSP: { why: 'OCSP responses are not reported', harmless: isFalsy },
  secureContext: { why: 'OpenSSL contexts cannot be used' },
  secureOptions: { why: 'OpenSSL options have no effect', harmless: isFalsy },
  secureProtocol: { why: 'use minVersion and maxVersion' },
  session: { why: 'OpenSSL sessions cannot be resumed', harmless: isFalsy },
  signal: { why: 'a signal belongs to a request' },
  sigalgs: { why: 'the signature algorithms are those of rustls' },
  socket: { why: 'existing sockets cannot be used' },
  typeOfService: { why: 'the type of service is not set', harmless: isFalsy },
};

/*
 * Keys without effect, for a reason:
 * - host, port, hostname, protocol, ALPNProtocols: undici's connector overrides them, too: the
 *   origin and allowH2 decide;
 * - highWaterMark, readableHighWaterMark, writableHighWaterMark: credit bounds what is buffered;
 * - minDHSize: finite-field Diffie-Hellman is not supported, so no size can be too small;
 * - requestCert, SNICallback, ALPNCallback, ticketKeys, sessionTimeout, sessionIdContext,
 *   honorCipherOrder, isServer, server: for servers;
 * - allowH2, preferH2, useH2c: read by `options.ts`.
 */

function isFalsy(value: unknown): boolean {
  return !value;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** The first key that Node supports and the engine does not, and why; `null` if there is none. */
export function findUnsupported(
  options: Readonly<Record<string, unknown>>,
): { readonly name: string; readonly why: string } | null {
  for (const name of Object.keys(options)) {
    const value = options[name];
    if (value === undefined || value === null || !Object.hasOwn(REFUSED, name)) continue;
    const refused = REFUSED[name];
    if (refused === undefined || refused.harmless?.(value)) continue;
    return { name, why: refused.why };
  }
  return null;
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

/** PEM text or bytes, or the bytes of one DER structure, which starts with a SEQUENCE (0x30). */
function readPem(value: unknown, name: string): Uint8Array {
  const given = bytesOf(typeof value === 'string' ? Buffer.from(value, 'latin1') : value);
  if (given === null) {
    throw invalid(`connect.${name} must be a string, a Buffer, or an array of these`);
  }
  const bytes = copyOf(given);
  const isPem = bytes.includes('-----BEGIN ');
  if (!isPem && bytes[0] !== 0x30) throw invalid(`connect.${name} is neither PEM nor DER`);
  return bytes;
}

/** An option of Node's TLS that may be a list. As in Node, any falsy value is none. */
function listOf(value: unknown): unknown[] | null {
  if (!value) return null;
  return Array.isArray(value) ? (value as unknown[]) : [value];
}

/** As in Node, no server is trusted without certificates. */
function readCa(value: unknown): Uint8Array[] | null {
  return listOf(value)?.map((item) => readPem(item, 'ca')) ?? null;
}

/** The engine supports one identity. */
function readSingle(value: unknown, name: string): unknown {
  const list = listOf(value);
  if (list === null || list.length === 0) return null;
  if (list.length > 1)
    throw invalid(`connect.${name} must be a single value, for a single identity`);
  return list[0] ?? null;
}

type Identity = Pick<ConnectSettings, 'cert' | 'key'>;

/** As in Node, a certificate without a key is not used, nor a key without a certificate. */
function readIdentity(options: Readonly<Record<string, unknown>>): Identity {
  const cert = readCert(readSingle(options['cert'], 'cert'));
  const key = readKey(readSingle(options['key'], 'key'), readText(options, 'passphrase'));
  return cert === null || key === null ? { cert: null, key: null } : { cert, key };
}

function readCert(given: unknown): Uint8Array | null {
  return given === null ? null : readPem(given, 'cert');
}

function readKey(given: unknown, common: string | null): Uint8Array | null {
  if (given === null) return null;
  let pem: unknown = given;
  let passphrase = common;
  if (typeof pem === 'object' && Object.hasOwn(pem as object, 'pem')) {
    const pair = pem as { pem: unknown; passphrase?: unknown };
    passphrase = readText({ passphrase: pair.passphrase }, 'passphrase') ?? passphrase;
    pem = pair.pem;
  }
  const key = readPem(pem, 'key');
  return isEncrypted(key) ? decrypt(key, passphrase) : key;
}

/** PKCS#8 says so in its label, older forms of PEM in a header. */
function isEncrypted(key: Uint8Array): boolean {
  const text = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  return text.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----') || text.includes(',ENCRYPTED');
}

/** By Node, which supports every cipher used for keys. */
function decrypt(key: Uint8Array, passphrase: string | null): Uint8Array {
  if (passphrase === null) {
    throw invalid('invalid connect.passphrase: connect.key is encrypted and needs one');
  }
  try {
    const plain = createPrivateKey({ key: Buffer.from(key), passphrase });
    return Buffer.from(plain.export({ type: 'pkcs8', format: 'pem' }));
  } catch (cause) {
    // A malformed key ends up here, too: OpenSSL does not distinguish the two.
    const error = invalid('invalid connect.passphrase: it does not decrypt connect.key');
    error.cause = cause;
    throw error;
  }
}

function readLookup(value: unknown): LookupFunction | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'function') throw invalid('connect.lookup must be a function');
  return value as LookupFunction;
}

const VERSIONS: readonly string[] = ['TLSv1.2', 'TLSv1.3'];

function readVersion(value: unknown, name: 'minVersion' | 'maxVersion'): TlsVersion | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string' || !VERSIONS.includes(value)) {
    throw invalid(
      `connect.${name} must be 'TLSv1.2' or 'TLSv1.3': older versions are not supported`,
    );
  }
  return value as TlsVersion;
}

function readVersions(
  options: Readonly<Record<string, unknown>>,
): Pick<ConnectSettings, 'minVersion' | 'maxVersion'> {
  const minVersion = readVersion(options['minVersion'], 'minVersion');
  const maxVersion = readVersion(options['maxVersion'], 'maxVersion');
  if ((minVersion ?? 'TLSv1.2') > (maxVersion ?? 'TLSv1.3'))
    throw invalid('connect.minVersion must not be above maxVersion');
  return { minVersion, maxVersion };
}

/** Any given value overrides the process's setting. */
function readVerification(options: Readonly<Record<string, unknown>>): boolean | null {
  return 'rejectUnauthorized' in options ? options['rejectUnauthorized'] !== false : null;
}

/**
 * Settings from the options that undici would pass to its connector.
 *
 * `options` has own properties only, so that a polluted `Object.prototype` changes nothing.
 *
 * @throws InvalidArgumentError that names the option.
 */
export function readConnectOptions(options: Readonly<Record<string, unknown>>): ConnectSettings {
  const unsupported = findUnsupported(options);
  if (unsupported !== null) {
    const { name, why } = unsupported;
    throw invalid(`connect.${name} is not supported: ${why}; ${USE_CONNECTOR}`);
  }
  const settings: ConnectSettings = {
    timeout: readTimeout(options['timeout']),
    socketPath: readSocketPath(options),
    localAddress: readLocalAddress(options['localAddress']),
    noDelay: readFlag(options, 'noDelay', true),
    keepAliveProbe: readKeepAliveProbe(options),
    family: readFamily(options['family']),
    autoSelectFamily: readFlag(options, 'autoSelectFamily', null),
    autoSelectFamilyAttemptTimeout: readAttemptTimeout(options['autoSelectFamilyAttemptTimeout']),
    servername: readText(options, 'servername'),
    rejectUnauthorized: readVerification(options),
    ca: readCa(options['ca']),
    ...readIdentity(options),
    ...readVersions(options),
    maxCachedSessions: (options['maxCachedSessions'] as number | null | undefined) ?? 100,
    platformVerifier: readFlag(options, 'platformVerifier', false),
    fallback: readFlag(options, 'fallback', true),
    lookup: readLookup(options['lookup']),
  };
  if (settings.platformVerifier && settings.ca !== null) {
    throw invalid('connect.platformVerifier and connect.ca are mutually exclusive');
  }
  return settings;
}
