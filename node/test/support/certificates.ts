// Certificates generated during the test, valid ones and each kind of invalid one. DER by hand, so
// that neither OpenSSL nor a key in the repository is needed, and every fault is possible.

import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';
import { isIPv4 } from 'node:net';

function tlv(tag: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length =
    body.length > 0xff ? [0x82, body.length >> 8, body.length & 0xff] : [0x81, body.length];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const sequence = (...content: Buffer[]) => tlv(0x30, ...content);
const octets = (content: Buffer) => tlv(0x04, content);
const TRUE = tlv(0x01, Buffer.from([0xff]));

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let value = Math.floor(part / 128); value > 0; value = Math.floor(value / 128)) {
      groups.unshift((value & 0x7f) | 0x80);
    }
    bytes.push(...groups);
  }
  return tlv(0x06, Buffer.from(bytes));
}

function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  return date.getUTCFullYear() < 2050
    ? tlv(0x17, Buffer.from(digits.slice(2)))
    : tlv(0x18, Buffer.from(digits));
}

const name = (commonName: string | null) =>
  commonName === null
    ? sequence()
    : sequence(tlv(0x31, sequence(oid('2.5.4.3'), tlv(0x0c, Buffer.from(commonName)))));

const extension = (id: string, critical: boolean, value: Buffer) =>
  sequence(oid(id), ...(critical ? [TRUE] : []), octets(value));

const NULL = tlv(0x05);
/** Hashes, and the signature algorithms that use them. */
const ALGORITHMS = {
  'ec-sha1': sequence(oid('1.2.840.10045.4.1')),
  'ec-sha256': sequence(oid('1.2.840.10045.4.3.2')),
  'ec-sha384': sequence(oid('1.2.840.10045.4.3.3')),
  'rsa-sha256': sequence(oid('1.2.840.113549.1.1.11'), NULL),
  'rsa-sha1': sequence(oid('1.2.840.113549.1.1.5'), NULL),
};
const PURPOSES = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
};
const DAY = 86_400_000;

/** Bits of key usage, as the bytes of a bit string. */
const USAGES = { sign: 0x80, encipher: 0x20, certify: 0x04, revoke: 0x02 };

/** A form of name in name constraints. */
export type Subtree = { readonly dns: string } | { readonly ip: readonly [string, string] };

export interface CertificateOptions {
  /** `null`: an empty subject. */
  commonName?: string | null;
  /** DNS names; as raw bytes, so that a name may contain invalid ones. */
  names?: readonly string[];
  addresses?: readonly string[];
  notBefore?: Date;
  notAfter?: Date;
  purposes?: readonly (keyof typeof PURPOSES)[];
  isAuthority?: boolean;
  /** 1: without extensions. Default 3. */
  version?: 1 | 3;
  /** `null`: without basic constraints. Default: what `isAuthority` says. */
  isCa?: boolean | null;
  pathLength?: number;
  /** `null`: without key usage. Default: what `isAuthority` says. */
  usages?: readonly (keyof typeof USAGES)[] | null;
  permitted?: readonly Subtree[];
  excluded?: readonly Subtree[];
  /** OID of one more extension, without content. */
  extension?: { readonly id: string; readonly isCritical: boolean };
  /** The authority's key identifier, right or wrong. Default: none. */
  authorityKeyId?: 'right' | 'wrong';
  hash?: 'sha256' | 'sha384' | 'sha1';
  /** Default: an elliptic curve, P-256. */
  rsaBits?: number;
  /** Of another certificate, to be certified again. */
  key?: KeyObject;
  /** Changes one bit of the signature. */
  breakSignature?: boolean;
}

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

const pem = (label: string, der: Buffer) =>
  `-----BEGIN ${label}-----\n${der.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;

/** A certificate with its key, to be used by a server or as an issuer. */
export interface Certified extends Identity {
  readonly privateKey: KeyObject;
  readonly name: string | null;
  readonly serial: Buffer;
}

const keyId = (key: KeyObject) =>
  createHash('sha1')
    .update(createPublicKey(key).export({ type: 'spki', format: 'der' }))
    .digest();

function subtrees(tag: number, list: readonly Subtree[] = []): Buffer[] {
  const bases = list.map((subtree) =>
    sequence(
      'dns' in subtree
        ? tlv(0x82, Buffer.from(subtree.dns))
        : tlv(0x87, ...subtree.ip.map(addressBytes)),
    ),
  );
  return bases.length === 0 ? [] : [tlv(tag, ...bases)];
}

function extensionsOf(options: CertificateOptions, key: KeyObject, issuerKey: KeyObject): Buffer[] {
  const { names = [], addresses = [], purposes = [], isAuthority = false } = options;
  const { isCa = isAuthority, pathLength, permitted, excluded } = options;
  const { usages = isAuthority ? (['certify', 'revoke'] as const) : (['sign'] as const) } = options;
  const extensions = [extension('2.5.29.14', false, octets(keyId(key)))];
  if (isCa !== null) {
    const length = pathLength === undefined ? [] : [tlv(0x02, Buffer.from([pathLength]))];
    extensions.push(extension('2.5.29.19', true, isCa ? sequence(TRUE, ...length) : sequence()));
  }
  if (usages !== null) {
    const bits = usages.reduce((all, usage) => all | USAGES[usage], 0);
    const unused = bits === 0 ? 0 : 31 - Math.clz32(bits & -bits);
    extensions.push(extension('2.5.29.15', true, tlv(0x03, Buffer.from([unused, bits]))));
  }
  if (purposes.length > 0) {
    const ids = purposes.map((purpose) => oid(PURPOSES[purpose]));
    extensions.push(extension('2.5.29.37', false, sequence(...ids)));
  }
  if (names.length + addresses.length > 0) {
    const alternatives = [
      ...names.map((text) => tlv(0x82, Buffer.from(text, 'latin1'))),
      ...addresses.map((address) => tlv(0x87, addressBytes(address))),
    ];
    extensions.push(extension('2.5.29.17', false, sequence(...alternatives)));
  }
  const constraints = [...subtrees(0xa0, permitted), ...subtrees(0xa1, excluded)];
  if (constraints.length > 0)
    extensions.push(extension('2.5.29.30', true, sequence(...constraints)));
  if (options.authorityKeyId !== undefined) {
    const id = options.authorityKeyId === 'right' ? keyId(issuerKey) : randomBytes(20);
    extensions.push(extension('2.5.29.35', false, sequence(tlv(0x80, id))));
  }
  if (options.extension !== undefined) {
    extensions.push(extension(options.extension.id, options.extension.isCritical, NULL));
  }
  return extensions;
}

/** A certificate issued by `issuer`, or self-signed without one. */
export function certify(options: CertificateOptions, issuer?: Certified): Certified {
  const {
    commonName = 'dodici test',
    notBefore = new Date(Date.now() - DAY),
    notAfter = new Date(Date.now() + 365 * DAY),
    breakSignature = false,
    version = 3,
    hash = 'sha256',
    rsaBits,
    key = rsaBits === undefined
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      : generateKeyPairSync('rsa', { modulusLength: rsaBits }).privateKey,
  } = options;
  const issuerKey = issuer?.privateKey ?? key;
  const issuerName = issuer === undefined ? commonName : issuer.name;
  const kind = issuerKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec';
  const algorithm = ALGORITHMS[`${kind}-${hash}` as keyof typeof ALGORITHMS];
  const serial = randomBytes(12);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const tbs = sequence(
    ...(version === 1 ? [] : [tlv(0xa0, tlv(0x02, Buffer.from([2])))]),
    tlv(0x02, serial),
    algorithm,
    name(issuerName),
    sequence(time(notBefore), time(notAfter)),
    name(commonName),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    ...(version === 1 ? [] : [tlv(0xa3, sequence(...extensionsOf(options, key, issuerKey)))]),
  );
  const signature = sign(hash, tbs, issuerKey);
  if (breakSignature) signature[signature.length - 1]! ^= 1;
  const bits = tlv(0x03, Buffer.from([0]), signature);
  return {
    cert: pem('CERTIFICATE', sequence(tbs, algorithm, bits)),
    key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    privateKey: key,
    name: commonName,
    serial,
  };
}

export interface RevocationOptions {
  thisUpdate?: Date;
  /** `null`: without one. */
  nextUpdate?: Date | null;
  /** The authority's key identifier, right or wrong. Default: none. */
  authorityKeyId?: 'right' | 'wrong';
  hash?: 'sha256' | 'sha384' | 'sha1';
  /** CRLReason of every entry. */
  reason?: number;
  /** OID of one more extension, with its content. */
  extension?: { readonly id: string; readonly isCritical: boolean; readonly content?: Buffer };
  /** Signs instead of the issuer. */
  signer?: Certified;
  breakSignature?: boolean;
}

/** A list in which `issuer` revokes these certificates. PEM. */
export function revoke(
  issuer: Certified,
  revoked: readonly Certified[],
  options: RevocationOptions = {},
): string {
  const { thisUpdate = new Date(Date.now() - DAY), hash = 'sha256', reason } = options;
  const { nextUpdate = new Date(Date.now() + DAY), authorityKeyId, extension: more } = options;
  const { privateKey } = options.signer ?? issuer;
  const kind = privateKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec';
  const algorithm = ALGORITHMS[`${kind}-${hash}` as keyof typeof ALGORITHMS];
  const reasons =
    reason === undefined
      ? []
      : [sequence(extension('2.5.29.21', false, tlv(0x0a, Buffer.from([reason]))))];
  const entries = revoked.map(({ serial }) =>
    sequence(tlv(0x02, serial), time(thisUpdate), ...reasons),
  );
  const extensions = [extension('2.5.29.20', false, tlv(0x02, Buffer.from([1])))];
  if (authorityKeyId !== undefined) {
    const id = authorityKeyId === 'right' ? keyId(issuer.privateKey) : randomBytes(20);
    extensions.push(extension('2.5.29.35', false, sequence(tlv(0x80, id))));
  }
  if (more !== undefined)
    extensions.push(extension(more.id, more.isCritical, more.content ?? NULL));
  const tbs = sequence(
    tlv(0x02, Buffer.from([1])),
    algorithm,
    name(issuer.name),
    time(thisUpdate),
    ...(nextUpdate === null ? [] : [time(nextUpdate)]),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    tlv(0xa0, sequence(...extensions)),
  );
  const signature = sign(hash, tbs, privateKey);
  if (options.breakSignature === true) signature[signature.length - 1]! ^= 1;
  const bits = tlv(0x03, Buffer.from([0]), signature);
  return pem('X509 CRL', sequence(tbs, algorithm, bits));
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [before = '', after = ''] = address.split('::');
  const groups = (part: string) =>
    part
      .split(':')
      .filter(Boolean)
      .map((group) => parseInt(group, 16));
  const [head, tail] = [groups(before), groups(after)];
  const zeros = new Array<number>(8 - head.length - tail.length).fill(0);
  return Buffer.from([...head, ...zeros, ...tail].flatMap((group) => [group >> 8, group & 0xff]));
}

/** An authority that signs any request. */
export class Authority {
  readonly ca: string;
  readonly #root: Certified;

  constructor(commonName = `dodici test root ${randomBytes(4).toString('hex')}`) {
    this.#root = certify({ commonName, isAuthority: true });
    this.ca = this.#root.cert;
  }

  /** A certificate signed by this authority; by default for servers at `localhost`. */
  issue(options: CertificateOptions = {}): Identity {
    return certify({ names: ['localhost'], purposes: ['server'], ...options }, this.#root);
  }
}

/** A self-signed certificate. */
export function selfSigned(options: CertificateOptions = {}): Identity {
  return certify({
    commonName: 'localhost',
    names: ['localhost'],
    purposes: ['server'],
    ...options,
  });
}
