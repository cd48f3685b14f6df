// Certificates made while the test runs, good ones and each kind of bad one. DER by hand, so that
// neither OpenSSL nor a key in the repository is needed, and what is wrong can be chosen freely.

import {
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

const name = (commonName: string) =>
  sequence(tlv(0x31, sequence(oid('2.5.4.3'), tlv(0x0c, Buffer.from(commonName)))));

const extension = (id: string, critical: boolean, value: Buffer) =>
  sequence(oid(id), ...(critical ? [TRUE] : []), octets(value));

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const PURPOSES = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };
const DAY = 86_400_000;

export interface CertificateOptions {
  commonName?: string;
  /** DNS names; bytes as they are, so that a name may contain what no name should. */
  names?: readonly string[];
  addresses?: readonly string[];
  notBefore?: Date;
  notAfter?: Date;
  purposes?: readonly (keyof typeof PURPOSES)[];
  isAuthority?: boolean;
  /** Changes one bit of the signature. */
  breakSignature?: boolean;
}

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

const pem = (label: string, der: Buffer) =>
  `-----BEGIN ${label}-----\n${der.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;

function certificate(
  subjectKey: KeyObject,
  issuerName: string,
  issuerKey: KeyObject,
  options: CertificateOptions,
): string {
  const {
    commonName = 'dodici test',
    names = [],
    addresses = [],
    notBefore = new Date(Date.now() - DAY),
    notAfter = new Date(Date.now() + 365 * DAY),
    purposes = [],
    isAuthority = false,
    breakSignature = false,
  } = options;
  const serial = randomBytes(12);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const extensions: Buffer[] = [
    extension('2.5.29.19', true, isAuthority ? sequence(TRUE) : sequence()),
    // keyCertSign and cRLSign for an authority, digitalSignature for the others.
    extension('2.5.29.15', true, tlv(0x03, Buffer.from(isAuthority ? [1, 0x06] : [7, 0x80]))),
  ];
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
  const tbs = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, serial),
    ECDSA_SHA256,
    name(issuerName),
    sequence(time(notBefore), time(notAfter)),
    name(commonName),
    createPublicKey(subjectKey).export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', tbs, issuerKey);
  if (breakSignature) signature[signature.length - 1]! ^= 1;
  const bits = tlv(0x03, Buffer.from([0]), signature);
  return pem('CERTIFICATE', sequence(tbs, ECDSA_SHA256, bits));
}

function addressBytes(address: string): Buffer {
  if (!isIPv4(address)) throw new Error('IPv4 only');
  return Buffer.from(address.split('.').map(Number));
}

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const keyPem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();

/** An authority that signs whatever it is asked to. */
export class Authority {
  readonly ca: string;
  readonly #key = newKey();
  readonly #name: string;

  constructor(commonName = `dodici test root ${randomBytes(4).toString('hex')}`) {
    this.#name = commonName;
    this.ca = certificate(this.#key, commonName, this.#key, { commonName, isAuthority: true });
  }

  /** A certificate signed by this authority; for `localhost` and servers where nothing else is said. */
  issue(options: CertificateOptions = {}): Identity {
    const key = newKey();
    const defaults: CertificateOptions = { names: ['localhost'], purposes: ['server'] };
    return {
      cert: certificate(key, this.#name, this.#key, { ...defaults, ...options }),
      key: keyPem(key),
    };
  }
}

/** A certificate that vouches for itself. */
export function selfSigned(options: CertificateOptions = {}): Identity {
  const key = newKey();
  const { commonName = 'localhost' } = options;
  const defaults: CertificateOptions = { commonName, names: ['localhost'], purposes: ['server'] };
  return {
    cert: certificate(key, commonName, key, { ...defaults, ...options }),
    key: keyPem(key),
  };
}
