/**
 * What Node's TLS would offer a server, and what of that the engine can.
 *
 * What lives here: reading the ClientHello that Node's OpenSSL makes of options and of its defaults:
 * OpenSSL alone knows what `HIGH:!aNULL` is, and which versions a security level leaves. It is made
 * in memory and sent nowhere. `options` and `tls-policy.ts` call it. It must not know pools.
 */

import { constants } from 'node:crypto';
import { Duplex } from 'node:stream';
import tls = require('node:tls');

/** Options that decide about the offer. */
export const OFFER_KEYS = [
  'ciphers',
  'ecdhCurve',
  'sigalgs',
  'secureProtocol',
  'minVersion',
  'maxVersion',
] as const;

export type OfferOptions = Readonly<Partial<Record<(typeof OFFER_KEYS)[number], unknown>>>;

/** TLS versions that the engine supports. */
type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** What the engine is to offer: numbers of IANA's registries; `null`: what rustls does. */
export interface EngineOffer {
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  readonly cipherSuites: readonly number[] | null;
  readonly groups: readonly number[] | null;
  readonly signatureSchemes: readonly number[] | null;
}

const { versions } = process as { versions: Partial<Record<string, string>> };
/** Others have no list to compare with. */
const isNode = versions['bun'] === undefined && versions['deno'] === undefined;
const nodesCiphers = isNode ? constants.defaultCoreCipherList : tls.DEFAULT_CIPHERS;
const nodesCurve = isNode ? 'auto' : tls.DEFAULT_ECDH_CURVE;

const TLS12 = 0x0303;
const TLS13 = 0x0304;

/** What rustls has, with aws-lc-rs. */
const SUITES: ReadonlySet<number> = new Set([
  0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9,
]);
const GROUPS: ReadonlySet<number> = new Set([
  0x0017, 0x0018, 0x001d, 0x0201, 0x0202, 0x11eb, 0x11ec,
]);
const SCHEMES: ReadonlySet<number> = new Set([
  0x0401, 0x0403, 0x0501, 0x0503, 0x0601, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807, 0x0904, 0x0905,
  0x0906,
]);

/** No cipher suite, but signals among them: renegotiation and fallback. */
const SIGNALS: ReadonlySet<number> = new Set([0x00ff, 0x5600]);

interface ClientHello {
  readonly versions: readonly number[];
  readonly suites: readonly number[];
  readonly groups: readonly number[];
  readonly schemes: readonly number[];
}

const { connect } = tls;

/** The bytes that Node's TLS would send first; `null` if it refuses the options. */
function firstFlight(options: OfferOptions): Buffer | null {
  let sent: Buffer | null = null;
  const memory = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      sent ??= chunk;
      done();
    },
  });
  try {
    const socket = connect({ ...(options as tls.ConnectionOptions), socket: memory });
    socket.on('error', () => undefined).destroy();
  } catch {
    return null;
  } finally {
    memory.destroy();
  }
  return sent;
}

/** The numbers of two bytes in a list that is preceded by its length in `size` bytes. */
function numbersIn(extension: Buffer | undefined, size: 1 | 2): number[] {
  const list = extension?.subarray(size) ?? Buffer.alloc(0);
  return Array.from({ length: list.length >> 1 }, (_value, n) => list.readUInt16BE(2 * n));
}

const HANDSHAKE = 22;

/** RFC 8446, section 4.1.2; `null` for anything else, such as an alert. */
function parseHello(record: Buffer): ClientHello | null {
  if (record[0] !== HANDSHAKE) return null;
  // Record, message, version and random, then the session's id.
  let at = 5 + 4 + 2 + 32;
  at += 1 + (record[at] ?? 0);
  const listEnd = at + 2 + record.readUInt16BE(at);
  const suites = numbersIn(record.subarray(at, listEnd), 2).filter((suite) => !SIGNALS.has(suite));
  at = listEnd + 1 + (record[listEnd] ?? 0) + 2;
  const extensions = new Map<number, Buffer>();
  while (at + 4 <= record.length) {
    const end = at + 4 + record.readUInt16BE(at + 2);
    extensions.set(record.readUInt16BE(at), record.subarray(at + 4, end));
    at = end;
  }
  const offered = numbersIn(extensions.get(43), 1);
  return {
    versions: offered.length > 0 ? offered : [record.readUInt16BE(9)],
    suites,
    groups: numbersIn(extensions.get(10), 2),
    schemes: numbersIn(extensions.get(13), 2),
  };
}

/** Whether options or defaults are others than Node's own, within what the engine supports. */
export function isSpecial(options: OfferOptions): boolean {
  const { ciphers, ecdhCurve, sigalgs, secureProtocol } = options;
  const minVersion = options.minVersion ?? tls.DEFAULT_MIN_VERSION;
  const maxVersion = options.maxVersion ?? tls.DEFAULT_MAX_VERSION;
  const isPlain =
    (ciphers || tls.DEFAULT_CIPHERS) === nodesCiphers &&
    (ecdhCurve ?? tls.DEFAULT_ECDH_CURVE) === nodesCurve &&
    (sigalgs ?? null) === null &&
    !secureProtocol &&
    (minVersion === 'TLSv1.2' || minVersion === 'TLSv1.3') &&
    (maxVersion === 'TLSv1.2' || maxVersion === 'TLSv1.3') &&
    minVersion <= maxVersion;
  return !isPlain;
}

function readOffer(options: OfferOptions): EngineOffer | null {
  const { ciphers, ecdhCurve, sigalgs = null } = options;
  const list = ciphers || tls.DEFAULT_CIPHERS;
  // A security level is about certificates, too.
  if (typeof list !== 'string' || list.includes('@')) return null;
  const bytes = firstFlight(options);
  const hello = bytes && parseHello(bytes);
  if (hello === null || hello.versions.some((version) => version < TLS12)) return null;
  const cipherSuites = hello.suites.filter((suite) => SUITES.has(suite));
  const groups = hello.groups.filter((group) => GROUPS.has(group));
  const signatureSchemes = hello.schemes.filter((scheme) => SCHEMES.has(scheme));
  if (groups.length === 0 || signatureSchemes.length === 0) return null;
  const isOf13 = (suite: number): boolean => suite >> 8 === 0x13;
  const speaks = (version: number): boolean =>
    hello.versions.includes(version) &&
    cipherSuites.some((suite) => isOf13(suite) === (version === TLS13));
  const spoken: TlsVersion[] = [];
  if (speaks(TLS12)) spoken.push('TLSv1.2');
  if (speaks(TLS13)) spoken.push('TLSv1.3');
  const [minVersion, maxVersion = minVersion] = spoken;
  if (minVersion === undefined || maxVersion === undefined) return null;
  const hasCiphers = list !== nodesCiphers;
  const hasCurve = (ecdhCurve ?? tls.DEFAULT_ECDH_CURVE) !== nodesCurve;
  return {
    minVersion,
    maxVersion,
    cipherSuites: hasCiphers ? cipherSuites : null,
    groups: hasCurve ? groups : null,
    signatureSchemes: sigalgs === null ? null : signatureSchemes,
  };
}

/** Offers by options and defaults. */
const offers = new Map<string, EngineOffer | null>();

/** More than a program has; beyond it, all are read again. */
const MOST = 100;

/** What the engine offers with these options; `null` if that is nothing, or Node refuses them. */
export function engineOffer(options: OfferOptions): EngineOffer | null {
  if (!isSpecial(options)) {
    const minVersion = (options.minVersion ?? tls.DEFAULT_MIN_VERSION) as TlsVersion;
    const maxVersion = (options.maxVersion ?? tls.DEFAULT_MAX_VERSION) as TlsVersion;
    return { minVersion, maxVersion, cipherSuites: null, groups: null, signatureSchemes: null };
  }
  const values = OFFER_KEYS.map((key) => options[key] ?? null);
  // Node refuses whatever is not text.
  if (values.some((value) => value !== null && typeof value !== 'string')) return null;
  const { DEFAULT_CIPHERS, DEFAULT_ECDH_CURVE, DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION } = tls;
  const defaults = [DEFAULT_CIPHERS, DEFAULT_ECDH_CURVE, DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION];
  const key = JSON.stringify([values, defaults]);
  let offer = offers.get(key);
  if (offer === undefined) {
    // Without the keys that are not given: Node distinguishes them.
    const given = OFFER_KEYS.filter((name) => (options[name] ?? null) !== null);
    offer = readOffer(Object.fromEntries(given.map((name) => [name, options[name]])));
    if (offers.size >= MOST) offers.clear();
    offers.set(key, offer);
  }
  return offer;
}
