/**
 * PKCS#12 files (RFC 7292): `connect.pfx`.
 *
 * What lives here: taking the certificates and the key out of a file that Node has accepted. Node
 * verifies the file and decrypts its key, but does not show its certificates, which are decrypted here.
 * `certificates.ts` calls it. It must not know what the identity is for.
 */

import crypto = require('node:crypto');

/** What is in a file. Certificates are PEM. */
export interface Pkcs12 {
  /** The certificate of the key. */
  readonly cert: Buffer;
  readonly others: readonly Buffer[];
  readonly key: crypto.KeyObject;
}

/** A DER element. */
interface Element {
  readonly content: Buffer;
  readonly whole: Buffer;
}

/** The elements in `der`, one after the other. Throws if one has no end. */
function elementsIn(der: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < der.length;) {
    const first = der.readUInt8(at + 1);
    const size = first < 0x80 ? 0 : first & 0x7f;
    const start = at + 2 + size;
    const end = start + (size === 0 ? first : der.readUIntBE(at + 2, size));
    if (end > der.length) throw new RangeError('a DER element has no end');
    found.push({ content: der.subarray(start, end), whole: der.subarray(at, end) });
    at = end;
  }
  return found;
}

const partsOf = (element: Element | undefined): Element[] =>
  element === undefined ? [] : elementsIn(element.content);
const hex = (element: Element | undefined): string => element?.content.toString('hex') ?? '';
const bytes = (element: Element | undefined): Buffer => element?.content ?? Buffer.alloc(0);
const number = (element: Element | undefined): number => Number(`0x0${hex(element)}`);

/** Object identifiers, in hexadecimal. */
const ENCRYPTED_DATA = '2a864886f70d010706';
const KEY_BAG = '2a864886f70d010c0a0101';
const SHROUDED_KEY_BAG = '2a864886f70d010c0a0102';
const CERT_BAG = '2a864886f70d010c0a0103';
const PBES2 = '2a864886f70d01050d';
const SHA1_TRIPLE_DES = '2a864886f70d010c0103';
const CIPHERS: Readonly<Record<string, readonly [name: string, keyLength: number]>> = {
  '2a864886f70d0307': ['des-ede3-cbc', 24],
  '608648016503040102': ['aes-128-cbc', 16],
  '608648016503040116': ['aes-192-cbc', 24],
  '60864801650304012a': ['aes-256-cbc', 32],
};
const PRFS: Readonly<Record<string, string>> = {
  '': 'sha1',
  '2a864886f70d0207': 'sha1',
  '2a864886f70d0208': 'sha224',
  '2a864886f70d0209': 'sha256',
  '2a864886f70d020a': 'sha384',
  '2a864886f70d020b': 'sha512',
};

/** Appendix B.2 of RFC 7292, with SHA-1: `purpose` 1 makes a key, 2 an initialisation vector. */
function deriveBySha1(
  phrase: string,
  salt: Buffer,
  rounds: number,
  purpose: number,
  length: number,
): Buffer {
  const block = 64;
  const fill = (text: Buffer): Buffer =>
    Buffer.alloc(block * Math.ceil(text.length / block), text.length === 0 ? 0 : text);
  const text = Buffer.from(`${phrase}\0`, 'utf16le').swap16();
  const input = Buffer.concat([fill(salt), fill(text)]);
  const out: Buffer[] = [];
  for (let made = 0; made < length; made += 20) {
    let hash = Buffer.concat([Buffer.alloc(block, purpose), input]);
    for (let n = 0; n < rounds; n++) hash = crypto.createHash('sha1').update(hash).digest();
    out.push(hash);
    const addend = Buffer.alloc(block, hash);
    for (let start = 0; start < input.length; start += block) {
      let carry = 1;
      for (let at = block - 1; at >= 0; at--) {
        carry += input.readUInt8(start + at) + addend.readUInt8(at);
        input.writeUInt8(carry & 0xff, start + at);
        carry >>= 8;
      }
    }
  }
  return Buffer.concat(out).subarray(0, length);
}

/** `data`, encrypted with an algorithm of Node's OpenSSL; `null` for any other. */
function decrypt(algorithm: Element | undefined, data: Buffer, phrase: string): Buffer | null {
  const [kind, parameters] = partsOf(algorithm);
  const run = (cipher: string, key: Buffer, vector: Buffer): Buffer => {
    const decipher = crypto.createDecipheriv(cipher, key, vector);
    return Buffer.concat([decipher.update(data), decipher.final()]);
  };
  if (hex(kind) === SHA1_TRIPLE_DES) {
    const [salt, rounds] = partsOf(parameters);
    const derive = (purpose: number, length: number): Buffer =>
      deriveBySha1(phrase, bytes(salt), number(rounds), purpose, length);
    return run('des-ede3-cbc', derive(1, 24), derive(2, 8));
  }
  if (hex(kind) !== PBES2) return null;
  const [derivation, scheme] = partsOf(parameters);
  const [, pbkdf2] = partsOf(derivation);
  const [salt, rounds, ...others] = partsOf(pbkdf2);
  // The length of the key may stand before the function.
  const prf = PRFS[hex(partsOf(others.find(({ whole }) => whole[0] === 0x30))[0])];
  const [cipher, vector] = partsOf(scheme);
  const [name, length] = CIPHERS[hex(cipher)] ?? [];
  if (prf === undefined || name === undefined || length === undefined) return null;
  const key = crypto.pbkdf2Sync(phrase, bytes(salt), number(rounds), length, prf);
  return run(name, key, bytes(vector));
}

/** The bags of a file: the kind of each, and its value. */
function bagsOf(file: Buffer, phrase: string): [kind: string, value: Element][] | null {
  const [pfx] = elementsIn(file);
  const [, authSafe] = partsOf(pfx);
  const [, wrapped] = partsOf(authSafe);
  const [octets] = partsOf(wrapped);
  const [infos] = partsOf(octets);
  const bags: [string, Element][] = [];
  for (const info of partsOf(infos)) {
    const [kind, explicit] = partsOf(info);
    const [content] = partsOf(explicit);
    let safe: Buffer | null;
    if (hex(kind) === ENCRYPTED_DATA) {
      const [, encrypted] = partsOf(content);
      const [, algorithm, data] = partsOf(encrypted);
      safe = decrypt(algorithm, bytes(data), phrase);
    } else {
      safe = bytes(content);
    }
    if (safe === null) return null;
    for (const bag of partsOf(elementsIn(safe)[0])) {
      const [bagKind, value] = partsOf(bag);
      const [inner] = partsOf(value);
      if (inner !== undefined) bags.push([hex(bagKind), inner]);
    }
  }
  return bags;
}

/** The certificates and the key that Node uses; `null` if they cannot be read here. */
export function readPkcs12(file: Buffer, passphrase: string): Pkcs12 | null {
  try {
    const bags = bagsOf(file, passphrase);
    if (bags === null) return null;
    const keys = bags.flatMap(([kind, { whole }]) =>
      kind === KEY_BAG || kind === SHROUDED_KEY_BAG
        ? [crypto.createPrivateKey({ key: whole, format: 'der', type: 'pkcs8', passphrase })]
        : [],
    );
    const certs = bags.flatMap(([kind, inner]) => {
      const [, explicit] = kind === CERT_BAG ? partsOf(inner) : [];
      return explicit === undefined
        ? []
        : [new crypto.X509Certificate(bytes(elementsIn(explicit.content)[0]))];
    });
    const [key] = keys;
    const own = key && certs.find((cert) => cert.checkPrivateKey(key));
    if (key === undefined || own === undefined) return null;
    const pem = (cert: crypto.X509Certificate): Buffer => Buffer.from(cert.toString());
    const others = certs.filter((cert) => cert !== own).map(pem);
    return { cert: pem(own), others, key };
  } catch {
    return null;
  }
}
