// S12: a certificate chain is accepted or rejected, with the same code, as by Node's own TLS. Each
// chain is served by a real server and verified by both. Where ours is stricter, it says why.

import type { KeyObject } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import * as tls from 'node:tls';

import { afterAll, describe, expect, it } from 'vitest';

import { Client } from '../../src/index';
import { type CertificateOptions, certify, type Certified } from '../support/certificates';
import { attempt } from '../support/wire';

interface Case {
  /** The server's certificate and the certificates it sends with it. */
  readonly chain: readonly Certified[];
  readonly ca: readonly Certified[];
  readonly host?: string;
  readonly servername?: string;
  /** Why it is rejected here although some Node accepts it. */
  readonly stricter?: string;
}

const DAY = 86_400_000;
const past = {
  notBefore: new Date(Date.now() - 20 * DAY),
  notAfter: new Date(Date.now() - 10 * DAY),
};
const future = { notBefore: new Date(Date.now() + 10 * DAY) };

let numbers = 0;
/** An authority; a root without `issuer`. */
const authority = (options: CertificateOptions = {}, issuer?: Certified) =>
  certify({ commonName: `authority ${++numbers}`, isAuthority: true, ...options }, issuer);
const server = (options: CertificateOptions, issuer?: Certified) =>
  certify({ commonName: 'server', names: ['localhost'], purposes: ['server'], ...options }, issuer);

/** Root, intermediate and server, each with options. */
function three(
  root: CertificateOptions = {},
  middle: CertificateOptions = {},
  leaf: CertificateOptions = {},
) {
  const top = authority(root);
  const between = authority(middle, top);
  return { top, between, leaf: server(leaf, between) };
}

function sent(...options: Parameters<typeof three>): Case {
  const { top, between, leaf } = three(...options);
  return { chain: [leaf, between], ca: [top] };
}

/** Root and server. */
function two(root: CertificateOptions = {}, leaf: CertificateOptions = {}): Case {
  const top = authority(root);
  return { chain: [server(leaf, top)], ca: [top] };
}

/** A chain with this many intermediates. */
function long(intermediates: number): Case {
  const top = authority();
  const chain: Certified[] = [];
  let issuer = top;
  for (let n = 0; n < intermediates; n++) {
    issuer = authority({}, issuer);
    chain.unshift(issuer);
  }
  return { chain: [server({}, issuer), ...chain], ca: [top] };
}

/** One authority with two certificates: its own, and one of `top`'s. */
function crossSigned() {
  const top = authority();
  const key: KeyObject = authority().privateKey;
  const own = authority({ commonName: 'crossed', key });
  const crossed = authority({ commonName: 'crossed', key }, top);
  return { top, own, crossed, leaf: server({}, own) };
}

const unknown = { id: '1.3.6.1.4.1.99999.1', isCritical: true };
const harmless = { id: '1.3.6.1.4.1.99999.1', isCritical: false };

const cases: Record<string, Case | (() => Case)> = {
  // Valid ones, so that the others mean something.
  'a root and a server': two(),
  'an intermediate': sent(),
  'twelve intermediates': () => long(12),
  'fifty intermediates': () => long(50),
  'with right key identifiers': sent({}, { authorityKeyId: 'right' }, { authorityKeyId: 'right' }),
  'a harmless unknown extension': two({}, { extension: harmless }),
  'RSA keys': two({ rsaBits: 2048 }, { rsaBits: 2048 }),
  'SHA-384': two({}, { hash: 'sha384' }),

  // Issuers.
  'an unknown authority': { chain: [server({}, authority())], ca: [authority()] },
  'an unknown authority that is sent along': () => {
    const { top, between, leaf } = three();
    return { chain: [leaf, between, top], ca: [authority()] };
  },
  'an unknown authority, its intermediate sent along': () => {
    const { between, leaf } = three();
    return { chain: [leaf, between], ca: [authority()] };
  },
  'a missing intermediate': () => {
    const { top, leaf } = three();
    return { chain: [leaf], ca: [top] };
  },
  'an intermediate among the roots': () => {
    const { top, between, leaf } = three();
    return { chain: [leaf], ca: [top, between] };
  },
  'an intermediate in the place of the root': () => {
    const { between, leaf } = three();
    return { chain: [leaf, between], ca: [between] };
  },
  'an intermediate in the place of the root, which is sent along': () => {
    const { top, between, leaf } = three();
    return { chain: [leaf, between, top], ca: [between] };
  },
  'the server itself in the place of the root': () => {
    const { between, leaf } = three();
    return { chain: [leaf, between], ca: [leaf] };
  },
  'an expired server in the place of the root': () => {
    const { leaf } = three({}, {}, past);
    return { chain: [leaf], ca: [leaf] };
  },
  'the server itself beside the root': () => {
    const { top, between, leaf } = three();
    return { chain: [leaf, between], ca: [leaf, top] };
  },
  'an expired intermediate in the place of the root': () => {
    const { between, leaf } = three({}, past);
    return { chain: [leaf], ca: [between] };
  },
  'an expired intermediate among the roots': () => {
    const { top, between, leaf } = three({}, past);
    return { chain: [leaf], ca: [top, between] };
  },
  'the root sent along': () => {
    const { top, between, leaf } = three();
    return { chain: [leaf, between, top], ca: [top] };
  },
  'the chain in another order': () => {
    const { top, between, leaf } = three();
    return { chain: [leaf, top, between], ca: [top] };
  },
  'a certificate that belongs to no chain': () => {
    const { top, between, leaf } = three();
    return { chain: [leaf, authority(), between], ca: [top] };
  },
  'the server twice': () => {
    const { top, between, leaf } = three();
    return { chain: [leaf, leaf, between, between], ca: [top] };
  },
  'a root of the same name with another key': () => {
    const top = authority({ commonName: 'the same' });
    return { chain: [server({}, top)], ca: [authority({ commonName: 'the same' })] };
  },
  'two roots of one name, the right one second': () => {
    const top = authority({ commonName: 'twin' });
    const other = authority({ commonName: 'twin' });
    return { chain: [server({ authorityKeyId: 'right' }, top)], ca: [other, top] };
  },
  'a sent root that mimics a trusted one': () => {
    const top = authority({ commonName: 'mimicked' });
    const mimic = authority({ commonName: 'mimicked' });
    return { chain: [server({}, mimic), mimic], ca: [top] };
  },
  'cross-signed, its own certificate trusted': () => {
    const { own, crossed, leaf } = crossSigned();
    return { chain: [leaf, crossed], ca: [own] };
  },
  'cross-signed, the other authority trusted': () => {
    const { top, crossed, leaf } = crossSigned();
    return { chain: [leaf, crossed], ca: [top] };
  },
  'cross-signed, both sent along, the other authority trusted': () => {
    const { top, own, crossed, leaf } = crossSigned();
    return { chain: [leaf, own, crossed], ca: [top] };
  },
  'a wrong key identifier': two({}, { authorityKeyId: 'wrong' }),

  // Self-signed certificates, and leaves as `ca`.
  'a self-signed server': { chain: [server({})], ca: [authority()] },
  'a self-signed server that is a CA': {
    chain: [server({ isCa: true })],
    ca: [authority()],
  },
  'a self-signed server that is trusted': () => {
    const leaf = server({});
    return { chain: [leaf], ca: [leaf] };
  },
  'a self-signed server without constraints that is trusted': () => {
    const leaf = server({ isCa: null, usages: null });
    return { chain: [leaf], ca: [leaf] };
  },
  'a self-signed CA that is trusted and serves': () => {
    const leaf = server({ isCa: true, usages: ['sign', 'certify'] });
    return { chain: [leaf], ca: [leaf] };
  },
  'a self-signed CA that may only certify, and serves': () => {
    const leaf = server({ isAuthority: true });
    return { chain: [leaf], ca: [leaf] };
  },
  'a self-signed server that is trusted and expired': () => {
    const leaf = server(past);
    return { chain: [leaf], ca: [leaf] };
  },
  'a self-signed server that is trusted, for clients only': () => {
    const leaf = server({ purposes: ['client'] });
    return { chain: [leaf], ca: [leaf] };
  },
  'a self-signed server whose copy with another date is trusted': () => {
    const leaf = server({ commonName: 'copied' });
    const copy = server({ commonName: 'copied', key: leaf.privateKey });
    return { chain: [leaf], ca: [copy] };
  },
  'a server that is trusted itself, but not its authority': () => {
    const { leaf } = three();
    return { chain: [leaf], ca: [leaf] };
  },
  'a server that is trusted itself, with its chain sent along': () => {
    const { top, between, leaf } = three();
    return { chain: [leaf, between, top], ca: [leaf] };
  },
  'a server that a trusted server has issued': () => {
    const anchor = server({ commonName: 'anchor' });
    return { chain: [server({}, anchor)], ca: [anchor] };
  },
  'a CA that another one has issued, as a server': two({}, { isCa: true, usages: ['sign'] }),

  // Dates.
  'an expired server': two({}, past),
  'a server of the future': two({}, future),
  'an expired intermediate': sent({}, past),
  'an intermediate of the future': sent({}, future),
  'an expired root': two(past),
  'an expired root above an intermediate': sent(past),
  'a root of the future': two(future),
  'an expired root beside its successor': () => {
    const old = authority({ commonName: 'renewed', ...past });
    const renewed = authority({ commonName: 'renewed', key: old.privateKey });
    return { chain: [server({}, old)], ca: [old, renewed] };
  },
  'an expired server of an unknown authority': {
    chain: [server(past, authority())],
    ca: [authority()],
  },
  'an expired server for another host': two({}, { ...past, names: ['other.example'] }),

  // Usages.
  'a root without constraints': two({ isCa: null, usages: null }),
  'a root without constraints that may certify': two({ isCa: null }),
  'an intermediate without constraints': sent({}, { isCa: null, usages: null }),
  'an intermediate without constraints that may certify': sent({}, { isCa: null }),
  'a root that is no CA': two({ isCa: false }),
  'an intermediate that is no CA': sent({}, { isCa: false, usages: ['sign'] }),
  'a root that may not certify': two({ usages: ['revoke'] }),
  'an intermediate that may not certify': sent({}, { usages: ['sign'] }),
  'a root of version 1': two({ version: 1 }),
  'an intermediate of version 1': sent({}, { version: 1 }),
  'a server of version 1': two({}, { version: 1, commonName: 'localhost' }),
  'a server of version 1 below an intermediate': sent(
    {},
    {},
    { version: 1, commonName: 'localhost' },
  ),
  'a root for clients': two({ purposes: ['client'] }),
  'a root for servers': two({ purposes: ['server'] }),
  'an intermediate for clients': sent({}, { purposes: ['client'] }),
  'a server for clients': two({}, { purposes: ['client'] }),
  'a server for clients and servers': two({}, { purposes: ['client', 'server'] }),
  'a server for any purpose': two({}, { purposes: ['any'] }),
  'an intermediate for any purpose': sent({}, { purposes: ['any'] }),
  'a server without a purpose': two({}, { purposes: [] }),
  'a server that may only certify': two({}, { usages: ['certify'] }),
  'a server that may only encipher': two({ rsaBits: 2048 }, { usages: ['encipher'] }),
  'a root with path length 0': two({ pathLength: 0 }),
  'a root with path length 0 above an intermediate': sent({ pathLength: 0 }),
  'a root with path length 1 above an intermediate': sent({ pathLength: 1 }),
  'an intermediate with path length 0 above another': () => {
    const top = authority();
    const first = authority({ pathLength: 0 }, top);
    const second = authority({}, first);
    return { chain: [server({}, second), second, first], ca: [top] };
  },
  'an unknown critical extension in the server': two({}, { extension: unknown }),
  'an unknown critical extension in the intermediate': sent({}, { extension: unknown }),
  'an unknown critical extension in the root': two({ extension: unknown }),

  // Signatures and keys.
  'a broken signature of the server': two({}, { breakSignature: true }),
  'a broken signature of the intermediate': sent({}, { breakSignature: true }),
  'a broken signature of the root': two({ breakSignature: true }),
  'a broken signature of an expired server': two({}, { ...past, breakSignature: true }),
  'a server signed with SHA-1': two({ rsaBits: 2048 }, { hash: 'sha1' }),
  'a server with a key of 1024 bits': {
    ...two({}, { rsaBits: 1024 }),
    stricter: 'keys below 2048 bits are refused, as OpenSSL 3.2 and later do',
  },
  'a root with a key of 1024 bits': {
    ...two({ rsaBits: 1024 }),
    stricter: 'keys below 2048 bits are refused, as OpenSSL 3.2 and later do',
  },

  // Names.
  'another host': two({}, { names: ['other.example'] }),
  'a name in another case': two({}, { names: ['LocalHost'] }),
  'a name with a final dot': two({}, { names: ['localhost.'] }),
  'the name in the subject only': two({}, { names: [], commonName: 'localhost' }),
  'the name in the subject, beside another': two(
    {},
    { names: ['other.example'], commonName: 'localhost' },
  ),
  'the name in the subject, beside an address': two(
    {},
    { names: [], addresses: ['127.0.0.1'], commonName: 'localhost' },
  ),
  'no name at all': two({}, { names: [], commonName: null }),
  'an address': { ...two({}, { names: [], addresses: ['127.0.0.1'] }), host: '127.0.0.1' },
  'another address': { ...two({}, { names: [], addresses: ['127.0.0.2'] }), host: '127.0.0.1' },
  'an address as a name': { ...two({}, { names: ['127.0.0.1'] }), host: '127.0.0.1' },
  'an address in the subject': {
    ...two({}, { names: [], commonName: '127.0.0.1' }),
    host: '127.0.0.1',
  },
  ...Object.fromEntries(
    (
      [
        ['*.dodici.test', 'a.dodici.test'],
        ['*.dodici.test', 'A.Dodici.Test'],
        ['*.dodici.test', 'a.b.dodici.test'],
        ['*.dodici.test', 'dodici.test'],
        ['*.dodici.test', '.dodici.test'],
        ['a*.dodici.test', 'abc.dodici.test'],
        ['a*c.dodici.test', 'abc.dodici.test'],
        ['a*c.dodici.test', 'ac.dodici.test'],
        ['a*c*.dodici.test', 'abcd.dodici.test'],
        ['*.*.test', 'a.b.test'],
        ['a.*.test', 'a.b.test'],
        ['*', 'localhost'],
        ['*.test', 'a.test'],
        ['xn--*.dodici.test', 'xn--a.dodici.test'],
        ['*.dodici.test', 'xn--a.dodici.test'],
        ['a..dodici.test', 'a..dodici.test'],
        ['under_score.dodici.test', 'under_score.dodici.test'],
        ['localhost\0.dodici.test', 'localhost'],
        ['%2Frun%2Fa.sock', '%2Frun%2Fa.sock'],
        ['localhost', '%2Frun%2Fa.sock'],
        ['-a.dodici.test', '-a.dodici.test'],
      ] as const
    ).map(([pattern, servername]): [string, Case] => [
      `${JSON.stringify(pattern)} for ${JSON.stringify(servername)}`,
      {
        ...two({}, { names: [pattern] }),
        servername,
        ...(pattern.includes('%') && { stricter: 'no host has such a character: as of Node 22' }),
      },
    ]),
  ),

  // Constraints on names.
  'a permitted name': two({ permitted: [{ dns: 'localhost' }] }),
  'a name that is not permitted': two({ permitted: [{ dns: 'example.com' }] }),
  'a permitted name below a domain': {
    ...two({ permitted: [{ dns: 'dodici.test' }] }, { names: ['a.dodici.test'] }),
    servername: 'a.dodici.test',
  },
  'a name that only ends like a permitted one': {
    ...two({ permitted: [{ dns: 'dodici.test' }] }, { names: ['adodici.test'] }),
    servername: 'adodici.test',
  },
  'an excluded name': two({ excluded: [{ dns: 'localhost' }] }),
  'an excluded domain': {
    ...two({ excluded: [{ dns: 'dodici.test' }] }, { names: ['a.dodici.test'] }),
    servername: 'a.dodici.test',
  },
  'a name that is not excluded': two({ excluded: [{ dns: 'example.com' }] }),
  'everything excluded': two({ excluded: [{ dns: '' }] }),
  'an intermediate whose constraints exclude the server': sent(
    {},
    { excluded: [{ dns: 'localhost' }] },
  ),
  'a permitted address': {
    ...two({ permitted: [{ ip: ['127.0.0.0', '255.0.0.0'] }] }, { addresses: ['127.0.0.1'] }),
    host: '127.0.0.1',
  },
  'an address that is not permitted': {
    ...two({ permitted: [{ ip: ['10.0.0.0', '255.0.0.0'] }] }, { addresses: ['127.0.0.1'] }),
    host: '127.0.0.1',
  },
  'a subject that is not permitted': {
    ...two({ permitted: [{ dns: 'example.com' }] }, { names: [], commonName: 'a.dodici.test' }),
    servername: 'a.dodici.test',
  },
  'a subject of one label beside constraints': two(
    { permitted: [{ dns: 'example.com' }] },
    { names: [], commonName: 'localhost' },
  ),
};

const servers: tls.Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

async function serve(chain: readonly Certified[]): Promise<number> {
  const [leaf] = chain;
  const started = tls.createServer(
    {
      cert: chain.map(({ cert }) => cert).join(''),
      key: leaf!.key,
      // The server's own OpenSSL would reject weak certificates.
      ciphers: 'DEFAULT@SECLEVEL=0',
      ALPNProtocols: ['http/1.1'],
    },
    (socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
    },
  );
  started.on('tlsClientError', () => {});
  servers.push(started);
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  return (started.address() as AddressInfo).port;
}

/** The verdict of Node's own TLS: a code, or `good`. */
function verdictOfNode(
  port: number,
  ca: string[],
  servername: string | undefined,
  options: object,
): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      ca,
      ...options,
      ...(servername === undefined ? {} : { servername }),
    });
    socket.on('secureConnect', () => {
      resolve('good');
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

async function ourVerdict(
  origin: string,
  ca: string[],
  servername: string | undefined,
  options: object,
): Promise<string> {
  const client = new Client(origin, {
    connect: { ca, ...options, ...(servername === undefined ? {} : { servername }) },
  });
  expect(client.servedBy.by).toBe('dodici');
  const { status, code, cause } = (await attempt(client, {})) as {
    status?: number;
    code?: string;
    cause?: { code?: string };
  };
  await client.destroy();
  return status === 200 ? 'good' : (cause?.code ?? code ?? 'no code');
}

describe.each([{}, { allowPartialTrustChain: true }])('s12 a chain, with %j', (options) => {
  it.each(Object.keys(cases))('of %s', async (name) => {
    const found = cases[name]!;
    const {
      chain,
      ca,
      host = 'localhost',
      servername,
      stricter,
    } = typeof found === 'function' ? found() : found;
    const port = await serve(chain);
    const roots = ca.map(({ cert }) => cert);
    const nodes = await verdictOfNode(
      port,
      roots,
      servername ?? (host === 'localhost' ? host : undefined),
      options,
    );
    const ours = await ourVerdict(`https://${host}:${port}`, roots, servername, options);
    if (stricter === undefined) expect(ours).toBe(nodes);
    else expect(ours).not.toBe('good');
  });

  it('is verified in more than sixty variants, valid and invalid', () => {
    expect(Object.keys(cases).length).toBeGreaterThan(100);
  });
});
