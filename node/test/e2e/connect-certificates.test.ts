// Certificates and keys of `connect`: what a server sees of a client, and the verdict on a server, as
// with undici. In the engine, unless a test says otherwise.

import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';

import * as undici from 'undici';
import { afterAll, afterEach, describe, expect, it } from 'vitest';

import { Agent, Client, Pool, type ServedBy } from '../../src/index';
import { certify, type Certified, revoke } from '../support/certificates';
import { listening } from '../support/servers';

const root = certify({ commonName: 'root', isAuthority: true });
const clients = certify({ commonName: 'clients', isAuthority: true });
const middle = certify({ commonName: 'middle', isAuthority: true }, clients);
const SERVER = { names: ['localhost'], purposes: ['server'] } as const;
const ofRsa = certify({ ...SERVER, rsaBits: 2048, usages: ['sign', 'encipher'] }, root);
const ofEc = certify(SERVER, root);
const byEc = certify({ commonName: 'by EC' }, clients);
const byRsa = certify({ commonName: 'by RSA', rsaBits: 2048 }, clients);
const belowMiddle = certify({ commonName: 'below' }, middle);
const ca = root.cert;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A server that answers with what it knows of its client. */
async function serve(options: https.ServerOptions = {}): Promise<string> {
  const demands = { requestCert: true, rejectUnauthorized: false, ca: clients.cert };
  const server = https.createServer(
    { ...ofRsa, ...demands, ...options },
    ({ socket }, response) => {
      const peer = socket as unknown as TLSSocket;
      const { subject } = peer.getPeerCertificate();
      const verdict = peer.authorized ? 'trusted' : String(peer.authorizationError);
      response.end(`${String(subject?.CN ?? 'nobody')}: ${verdict}`);
    },
  );
  const { port, close } = await listening(server);
  closers.push(close);
  return `https://localhost:${port}`;
}

interface Outcome {
  readonly answer: string;
  readonly servedBy: ServedBy | undefined;
}

async function outcome(make: typeof Client, url: string, connect: object): Promise<Outcome> {
  const client = new make(url, { connect: { ca, ...connect } });
  closers.push(() => client.destroy());
  const { servedBy } = client as { servedBy?: ServedBy };
  try {
    const { body } = await client.request({ path: '/', method: 'GET' });
    return { answer: await body.text(), servedBy };
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { answer: code ?? message, servedBy };
  }
}

/** What both say; `by`: who serves ours. */
async function same(url: string, connect: object, by: 'dodici' | 'undici'): Promise<string> {
  const theirs = await outcome(undici.Client as unknown as typeof Client, url, connect);
  const ours = await outcome(Client, url, connect);
  expect(ours.answer).toBe(theirs.answer);
  expect(ours.servedBy?.by).toBe(by);
  return ours.answer;
}

describe('several identities', () => {
  const cert = [byEc.cert, byRsa.cert];
  const key = [byEc.key, byRsa.key];

  it('are sent as the server’s signature algorithms require', async () => {
    const ofEcOnly = await serve({ ...ofEc, sigalgs: 'ECDSA+SHA256' });
    const ofRsaOnly = await serve({ sigalgs: 'RSA-PSS+SHA256' });
    for (const order of [cert, cert.toReversed()]) {
      const connect = { cert: order, key, minVersion: 'TLSv1.3' };
      expect(await same(ofEcOnly, connect, 'dodici')).toMatch(/^by EC/);
      expect(await same(ofRsaOnly, connect, 'dodici')).toMatch(/^by RSA/);
    }
  });

  it('of the same kind replace each other, and those without a key are not sent', async () => {
    const url = await serve();
    const other = certify({ commonName: 'other' }, clients);
    const last = { cert: [byEc.cert, other.cert], key: [other.key] };
    expect(await same(url, last, 'dodici')).toMatch(/^other/);
    expect(await same(url, { cert, key: byRsa.key }, 'dodici')).toMatch(/^by RSA/);
    expect(await same(url, { cert: byEc.cert, key }, 'dodici')).toMatch(/^by EC/);
  });

  it('may have encrypted keys, each with its passphrase', async () => {
    const url = await serve({ sigalgs: 'RSA-PSS+SHA256' });
    const encrypt = ({ privateKey }: Certified, passphrase: string) =>
      privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase });
    const pairs = [
      { pem: encrypt(byEc, 'one'), passphrase: 'one' },
      { pem: encrypt(byRsa, 'two') },
    ];
    const connect = { cert, key: pairs, passphrase: 'two' };
    expect(await same(url, connect, 'dodici')).toMatch(/^by RSA/);
    expect(await same(url, { cert, key: pairs, passphrase: 'one' }, 'undici')).toMatch(/^ERR_/);
  });

  it('sign with the algorithms of sigalgs only', async () => {
    const url = await serve({ sigalgs: 'RSA-PSS+SHA256:RSA-PSS+SHA384:ECDSA+SHA256' });
    const own = { cert: byRsa.cert, key: byRsa.key, sigalgs: 'RSA-PSS+SHA384:RSA-PSS+SHA256' };
    expect(await same(url, own, 'dodici')).toMatch(/^by RSA/);
    const others = { ...own, cert, key, sigalgs: 'RSA-PSS+SHA512:ECDSA+SHA256' };
    const lenient = await serve({ ...ofEc, sigalgs: 'RSA-PSS+SHA256:ECDSA+SHA256' });
    expect(await same(lenient, others, 'dodici')).toMatch(/^by EC/);
    const none = { ...own, sigalgs: 'ECDSA+SHA256', minVersion: 'TLSv1.3' };
    expect(await same(lenient, none, 'dodici')).toMatch(/^nobody/);
  });

  it('a lone certificate is completed with authorities that are trusted', async () => {
    const url = await serve();
    const { cert: lone, key: its } = belowMiddle;
    expect(await same(url, { cert: lone, key: its }, 'dodici')).toMatch(/^below: UNABLE_TO/);
    const trusting = { cert: lone, key: its, ca: [ca, middle.cert] };
    expect(await same(url, trusting, 'dodici')).toBe('below: trusted');
    const lax = { ...trusting, rejectUnauthorized: false };
    expect(await same(url, lax, 'dodici')).toBe('below: trusted');
  });

  it('of a kind that rustls does not have rest with undici’s class', async () => {
    const url = await serve();
    const { privateKey } = generateKeyPairSync('ed448');
    const { cert: odd, key: its } = certify({ commonName: 'odd', key: privateKey }, clients);
    expect(await same(url, { cert: odd, key: its }, 'undici')).toMatch(/^odd/);
  });
});

describe.runIf(spawnSync('openssl', ['version']).status === 0)('a PKCS#12 file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dodici-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const pack = (one: Certified, others: readonly Certified[], passphrase = 'phrase'): Buffer => {
    const file = (name: string): string => join(folder, name);
    writeFileSync(file('cert.pem'), one.cert);
    writeFileSync(file('key.pem'), one.key);
    writeFileSync(file('others.pem'), others.map((other) => other.cert).join(''));
    const from = ['-in', file('cert.pem'), '-inkey', file('key.pem')];
    const more = others.length > 0 ? ['-certfile', file('others.pem')] : [];
    const to = ['-passout', `pass:${passphrase}`, '-out', file('one.p12')];
    execFileSync('openssl', ['pkcs12', '-export', ...from, ...more, ...to]);
    return readFileSync(file('one.p12'));
  };
  const passphrase = 'phrase';

  it('with authorities sends them with the certificate', async () => {
    const url = await serve();
    const pfx = pack(belowMiddle, [middle]);
    expect(await same(url, { pfx, passphrase }, 'dodici')).toBe('below: trusted');
    const alone = pack(belowMiddle, []);
    expect(await same(url, { pfx: alone, passphrase }, 'dodici')).toMatch(/^below: UNABLE_TO/);
  });

  it('with authorities makes them trusted, too', async () => {
    const url = await serve();
    const pfx = pack(byEc, [root]);
    for (const trusted of [{ ca: [] }, { ca: clients.cert }, { ca: undefined }]) {
      expect(await same(url, { ...trusted, pfx, passphrase }, 'dodici')).toMatch(/^by EC/);
    }
    const without = pack(byEc, []);
    expect(await same(url, { ca: [], pfx: without, passphrase }, 'dodici')).toMatch(/^UNABLE_TO/);
  });

  it('in a list, and beside cert and key, adds an identity', async () => {
    const url = await serve({ sigalgs: 'RSA-PSS+SHA256' });
    const files = [
      { buf: pack(byEc, [], 'one'), passphrase: 'one' },
      { buf: pack(byRsa, [], 'two'), passphrase: 'two' },
    ];
    expect(await same(url, { pfx: files }, 'dodici')).toMatch(/^by RSA/);
    const { cert, key } = byRsa;
    const beside = { cert, key, pfx: pack(byEc, []), passphrase };
    expect(await same(url, beside, 'dodici')).toMatch(/^by RSA/);
  });

  it('and platformVerifier are mutually exclusive if it has authorities', () => {
    const connect = { pfx: pack(byEc, [root]), passphrase, platformVerifier: true };
    expect(() => new Client('https://localhost', { connect })).toThrow(
      'connect.platformVerifier and connect.pfx are mutually exclusive',
    );
  });
});

describe('what is malformed', () => {
  const other = certify({ commonName: 'other' }, clients);
  const encrypted = byRsa.privateKey
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'phrase' })
    .toString();
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const values: [string, string, object][] = [
    ['ca', 'text', { ca: 'text' }],
    ['ca', 'a broken certificate', { ca: broken }],
    ['ca', 'a broken certificate after a good one', { ca: `${ca}${broken}` }],
    ['ca', 'a number', { ca: 5 }],
    ['cert', 'text', { cert: 'text', key: byEc.key }],
    ['cert', 'a broken certificate', { cert: broken, key: byEc.key }],
    ['cert', 'an object', { cert: {}, key: byEc.key }],
    ['key', 'text', { cert: byEc.cert, key: 'text' }],
    ['key', 'of another certificate', { cert: byEc.cert, key: other.key }],
    ['key', 'a number in a list', { cert: byEc.cert, key: [5] }],
    ['key', 'encrypted, without a passphrase', { cert: byRsa.cert, key: encrypted }],
    ['key', 'encrypted', { cert: byRsa.cert, key: encrypted, passphrase: 'wrong' }],
    ['key', 'with a number as passphrase', { cert: byRsa.cert, key: encrypted, passphrase: 5 }],
    ['crl', 'text', { crl: 'text' }],
    ['crl', 'a certificate', { crl: [revoke(root, []), ca] }],
    ['pfx', 'text', { pfx: 'text' }],
  ];

  it.each(values)(
    'connect.%s: %s has undici’s outcome, when it is used',
    async (name, _value, connect) => {
      const url = await serve();
      await same(url, connect, 'undici');
      const { servedBy } = new Pool(url, { connect });
      expect(servedBy).toMatchObject({ by: 'undici', reason: 'option', option: `connect.${name}` });
    },
  );

  it.each(values)(
    'connect.%s: %s in origins is an error of the constructor',
    (name, _value, connect) => {
      const origins = { 'https://a.test': { connect } };
      const start = `origins["https://a.test"]: invalid connect.${name}: `;
      expect(() => new Agent({ origins })).toThrow(start);
      const agent = new Agent({ origins: () => ({ connect }) });
      expect(() => agent.optionsFor('https://a.test')).toThrow(`: invalid connect.${name}: `);
      // For the agent itself, it is undici's.
      expect(() => new Agent({ connect })).not.toThrow();
    },
  );

  it('certificates as DER bytes are ours alone', async () => {
    const url = await serve();
    const der = (pem: string): Buffer => new X509Certificate(pem).raw;
    const connect = { ca: der(ca), cert: der(byEc.cert), key: byEc.key };
    const ours = await outcome(Client, url, connect);
    expect(ours).toMatchObject({ answer: 'by EC: trusted', servedBy: { by: 'dodici' } });
  });
});
