/**
 * Certificates, keys and revocation lists of `connect`: `ca`, `cert`, `key`, `pfx`, `crl`, `passphrase`.
 *
 * What lives here: what the engine gets of them. Node's OpenSSL accepts or rejects them first, as it
 * would when undici connects, and decrypts keys; then the addon says what rustls can use. With
 * anything else the peer serves. `connect-options.ts` calls it. It must not know pools.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import tls = require('node:tls');

import { loadAddon, type NativeAddon } from '../native';
import { bytesOf, copyOf, OptionKey } from '../wire';
import { OptionList } from './option-list';
import { spread } from './own-options';
import { readPkcs12 } from './pkcs12';

/** A certificate chain and its private key, which is not encrypted. PEM. */
interface Identity {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
}

/** What the engine gets. */
export interface Certificates {
  /** Trust anchors, PEM or DER; none: no server is trusted; `null`: the default roots. */
  readonly ca: readonly Uint8Array[] | null;
  /** Trusted in addition. */
  readonly moreRoots: readonly Uint8Array[];
  /** Client certificates, at most one for each kind of key. */
  readonly identities: readonly Identity[];
  /** Revocation lists. */
  readonly crl: readonly Uint8Array[];
}

/** Why the engine cannot use them. */
export class UnusableCertificates {
  constructor(
    /** The key that it is about. */
    readonly culprit: string,
    /** Why nobody can use them; `null`: the peer can. */
    readonly error: Error | null = null,
  ) {}
}

type Options = Readonly<Record<string, unknown>>;

export const NO_CERTIFICATES: Certificates = {
  ca: null,
  moreRoots: [],
  identities: [],
  crl: [],
};

/** In the order in which Node reads them. */
const KEYS = ['ca', 'cert', 'key', 'crl', 'pfx'] as const;

/** An option of Node's TLS that may be a list. As in Node, any falsy value is none. */
function listOf(value: unknown): unknown[] {
  if (!value) return [];
  return Array.isArray(value) ? (value as unknown[]) : [value];
}

/** A DER structure starts with a SEQUENCE. */
const isDer = (bytes: Buffer): boolean => bytes[0] === 0x30 && !bytes.includes('-----BEGIN ');

/** A copy of text or bytes; anything else as it is. */
function plain(value: unknown): unknown {
  if (typeof value === 'string') return Buffer.from(value, 'latin1');
  const bytes = bytesOf(value);
  return bytes === null ? value : copyOf(bytes);
}

/** As PEM, the only form of certificates that Node takes. */
function plainCertificate(value: unknown): unknown {
  const bytes = plain(value);
  if (!Buffer.isBuffer(bytes) || !isDer(bytes)) return bytes;
  try {
    return Buffer.from(new X509Certificate(bytes).toString());
  } catch {
    return bytes;
  }
}

/** An item of a list of keys. */
interface KeyItem {
  readonly pem: unknown;
  readonly passphrase: unknown;
}

/** An item of a list of files. */
interface FileItem {
  readonly buf: unknown;
  readonly passphrase: unknown;
}

const pairOf = (value: unknown): Options => (bytesOf(value) === null ? spread(value) : spread());

function plainKey(value: unknown): unknown {
  const { pem = value, passphrase } = pairOf(value);
  return spread({ pem: plain(pem), passphrase });
}

function plainFile(value: unknown): unknown {
  const { buf, passphrase } = pairOf(value);
  return spread({ buf: plain(buf || value), passphrase });
}

/** Copies of the values, in Node's terms. */
function plainOptions(options: Options): Options {
  const { ca, cert, key, crl, pfx, passphrase } = options;
  const each = (value: unknown, form: (item: unknown) => unknown): unknown =>
    Array.isArray(value) ? (value as unknown[]).map(form) : form(value);
  return spread({
    // Without a list Node would load the default roots.
    ca: ca ? each(ca, plainCertificate) : [],
    cert: each(cert, plainCertificate),
    key: Array.isArray(key) ? (key as unknown[]).map(plainKey) : plain(key),
    crl: each(crl, plain),
    pfx: Array.isArray(pfx) ? (pfx as unknown[]).map(plainFile) : plain(pfx),
    passphrase,
  });
}

/** Node's verdict on some of the options. */
function nodesError(options: Options, ...names: readonly string[]): Error | null {
  const given = names.filter((name) => options[name] !== undefined);
  const some = Object.fromEntries(given.map((name) => [name, options[name]]));
  try {
    tls.createSecureContext(spread({ ca: [] }, some));
    return null;
  } catch (error) {
    return error as Error;
  }
}

/** What Node rejects. The key is given with its certificate, to which it must belong. */
function refused(options: Options): UnusableCertificates | null {
  // Node ignores what is malformed in `ca`.
  if (usesNone(options, 'ca') && listOf(options['ca']).every(Buffer.isBuffer)) return null;
  if (nodesError(options, ...KEYS, 'passphrase') === null) return null;
  for (const culprit of KEYS) {
    const others = culprit === 'key' ? ['cert', 'passphrase'] : ['passphrase'];
    const error = nodesError(options, culprit, ...others);
    if (error !== null) return new UnusableCertificates(culprit, error);
  }
  return new UnusableCertificates('cert');
}

const typeOf = (key: KeyObject): string => key.asymmetricKeyType ?? '';

/** PKCS#8 says so in its label, older forms of PEM in a header. */
function isEncrypted(key: Buffer): boolean {
  return key.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----') || key.includes(',ENCRYPTED');
}

/** A key, decrypted by Node, which supports every cipher used for keys. */
function readKey(pem: Buffer, passphrase: unknown): [type: string, pem: Buffer] {
  const key = createPrivateKey({ key: pem, passphrase: (passphrase ?? '') as string });
  return [typeOf(key), isEncrypted(pem) ? exported(key) : pem];
}

const exported = (key: KeyObject): Buffer =>
  Buffer.from(key.export({ type: 'pkcs8', format: 'pem' }));

/**
 * The identities of options that Node has accepted. As in OpenSSL there is a place for each kind of
 * key: a later certificate replaces an earlier one, and one without a key is not used.
 */
function readIdentities(options: Options): [identities: Identity[], moreRoots: Buffer[]] | null {
  const { passphrase } = options;
  const certs = new Map<string, Uint8Array>();
  const keys = new Map<string, Uint8Array>();
  for (const cert of listOf(options['cert']) as Buffer[]) {
    certs.set(typeOf(new X509Certificate(cert).publicKey), cert);
  }
  for (const item of listOf(options['key'])) {
    const { pem, passphrase: own } = (Buffer.isBuffer(item) ? { pem: item } : item) as KeyItem;
    keys.set(...readKey(pem as Buffer, own === undefined ? passphrase : own));
  }
  const moreRoots: Buffer[] = [];
  for (const item of listOf(options['pfx'])) {
    const { buf, passphrase: own } = (Buffer.isBuffer(item) ? { buf: item } : item) as FileItem;
    const phrase = own || passphrase || '';
    const file = typeof phrase === 'string' ? readPkcs12(buf as Buffer, phrase) : null;
    if (file === null) return null;
    certs.set(typeOf(file.key), Buffer.concat([file.cert, ...file.others]));
    keys.set(typeOf(file.key), exported(file.key));
    moreRoots.push(...file.others);
  }
  const identities = Array.from(certs, ([type, cert]) => ({ cert, key: keys.get(type) }));
  return [identities.filter((one): one is Identity => one.key !== undefined), moreRoots];
}

/** What the addon rejects. Without an addon nothing is: the first request reports that it is missing. */
function unsupported(certificates: Certificates): UnusableCertificates | null {
  let addon: NativeAddon;
  try {
    addon = loadAddon();
  } catch {
    return null;
  }
  const isBad = (part: Partial<Certificates>): boolean => {
    const options = encode({ ...NO_CERTIFICATES, ca: [], ...part });
    return addon.checkOptions(options, options.byteLength) !== undefined;
  };
  if (!isBad(certificates)) return null;
  const { ca, identities, crl } = certificates;
  if (isBad({ ca })) {
    // Node takes what precedes the first fault, without an error.
    const error = new Error('a certificate is malformed, or there is none');
    return new UnusableCertificates('ca', error);
  }
  if (isBad({ identities })) return new UnusableCertificates('cert');
  return new UnusableCertificates(isBad({ crl }) ? 'crl' : 'pfx');
}

/** Writes them into a list of options. */
export function writeCertificates(out: OptionList, certificates: Certificates): void {
  const { ca, moreRoots, identities, crl } = certificates;
  const write = (key: OptionKey, items: readonly Uint8Array[]): void => {
    for (const item of items) out.bytes(key, item);
  };
  // An empty item stands for an empty list.
  write(OptionKey.Ca, ca?.length === 0 ? [Buffer.alloc(0)] : (ca ?? []));
  write(OptionKey.MoreRoots, moreRoots);
  write(OptionKey.RevocationLists, crl);
  for (const { cert, key } of identities) {
    out.bytes(OptionKey.Cert, cert);
    out.bytes(OptionKey.Key, key);
  }
}

/** A list of options with these only. */
function encode(certificates: Certificates): Buffer {
  const out = new OptionList();
  out.text(OptionKey.Scheme, 'https');
  out.text(OptionKey.Host, 'localhost');
  writeCertificates(out, certificates);
  return out.finish();
}

function read(options: Options): Certificates | UnusableCertificates {
  const refusal = refused(options);
  if (refusal !== null) return refusal;
  try {
    const found = readIdentities(options);
    if (found === null) return new UnusableCertificates('pfx');
    const [identities, moreRoots] = found;
    const ca = listOf(options['ca']) as Buffer[];
    const crl = listOf(options['crl']) as Buffer[];
    const certificates = { ca, moreRoots, identities, crl };
    return unsupported(certificates) ?? certificates;
  } catch {
    // OpenSSL, which has loaded them, does not show them.
    return new UnusableCertificates('cert');
  }
}

/** The last ones: an `Agent` repeatedly creates pools with the same options. */
let last: { readonly key: Buffer; readonly value: Certificates | UnusableCertificates } | undefined;

/** All of them as bytes, to compare. */
function fingerprint(options: Options): Buffer {
  const parts: Buffer[] = [];
  const add = (value: unknown): void => {
    if (Buffer.isBuffer(value)) parts.push(Buffer.from(`${value.length}:`), value);
    else parts.push(Buffer.from(typeof value === 'string' ? JSON.stringify(value) : typeof value));
  };
  for (const [name, value] of Object.entries(options)) {
    const items = Array.isArray(value) ? (value as unknown[]) : [value];
    add(`${name} ${items.length}`);
    for (const item of items) {
      const { pem, buf, passphrase } = pairOf(item);
      [pem ?? buf ?? item, passphrase].forEach(add);
    }
  }
  add(tls.DEFAULT_CIPHERS);
  return Buffer.concat(parts);
}

/** Whether Node uses none of them, except perhaps for this one. */
function usesNone(options: Options, alone?: string): boolean {
  return KEYS.every((name) => {
    const value = options[name];
    const isNone =
      name === 'crl' || name === 'pfx' ? value === undefined || value === null : !value;
    return name === alone || isNone || isEmptyList(value);
  });
}

/** Reads them. `options` are those of `connect`, with own properties only. */
export function readCertificates(options: Options): Certificates | UnusableCertificates {
  const hasCa = Boolean(options['ca']);
  if (!hasCa && usesNone(options)) return NO_CERTIFICATES;
  const given = plainOptions(options);
  const now = fingerprint(given);
  if (last?.key.equals(now) !== true) last = { key: now, value: read(given) };
  // Without `ca`, the default roots.
  const { value } = last;
  if (hasCa || value instanceof UnusableCertificates) return value;
  return { ...value, ca: null };
}

export function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
