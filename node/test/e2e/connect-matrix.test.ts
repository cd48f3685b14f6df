// Every key of `connect`, in every class that takes it: undici's outcome and ours side by side,
// against real servers. A cell in which they differ has a reason here.

import { execFileSync, spawnSync } from 'node:child_process';
import { constants } from 'node:crypto';
import * as dns from 'node:dns';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';

import * as undici from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import * as dodici from '../../src/index';
import { CONNECT_KEYS } from '../../src/options/generated';
import type { Dispatcher } from '../../src/undici/undici';
import { certify } from '../support/certificates';
import { connectProxy, socksProxy, type Tunnel } from '../support/tunnels';

type Library = typeof undici;
const LIBRARIES: readonly Library[] = [undici, dodici as unknown as Library];

const root = certify({ commonName: 'root', isAuthority: true });
const ca = root.cert;
const identity = certify(
  { names: ['localhost'], rsaBits: 2048, usages: ['sign', 'encipher'], purposes: ['server'] },
  root,
);
const client = certify({ commonName: 'client', purposes: ['client'] }, root);

let overTls: https.Server;
let plain: http.Server;
const proxies: Record<'plain' | 'secure' | 'socks' | 'secureSocks', Tunnel> = {} as never;
const url: Record<'https' | 'http', string> = {} as never;
const sockets = new Set<net.Socket>();

const listen = async (server: net.Server): Promise<number> => {
  server.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as net.AddressInfo).port;
};

beforeAll(async () => {
  overTls = https.createServer({ ...identity, requestCert: true, rejectUnauthorized: false, ca });
  overTls.on('tlsClientError', () => {});
  plain = http.createServer();
  for (const server of [overTls, plain]) {
    server.on('request', ({ socket }: http.IncomingMessage, response: http.ServerResponse) => {
      const { subject } =
        (socket as unknown as Partial<tls.TLSSocket>).getPeerCertificate?.() ?? {};
      response.end(`answer to ${String(subject?.CN ?? 'nobody')}`);
    });
  }
  url.https = `https://localhost:${await listen(overTls)}`;
  url.http = `http://localhost:${await listen(plain)}`;
  proxies.plain = await connectProxy();
  proxies.secure = await connectProxy(identity);
  proxies.socks = await socksProxy();
  proxies.secureSocks = await socksProxy(identity);
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of [overTls, plain]) server.close();
  for (const proxy of Object.values(proxies)) await proxy.close();
});

/** How each class gets the options. */
const CLASSES: Record<string, (library: Library, origin: string, connect: object) => Dispatcher> = {
  Client: ({ Client }, origin, connect) => new Client(origin, { connect }),
  Pool: ({ Pool }, origin, connect) => new Pool(origin, { connect }),
  Agent: ({ Agent }, _origin, connect) => new Agent({ connect }),
  origins: (library, origin, connect) =>
    library === undici
      ? new undici.Agent({ connect })
      : new dodici.Agent({ origins: { [origin]: { connect } } }),
  BalancedPool: ({ BalancedPool }, origin, connect) => new BalancedPool([origin], { connect }),
  RoundRobinPool: ({ RoundRobinPool }, origin, connect) => new RoundRobinPool(origin, { connect }),
  'ProxyAgent requestTls': ({ ProxyAgent }, _origin, connect) =>
    new ProxyAgent({
      uri: `http://localhost:${proxies.plain.port}`,
      requestTls: connect,
      proxyTunnel: true,
    }),
  'ProxyAgent proxyTls': ({ ProxyAgent }, _origin, connect) =>
    new ProxyAgent({
      uri: `https://localhost:${proxies.secure.port}`,
      proxyTls: connect,
      requestTls: { ca },
      proxyTunnel: true,
    }),
  EnvHttpProxyAgent: ({ EnvHttpProxyAgent }, _origin, connect) =>
    new EnvHttpProxyAgent({ connect, httpProxy: '', httpsProxy: '' }),
  'EnvHttpProxyAgent requestTls': ({ EnvHttpProxyAgent }, _origin, connect) => {
    const uri = `http://localhost:${proxies.plain.port}`;
    return new EnvHttpProxyAgent({
      requestTls: connect,
      httpsProxy: uri,
      proxyTunnel: true,
    });
  },
  'ProxyAgent proxyTls, forwarding': ({ ProxyAgent }, _origin, connect) =>
    new ProxyAgent({
      uri: `https://localhost:${proxies.secure.port}`,
      proxyTls: connect,
      requestTls: { ca },
      proxyTunnel: false,
    }),
  'ProxyAgent proxyTls, forwarding without TLS': ({ ProxyAgent }, _origin, connect) =>
    new ProxyAgent({
      uri: `http://localhost:${proxies.plain.port}`,
      proxyTls: connect,
      requestTls: { ca },
      proxyTunnel: false,
    }),
  'Socks5ProxyAgent proxyTls': ({ Socks5ProxyAgent }, _origin, connect) =>
    new Socks5ProxyAgent(`socks5://localhost:${proxies.secureSocks.port}`, {
      proxyTls: connect,
      requestTls: { ca },
    }),
  'Socks5ProxyAgent requestTls': ({ Socks5ProxyAgent }, _origin, connect) =>
    new Socks5ProxyAgent(`socks5://localhost:${proxies.socks.port}`, {
      requestTls: connect,
    }),
};

const folder = mkdtempSync(join(tmpdir(), 'dodici-'));
afterAll(() => rmSync(folder, { recursive: true }));
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

/** A PKCS#12 file of the client's certificate. */
function pkcs12(): Buffer {
  if (!hasOpenssl) return Buffer.from('no openssl');
  const file = (name: string) => join(folder, name);
  writeFileSync(file('cert.pem'), client.cert);
  writeFileSync(file('key.pem'), client.key);
  execFileSync('openssl', [
    ...['pkcs12', '-export', '-in', file('cert.pem'), '-inkey', file('key.pem')],
    ...['-passout', 'pass:phrase', '-out', file('client.p12')],
  ]);
  return readFileSync(file('client.p12'));
}

const blocking = new net.BlockList();
blocking.addSubnet('127.0.0.0', 8);
const blocksNobody = new net.BlockList();
blocksNobody.addAddress('192.0.2.1');

const address = { address: '127.0.0.1', family: 4 };
const lookup: net.LookupFunction = (_name, options, callback) => {
  if (options.all) callback(null, [address]);
  else callback(null, address.address, address.family);
};

/** A port that was free a moment ago; a new one for each cell. */
const freePort = async (): Promise<number> => {
  const server = net.createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
};

/** Values of each key: some that work, and some that nobody accepts. */
const VALUES: Record<string, () => unknown[]> = {
  ALPNCallback: () => [() => 'h2'],
  ALPNProtocols: () => [['h2']],
  SNICallback: () => [() => {}],
  allow: () => ['public', () => true],
  allowH2: () => [true, false],
  allowHalfOpen: () => [true],
  allowPartialTrustChain: () => [true],
  autoSelectFamily: () => [true, false],
  autoSelectFamilyAttemptTimeout: () => [300],
  blockList: () => [blocksNobody, blocking],
  ca: () => [[ca], ca, Buffer.from(ca), []],
  cert: () => [client.cert, [client.cert]],
  certificateCompression: () => [[]],
  checkServerIdentity: () => [
    () => undefined,
    () => Object.assign(new Error('not you'), { code: 'NOT_YOU' }),
  ],
  ciphers: () => ['ECDHE-RSA-AES128-GCM-SHA256', 'HIGH:!aNULL', 'AES256-SHA', '', 'NOBODY', 5],
  clientCertEngine: () => ['nobody'],
  crl: () => ['no list', []],
  dhparam: () => ['auto', 5],
  ecdhCurve: () => ['P-256:X25519', 'P-521', 'auto', 'nobody'],
  enableTrace: () => [false],
  fallback: () => [true, false],
  family: () => [4, 0],
  fd: () => [-1],
  handle: () => [null],
  highWaterMark: () => [1_000],
  hints: () => [dns.ADDRCONFIG, 12_345],
  honorCipherOrder: () => [true],
  host: () => ['192.0.2.1'],
  hostname: () => ['192.0.2.1'],
  isServer: () => [true],
  keepAlive: () => [true, false],
  keepAliveInitialDelay: () => [1_000],
  key: () => [client.key, [{ pem: client.key }]],
  localAddress: () => ['127.0.0.1'],
  localPort: () => [freePort, 'port'],
  lookup: () => [lookup],
  maxCachedSessions: () => [0, 5, -1],
  maxVersion: () => ['TLSv1.2', 'TLSv1.3', 'TLSv1.1', 'nobody'],
  minDHSize: () => [2_048],
  minVersion: () => ['TLSv1.2', 'TLSv1.3', 'TLSv1', 'nobody'],
  noDelay: () => [false],
  objectMode: () => [true],
  onread: () => [{}],
  passphrase: () => ['phrase'],
  path: () => ['/nobody/listens'],
  pfx: () => [
    'nothing',
    { pfx: pkcs12(), passphrase: 'phrase' },
    { pfx: pkcs12(), passphrase: 'x' },
  ],
  platformVerifier: () => [false],
  port: () => [1],
  preferH2: () => [false],
  privateKeyEngine: () => ['nobody'],
  privateKeyIdentifier: () => ['nobody'],
  protocol: () => ['ftp:'],
  pskCallback: () => [() => null],
  readable: () => [true],
  readableHighWaterMark: () => [1_000],
  readableObjectMode: () => [true],
  rejectUnauthorized: () => [true, false],
  requestCert: () => [true],
  requestOCSP: () => [true],
  secureContext: () => [tls.createSecureContext({ ca }), tls.createSecureContext()],
  secureOptions: () => [constants.SSL_OP_NO_TLSv1_3, 'x'],
  secureProtocol: () => ['TLSv1_2_method', 'TLS_method', 'nobody'],
  server: () => [{}],
  servername: () => ['localhost', 'nobody.test'],
  session: () => [Buffer.from('no session')],
  sessionIdContext: () => ['x'],
  sessionTimeout: () => [100],
  sigalgs: () => ['RSA-PSS+SHA256:ECDSA+SHA256', 'nobody'],
  // An aborted one ends the process where undici's SOCKS agent gets it.
  signal: () => [new AbortController().signal],
  socket: () => [{}],
  socketPath: () => ['/nobody/listens'],
  ticketKeys: () => [Buffer.alloc(48)],
  timeout: () => [5_000],
  typeOfService: () => [16],
  useH2c: () => [false],
  writable: () => [true],
  writableHighWaterMark: () => [1_000],
  writableObjectMode: () => [true],
};

/** Cells in which ours differs from undici's: `key class` or `key`, and why. */
const EARLY = 'checked when the object is made';
const REASONS: Record<string, string> = {
  'ALPNProtocols Socks5ProxyAgent requestTls':
    'undici’s SOCKS agent alone passes it on, and speaks HTTP/1.1 whatever is negotiated',
  allow: 'undici does not know it',
  blockList: 'Node ignores it over TLS; here it applies to every connection',
  'crl origins': EARLY,
  'pfx origins': EARLY,
  'maxCachedSessions Agent': EARLY,
  'maxCachedSessions origins': EARLY,
  'maxCachedSessions EnvHttpProxyAgent': EARLY,
  'maxCachedSessions Socks5ProxyAgent requestTls': EARLY,
};

/** The outcome of a request, and of constructing the dispatcher. */
async function outcome(
  library: Library,
  make: (typeof CLASSES)[string],
  origin: string,
  connect: object,
): Promise<string> {
  const tell = (where: string, error: unknown): string => {
    const { code, message } = error as { code?: string; message: string };
    return `${where}: ${code ?? message}`;
  };
  let dispatcher: Dispatcher;
  try {
    dispatcher = make(library, origin, connect);
  } catch (error) {
    return tell('constructor', error);
  }
  try {
    const { body } = await dispatcher.request({ origin, path: '/', method: 'GET' });
    return await body.text();
  } catch (error) {
    return tell('request', error);
  } finally {
    await dispatcher.destroy();
  }
}

/** An object of several keys stands for itself. */
const optionsOf = (key: string, value: unknown): object =>
  typeof value === 'object' && value !== null && key in value ? value : { [key]: value };

const shown = (value: unknown): string =>
  typeof value === 'function' || (typeof value === 'object' && !Array.isArray(value))
    ? Object.prototype.toString.call(value)
    : JSON.stringify(value);

it('names every key of connect, and no other', () => {
  expect(Object.keys(VALUES).sort()).toEqual([...CONNECT_KEYS.keys()].sort());
});

describe.each(Object.keys(VALUES))('connect.%s', (key) => {
  it.each(Object.keys(CLASSES))('of %s has undici’s outcome', async (name) => {
    const make = CLASSES[name]!;
    const judge = async (scheme: 'https' | 'http', value: unknown): Promise<void> => {
      const outcomeOf = async (library: Library): Promise<string> => {
        const given = value === freePort ? await freePort() : value;
        return outcome(library, make, url[scheme], { ca, ...optionsOf(key, given) });
      };
      const [theirs, ours] = await Promise.all(LIBRARIES.map(outcomeOf));
      const cell = `${key} ${name} ${scheme} ${shown(value)}`;
      const reason = REASONS[`${key} ${name}`] ?? REASONS[key];
      if (reason === undefined) expect(`${cell}: ${ours}`).toBe(`${cell}: ${theirs}`);
      if (reason !== EARLY || ours === theirs) return;
      expect(`${cell}: ${ours}`).toContain(': constructor: ');
    };
    const cells = VALUES[key]!().flatMap((value) => [judge('https', value), judge('http', value)]);
    await Promise.all(cells);
  });
});
