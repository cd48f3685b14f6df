// Keys of `connect` that the engine honours as Node's sockets and TLS do: what a real server sees.

import { execFileSync, spawnSync } from 'node:child_process';
import { constants } from 'node:crypto';
import * as dns from 'node:dns';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as https from 'node:https';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';
import type { DetailedPeerCertificate, PeerCertificate, TLSSocket } from 'node:tls';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import {
  Agent,
  BalancedPool,
  Client,
  type ConnectOptions,
  EnvHttpProxyAgent,
  Pool,
  ProxyAgent,
  RetryAgent,
  RoundRobinPool,
  Socks5ProxyAgent,
} from '../../src/index';
import type { Dispatcher } from '../../src/undici/undici';
import { certify } from '../support/certificates';
import { inChild } from '../support/child';
import { connectProxy, socksProxy } from '../support/tunnels';

const root = certify({ commonName: 'root', isAuthority: true });
const ca = root.cert;
const identity = certify(
  { names: ['localhost'], rsaBits: 2048, usages: ['sign', 'encipher'], purposes: ['server'] },
  root,
);

let server: https.Server;
let url: string;
beforeAll(async () => {
  const options = { ...identity, requestCert: true, rejectUnauthorized: false, ca };
  server = https.createServer(options, (request, response) => {
    const socket = request.socket as unknown as TLSSocket;
    const { subject } = socket.getPeerCertificate();
    response.end(
      JSON.stringify({
        version: socket.getProtocol(),
        cipher: socket.getCipher().name,
        schemes: socket.getSharedSigalgs(),
        port: socket.remotePort,
        name: subject?.CN,
      }),
    );
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://localhost:${(server.address() as net.AddressInfo).port}`;
});
afterAll(() => server.close());

const clients: Dispatcher[] = [];
afterEach(() => Promise.all(clients.splice(0).map((client) => client.destroy())));

interface Seen {
  readonly version: string;
  readonly cipher: string;
  readonly schemes: readonly string[];
  readonly port: number;
  readonly name: string | undefined;
}

/** What the server sees of a client with these options, which the engine serves. */
async function seen(connect: ConnectOptions, origin = url): Promise<Seen> {
  const client = new Client(origin, { connect: { ca, ...connect } });
  clients.push(client);
  expect(client.servedBy).toMatchObject({ by: 'dodici', reason: null });
  const { body } = await client.request({ path: '/', method: 'GET' });
  return (await body.json()) as Seen;
}

describe('the engine', () => {
  it('offers the cipher suites and versions that are given', async () => {
    const ciphers = 'ECDHE-RSA-AES256-GCM-SHA384';
    expect(await seen({ ciphers, maxVersion: 'TLSv1.2' })).toMatchObject({ cipher: ciphers });
    expect(await seen({ ciphers: 'TLS_CHACHA20_POLY1305_SHA256' })).toMatchObject({
      version: 'TLSv1.3',
      cipher: 'TLS_CHACHA20_POLY1305_SHA256',
    });
    expect(await seen({ secureProtocol: 'TLSv1_2_method' })).toMatchObject({ version: 'TLSv1.2' });
  });

  it('offers the groups that are given', async () => {
    const other = https.createServer({ ...identity, ecdhCurve: 'P-384' }, (_request, response) => {
      response.end('{}');
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const origin = `https://localhost:${(other.address() as net.AddressInfo).port}`;
    expect(await seen({ ecdhCurve: 'P-256:P-384' }, origin)).toEqual({});
    const narrow = { ecdhCurve: 'X25519', fallback: false };
    await expect(seen(narrow, origin)).rejects.toThrow('connect.fallback is false');
    other.close();
  });

  it('accepts the signature schemes that are given', async () => {
    const { schemes } = await seen({ sigalgs: 'RSA-PSS+SHA384:ECDSA+SHA256' });
    expect(schemes.toSorted()).toEqual(['ECDSA+SHA256', 'RSA-PSS+SHA384']);
  });

  it('binds to the local port that is given, and reports on one in use', async () => {
    const taken = net.createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as net.AddressInfo;
    const busy = { localPort: port, localAddress: '127.0.0.1' };
    await expect(seen(busy)).rejects.toMatchObject({ code: 'EADDRINUSE', syscall: 'bind' });
    await new Promise((resolve) => taken.close(resolve));
    expect(await seen({ localPort: port })).toMatchObject({ port });
  });

  it('sets the type of service', async () => {
    expect(await seen({ typeOfService: 16 })).toMatchObject({ version: 'TLSv1.3' });
  });

  it('looks names up with the hints that are given', async () => {
    expect(await seen({ hints: dns.ADDRCONFIG })).toMatchObject({ version: 'TLSv1.3' });
    await expect(seen({ hints: 12_345 })).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
  });

  it('never connects to blocked addresses, literal or looked up', async () => {
    const blockList = new net.BlockList();
    blockList.addSubnet('127.0.0.0', 8);
    const connect = { blockList, family: 4 } as ConnectOptions;
    const literal = url.replace('localhost', '127.0.0.1');
    for (const origin of [url, literal]) {
      await expect(seen(connect, origin)).rejects.toMatchObject({
        code: 'ERR_IP_BLOCKED',
        message: 'IP(127.0.0.1) is blocked by net.BlockList',
      });
    }
    const other = new net.BlockList();
    other.addAddress('192.0.2.1');
    expect(await seen({ blockList: other } as ConnectOptions)).toMatchObject({
      version: 'TLSv1.3',
    });
    other.addAddress('127.0.0.1');
    other.addAddress('::1', 'ipv6');
    await expect(seen({ blockList: other } as ConnectOptions)).rejects.toThrow();
  });

  it('writes what TLS has negotiated to stderr, for enableTrace', async () => {
    const outcome = inChild(
      `const lines = [];
      process.stderr.write = (text) => lines.push(text);
      const connect = { ca: values.ca, enableTrace: true };
      const client = new dodici.Client(values.url, { connect });
      await (await client.request({ path: '/', method: 'GET' })).body.dump();
      await client.destroy();
      const other = new dodici.Client(values.url, { connect: { enableTrace: true } });
      await other.request({ path: '/', method: 'GET' }).catch(() => {});
      await other.destroy();
      return lines;`,
      { values: { url, ca } },
    );
    const [fine, failed] = (await outcome) as string[];
    expect(fine).toMatch(/^dodici: TLS with https:\/\/localhost:\d+: TLSv1\.3 TLS_AES_\w+, ALPN /);
    expect(failed).toMatch(/^dodici: TLS with https:\/\/localhost:\d+: .*certificate/);
  });
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
describe.runIf(hasOpenssl)('a PKCS#12 file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dodici-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const { cert, key } = certify({ commonName: 'client', purposes: ['client'] }, root);
  const file = (name: string): string => join(folder, name);

  const make = (passphrase: string, ...options: string[]): Buffer => {
    writeFileSync(file('cert.pem'), cert);
    writeFileSync(file('key.pem'), key);
    const from = ['-in', file('cert.pem'), '-inkey', file('key.pem')];
    const to = ['-passout', `pass:${passphrase}`, '-out', file('client.p12')];
    execFileSync('openssl', ['pkcs12', '-export', ...options, ...from, ...to]);
    return readFileSync(file('client.p12'));
  };

  const DES = ['-certpbe', 'PBE-SHA1-3DES', '-keypbe', 'PBE-SHA1-3DES'];
  it.each<[string, string, string[]]>([
    ['AES-256', 'phräse', []],
    [
      'AES-128, and a key that is not encrypted',
      'x',
      ['-certpbe', 'AES-128-CBC', '-keypbe', 'NONE'],
    ],
    ['triple DES', 'a long phrase', DES],
    ['certificates that are not encrypted', 'x', ['-certpbe', 'NONE']],
    ['no passphrase', '', []],
  ])('is the client’s identity: %s', async (_name, passphrase, options) => {
    const pfx = make(passphrase, ...options);
    const forms: ConnectOptions[] = [
      { pfx, passphrase },
      { pfx: [pfx], passphrase },
      { pfx: [{ buf: pfx, passphrase }] },
    ];
    for (const form of forms) expect(await seen(form)).toMatchObject({ name: 'client' });
  });

  it('with a wrong passphrase is Node’s error, when it is used', async () => {
    for (const Class of [Client, Pool]) {
      const client = new Class(url, { connect: { ca, pfx: make('right'), passphrase: 'wrong' } });
      clients.push(client);
      const failed = client.request({ path: '/', method: 'GET' });
      await expect(failed).rejects.toThrow('mac verify failure');
    }
  });
});

describe('a list of blocked addresses, where undici’s class serves', () => {
  const blockList = new net.BlockList();
  blockList.addSubnet('127.0.0.0', 8);
  blockList.addAddress('::1', 'ipv6');
  const byPeer = { blockList, ca, secureOptions: constants.SSL_OP_NO_TLSv1_3 } as ConnectOptions;
  const ways: [string, (origin: string, connect: ConnectOptions) => Dispatcher][] = [
    ['Client', (origin, connect) => new Client(origin, { connect })],
    ['Pool', (origin, connect) => new Pool(origin, { connect })],
    ['Agent', (_origin, connect) => new Agent({ connect })],
    ['origins', (origin, connect) => new Agent({ origins: { [origin]: { connect } } })],
    ['BalancedPool', (origin, connect) => new BalancedPool(origin, { connect })],
    ['RoundRobinPool', (origin, connect) => new RoundRobinPool(origin, { connect })],
    ['tls', (origin, tls_) => new Client(origin, { tls: tls_ } as object)],
  ];

  it.each(ways)('applies to names and literal addresses: %s', async (_name, make) => {
    for (const origin of [url, url.replace('localhost', '127.0.0.1')]) {
      const ask = (connect: ConnectOptions) => {
        const dispatcher = make(origin, connect);
        clients.push(dispatcher);
        return dispatcher.request({ origin, path: '/', method: 'GET' });
      };
      await expect(ask(byPeer)).rejects.toMatchObject({
        code: 'ERR_IP_BLOCKED',
      });
      const other = new net.BlockList();
      other.addAddress('192.0.2.1');
      const named = { ...byPeer, blockList: other, servername: 'localhost' } as object;
      const { body } = await ask(named);
      expect(await body.json()).toMatchObject({ version: 'TLSv1.2' });
    }
  });

  it('applies to a proxy over TLS', async () => {
    const proxy = await connectProxy(identity);
    const socks = await socksProxy(identity);
    const open = { ...byPeer, blockList: undefined };
    for (const proxyTls of [byPeer, open]) {
      const agents = [
        new ProxyAgent({ uri: `https://localhost:${proxy.port}`, proxyTls, requestTls: { ca } }),
        new Socks5ProxyAgent(`socks5://localhost:${socks.port}`, {
          proxyTls,
          requestTls: { ca },
        }),
      ];
      for (const agent of agents) {
        clients.push(agent);
        expect(agent.servedBy.by).toBe('undici');
        const asked = agent.request({ origin: url, path: '/', method: 'GET' });
        if (proxyTls === open) await (await asked).body.dump();
        else await expect(asked).rejects.toMatchObject({ code: 'ERR_IP_BLOCKED' });
      }
    }
    const uri = `https://127.0.0.1:${proxy.port}`;
    expect(() => new ProxyAgent({ uri, proxyTls: byPeer })).toThrow('blocked by net.BlockList');
    await proxy.close();
    await socks.close();
  });
});

describe('servedBy', () => {
  const requestTls = { secureOptions: constants.SSL_OP_NO_TLSv1_3 };
  const by = (option: string) => ({ by: 'undici', reason: 'option', option });

  it('of EnvHttpProxyAgent distinguishes what goes through which proxy', async () => {
    const proxy = 'http://127.0.0.1:1';
    const half = new EnvHttpProxyAgent({ httpProxy: '', httpsProxy: proxy, requestTls });
    clients.push(half);
    expect(half.servedBy).toMatchObject({
      direct: {},
      http: null,
      https: by('requestTls.secureOptions'),
    });
    const connect = { ca, ...requestTls };
    const whole = new EnvHttpProxyAgent({ httpProxy: proxy, noProxy: 'localhost', connect });
    clients.push(whole);
    const { body } = await whole.request({ origin: url, path: '/', method: 'GET' });
    await body.dump();
    expect(whole.servedBy).toMatchObject({
      direct: { [url]: by('connect.secureOptions') },
      http: { by: 'dodici' },
      https: { by: 'dodici' },
    });
  });

  it('of ProxyAgent names the proxy of forwarded requests, and no origin of undici’s agent', async () => {
    const proxy = await connectProxy();
    const uri = `http://127.0.0.1:${proxy.port}`;
    const forwarding = new ProxyAgent({ uri, proxyTunnel: false });
    clients.push(forwarding);
    await forwarding
      .request({ origin: 'http://127.0.0.1:1', path: '/', method: 'GET' })
      .catch(() => {});
    expect(forwarding.servedBy).toMatchObject({
      by: 'dodici',
      origins: { [uri]: { by: 'dodici' } },
    });
    const byPeer = new ProxyAgent({ uri, requestTls: { ca, ...requestTls } });
    clients.push(byPeer);
    await (await byPeer.request({ origin: url, path: '/', method: 'GET' })).body.dump();
    expect(byPeer.servedBy).toEqual({
      ...by('requestTls.secureOptions'),
      detail: expect.any(String),
      origins: { [uri]: { by: 'dodici', reason: null, option: null, detail: null } },
    });
    await proxy.close();
  });

  it('of RetryAgent is that of its dispatcher', () => {
    const client = new Client(url, { connect: requestTls });
    clients.push(client);
    expect(new RetryAgent(client).servedBy).toEqual(client.servedBy);
  });
});

describe('checkServerIdentity', () => {
  interface Told {
    readonly host: string;
    readonly certificate: PeerCertificate;
  }

  /** What Node's own `tls.connect` passes to the function. */
  const nodes = (servername: string): Promise<Told> =>
    new Promise((resolve, reject) => {
      const check = (host: string, certificate: PeerCertificate) => {
        resolve({ host, certificate });
        return undefined;
      };
      const port = Number(new URL(url).port);
      const socket = tls.connect({ port, ca, servername, checkServerIdentity: check });
      socket.on('secureConnect', () => socket.destroy()).on('error', reject);
    });

  /** A certificate's fields and those of its issuers, which end in a circle. */
  const chainOf = (certificate: PeerCertificate): object[] => {
    const { issuerCertificate, ...fields } = certificate as DetailedPeerCertificate;
    const isRoot = issuerCertificate === undefined || issuerCertificate === certificate;
    return [{ ...fields, isRoot }, ...(isRoot ? [] : chainOf(issuerCertificate))];
  };

  it('is called with the host and Node’s object for the certificate, instead of checking names', async () => {
    const told: Told[] = [];
    const check = (host: string, certificate: PeerCertificate) => {
      told.push({ host, certificate });
      return undefined;
    };
    await seen({ checkServerIdentity: check, servername: 'other.test' });
    const theirs = await nodes('other.test');
    expect(told).toHaveLength(1);
    expect(told[0]!.host).toBe(theirs.host);
    expect(chainOf(told[0]!.certificate)).toEqual(chainOf(theirs.certificate));
  });

  it('returns the connection’s error', async () => {
    const error = new Error('not you');
    for (const check of [
      () => error,
      () => {
        throw error;
      },
    ]) {
      await expect(seen({ checkServerIdentity: check })).rejects.toBe(error);
    }
  });

  it('is asked about every connection, those that resume a session included', async () => {
    let calls = 0;
    const checkServerIdentity = () => (calls++, undefined);
    const client = new Client(url, { connect: { ca, checkServerIdentity } });
    clients.push(client);
    const resumed: unknown[] = [];
    client.on('connect', (_origin, _targets, info) => resumed.push(info?.tls?.resumed));
    for (let n = 0; n < 2; n++) {
      const { body } = await client.request({ path: '/', method: 'GET', reset: true });
      await body.dump();
    }
    expect(resumed).toEqual([false, true]);
    expect(calls).toBe(2);
  });

  it('is not asked about a server whose chain is not valid', async () => {
    let calls = 0;
    const checkServerIdentity = () => (calls++, undefined);
    const other = certify({ commonName: 'other', isAuthority: true }).cert;
    await expect(seen({ ca: other, checkServerIdentity })).rejects.toMatchObject({
      code: expect.stringMatching(/^(SELF_SIGNED|UNABLE)/) as unknown,
    });
    expect(calls).toBe(0);
  });

  it('judges the proxy and the origin behind it separately', async () => {
    const proxy = await connectProxy(identity);
    const judged: string[] = [];
    const judge = (who: string) => ({
      ca,
      checkServerIdentity: (host: string) => (judged.push(`${who}: ${host}`), undefined),
    });
    const agent = new ProxyAgent({
      uri: `https://localhost:${proxy.port}`,
      proxyTls: { ...judge('proxy'), servername: 'proxy.test' },
      requestTls: { ...judge('origin'), servername: 'origin.test' },
    });
    expect(agent.servedBy.by).toBe('dodici');
    const { body } = await agent.request({ origin: url, path: '/', method: 'GET' });
    await body.dump();
    expect(judged).toEqual(['proxy: proxy.test', 'origin: origin.test']);
    await agent.destroy();
    await proxy.close();
  });
});
