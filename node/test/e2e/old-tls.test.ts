// TLS servers with suites that Node's OpenSSL has and rustls does not: undici's class serves them,
// under the same options, and no other TLS error causes a fallback.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as https from 'node:https';
import * as net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import * as tls from 'node:tls';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { Client as UndiciClient } from 'undici';

import {
  Agent,
  Client,
  EnvHttpProxyAgent,
  fetch,
  FormData,
  Pool,
  ProxyAgent,
  Socks5ProxyAgent,
  type ConnectOptions,
} from '../../src/index';
import { type Dispatcher, peerMajor } from '../../src/undici/undici';
import { certify, type Identity } from '../support/certificates';
import { connectProxy, socksProxy, type Tunnel } from '../support/tunnels';

const root = certify({ commonName: 'root', isAuthority: true });
const identity = certify(
  { names: ['localhost'], rsaBits: 2048, usages: ['sign', 'encipher'], purposes: ['server'] },
  root,
);
const OLD: https.ServerOptions = { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' };
const REFUSED = 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const close of closers.splice(0).reverse()) await close();
});

/** What the server received. */
interface Seen {
  readonly url: string;
  readonly server: https.Server;
  /** Bodies, in order. */
  readonly bodies: string[];
  connections: number;
}

async function serve(options: https.ServerOptions): Promise<Seen> {
  const bodies: string[] = [];
  const server = https.createServer({ ...identity, ...options }, (request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      bodies.push(`${request.url}${body}`);
      response.end((request.socket as unknown as tls.TLSSocket).getCipher().name);
    });
  });
  const sockets = new Set<Socket>();
  const seen: Seen = { url: '', server, bodies, connections: 0 };
  server
    .on('tlsClientError', () => {})
    .on('connection', (socket: Socket) => {
      seen.connections++;
      sockets.add(socket);
    });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return Object.assign(seen, {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
  });
}

const opened = <T extends Dispatcher>(dispatcher: T): T => {
  closers.push(() => dispatcher.destroy());
  return dispatcher;
};

const ca = root.cert;
const client = (url: string, connect: ConnectOptions = {}, options: object = {}) =>
  opened(new Client(url, { connect: { ca, ...connect }, ...options }));

/** The answer, or the code of the error. */
const ask = (dispatcher: Dispatcher, origin: string, options: object = {}): Promise<string> =>
  dispatcher.request({ origin, path: '/', method: 'GET', ...options }).then(
    ({ body }) => body.text(),
    (error: unknown) => (error as { code: string }).code,
  );

/** The codes of subsequent warnings. */
function warnings(): unknown[] {
  const seen: unknown[] = [];
  const hear = (warning: Error & { code?: string }) => seen.push(warning.code);
  process.on('warning', hear);
  closers.push(() => process.off('warning', hear));
  return seen;
}

describe('a server with old TLS only', () => {
  it.each([
    'ECDHE-RSA-AES256-SHA384',
    'ECDHE-RSA-AES128-SHA256',
    'ECDHE-RSA-AES128-SHA',
    'AES128-GCM-SHA256',
    'AES128-SHA',
    'DHE-RSA-AES128-GCM-SHA256',
  ])('answers every kind of dispatcher: %s', async (ciphers) => {
    const { url } = await serve({ maxVersion: 'TLSv1.2', ciphers, dhparam: 'auto' });
    const made = [
      client(url),
      opened(new Pool(url, { connect: { ca } })),
      opened(new Agent({ connect: { ca } })),
      opened(new Agent({ origins: { [url]: { connect: { ca } } } })),
    ];
    const failures: unknown[] = [];
    for (const one of made) one.on('connectionError', (...values) => failures.push(values[2]));
    for (const one of made) expect(await ask(one, url)).toBe(ciphers);
    expect(failures).toEqual([]);
  });

  it('whose only curve is supported by OpenSSL alone works', async () => {
    const { url } = await serve({ ecdhCurve: 'P-521' });
    expect(await ask(client(url), url)).toMatch(/AES/);
  });

  const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
  it.runIf(hasOpenssl).each([
    ['CBC', 'ECDHE-RSA-AES128-SHA256'],
    ['RSA', 'AES128-GCM-SHA256'],
    ['RSA and CBC', 'AES256-SHA256'],
    ['DHE', 'DHE-RSA-AES128-GCM-SHA256'],
  ])('answers: openssl s_server, %s', async (_name, suite) => {
    const folder = mkdtempSync(join(tmpdir(), 'dodici-'));
    closers.push(() => rmSync(folder, { recursive: true }));
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    writeFileSync(cert, identity.cert);
    writeFileSync(key, identity.key);
    const arguments_ = ['-accept', '127.0.0.1:0', '-cert', cert, '-key', key, '-tls1_2', '-www'];
    const server = spawn('openssl', ['s_server', ...arguments_, '-cipher', suite]);
    closers.push(() => server.kill('SIGKILL'));
    let said = '';
    for await (const chunk of server.stdout) {
      said += String(chunk);
      if (/ACCEPT \S+:\d+\n/.test(said)) break;
    }
    const url = `https://localhost:${/ACCEPT \S+:(\d+)\n/.exec(said)?.[1] ?? ''}`;
    expect(await ask(client(url), url)).toContain(suite);
  });

  it('causes one warning', async () => {
    const { url } = await serve(OLD);
    const seen = warnings();
    for (let n = 0; n < 3; n++) {
      const made = client(url, n === 0 ? {} : { servername: 'localhost' });
      await Promise.all([ask(made, url), ask(made, url)]);
      await made.close();
    }
    expect(seen.filter((code) => code === 'DODICI_OLD_TLS')).toHaveLength(1);
  });

  it('is served by the engine again once it supports newer TLS, after ten minutes', async () => {
    const { url, server } = await serve(OLD);
    const agent = opened(new Agent({ connect: { ca } }));
    const infos: unknown[] = [];
    agent.on('connect', (...values: unknown[]) => infos.push(values[2]));
    const closing = { headers: { connection: 'close' } };
    const now = performance.now.bind(performance);
    expect(await ask(agent, url, closing)).toBe('AES128-SHA');
    server.setSecureContext({ ...identity, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA' });
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 590_000);
    await ask(agent, url, closing);
    expect(infos).toEqual([undefined, undefined]);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 610_000);
    await ask(agent, url, { ...closing, method: 'POST', body: Readable.from(['x']) });
    expect(infos).toEqual([undefined, undefined, undefined]);
    await ask(agent, url, closing);
    expect(infos[3]).toMatchObject({ tls: { version: expect.any(String) as unknown } });
  });
});

describe('requests of such a server', () => {
  it.each<[string, (url: string) => Dispatcher]>([
    ['Client', (url) => client(url)],
    ['Client, pipelining', (url) => client(url, {}, { pipelining: 5 })],
    ['Pool', (url) => opened(new Pool(url, { connect: { ca } }))],
    ['Pool of 3', (url) => opened(new Pool(url, { connect: { ca }, connections: 3 }))],
    ['Agent', () => opened(new Agent({ connect: { ca } }))],
  ])('concurrent ones are each served once: %s', async (_, make) => {
    const { url, bodies } = await serve(OLD);
    const dispatcher = make(url);
    const asked = Array.from({ length: 40 }, (_value, n) =>
      ask(dispatcher, url, { method: 'POST', path: `/${n}`, body: `:${n}` }),
    );
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['AES128-SHA']));
    const sent = Array.from({ length: 40 }, (_value, n) => `/${n}:${n}`);
    expect(bodies.toSorted()).toEqual(sent.toSorted());
    await dispatcher.close();
  });

  it('arrive as they were at dispatch, even if their options change later', async () => {
    const { url, server } = await serve(OLD);
    const dispatcher = client(url);
    const heads: unknown[] = [];
    server.prependListener('request', ({ method, url: path, headers }) => {
      heads.push({ method, path, headers });
    });
    const headers = { 'x-one': 'ä', 'content-type': 'text/plain', host: 'localhost' };
    const options = { path: '/a', method: 'PUT', headers, query: { q: 1 }, body: 'body' };
    const answer = ask(dispatcher, url, options);
    Object.assign(options, { path: '/b', method: 'GET' });
    headers['x-one'] = 'other';
    expect(await answer).toBe('AES128-SHA');
    expect(heads).toEqual([
      {
        method: 'PUT',
        path: '/a?q=1',
        headers: {
          'x-one': 'ä',
          'content-type': 'text/plain',
          'content-length': '4',
          connection: 'keep-alive',
          host: 'localhost',
        },
      },
    ]);
  });

  it('with a stream as body are served once', async () => {
    const { url, bodies } = await serve(OLD);
    for (const make of [() => client(url), () => opened(new Pool(url, { connect: { ca } }))]) {
      const path = `/${bodies.length}`;
      expect(
        await ask(make(), url, { path, method: 'POST', body: Readable.from(['a', 'b']) }),
      ).toBe('AES128-SHA');
    }
    expect(bodies).toEqual(['/0ab', '/1ab']);
  });

  it('of fetch are served once', async () => {
    const { url, bodies } = await serve(OLD);
    const dispatcher = opened(new Agent({ connect: { ca } }));
    const posted = await fetch(url, { method: 'POST', body: '{}', dispatcher });
    expect(await posted.text()).toBe('AES128-SHA');
    expect(bodies).toEqual(['/{}']);
  });

  const LONG = 'x'.repeat(900_000);
  const long = () => Readable.from(Array.from({ length: 9 }, () => LONG.slice(0, 100_000)));
  const sources: [string, () => unknown, string][] = [
    ['a long stream', long, LONG],
    ['an async generator', () => Readable.from(['a', 'b'])[Symbol.asyncIterator](), 'ab'],
    ['a web stream', () => new Blob(['ab']).stream(), 'ab'],
  ];
  it.each(sources)('with %s are served once, first or behind others', async (_, make, whole) => {
    for (const [connections, kind] of [
      [1, 'Client'],
      [1, 'Pool'],
      [3, 'Pool'],
    ] as const) {
      const { url, bodies } = await serve(OLD);
      const dispatcher =
        kind === 'Client' ? client(url) : opened(new Pool(url, { connections, connect: { ca } }));
      const post = (path: string) => ask(dispatcher, url, { path, method: 'POST', body: make() });
      const asked = [post('/0'), ask(dispatcher, url, { path: '/1' }), post('/2'), post('/3')];
      expect(new Set(await Promise.all(asked))).toEqual(new Set(['AES128-SHA']));
      const sent = [`/0${whole}`, '/1', `/2${whole}`, `/3${whole}`];
      expect(connections === 1 ? bodies : bodies.toSorted()).toEqual(sent);
    }
  });

  it('with a stream as body fail without it being read, if the peer must not serve them', async () => {
    const { url } = await serve(OLD);
    for (const options of [{ ca: certify({ commonName: 'other', isAuthority: true }).cert }, {}]) {
      const body = Readable.from(['a']);
      const dispatcher = opened(
        new Pool(url.replace('localhost', '127.0.0.1'), { connect: options }),
      );
      expect(await ask(dispatcher, url, { method: 'POST', body })).toMatch(
        /^UNABLE_TO|^DEPTH|ERR_TLS/,
      );
      expect(body.destroyed).toBe(true);
    }
  });

  // undici 7 reports them to handlers of the old interface only.
  it.runIf(peerMajor >= 8)('and each part is reported to the handler as sent once', async () => {
    const { url } = await serve(OLD);
    const form = new FormData();
    form.set('a', 'x'.repeat(100_000));
    const bodies = ['text', Buffer.alloc(900_000), new Blob(['x'.repeat(100_000)]), form, long()];
    for (const body of bodies) {
      const sizes: number[] = [];
      for (const dispatcher of [client(url), opened(new UndiciClient(url, { connect: { ca } }))]) {
        let [told, ended] = [0, 0];
        await new Promise<void>((resolve, reject) => {
          dispatcher.dispatch(
            {
              path: '/',
              method: 'POST',
              body: (body instanceof Readable ? long() : body) as never,
            },
            {
              onRequestStart() {},
              onResponseStart() {},
              onResponseData() {},
              onResponseEnd: () => resolve(),
              onResponseError: (_controller: unknown, error: Error) => reject(error),
              onBodySent: (chunk: Uint8Array | string) => void (told += Buffer.from(chunk).length),
              onRequestSent: () => void ended++,
            },
          );
        });
        expect(ended).toBe(1);
        sizes.push(told);
      }
      expect(sizes[0]).toBeGreaterThan(0);
      expect(sizes[0]).toBe(sizes[1]);
    }
  });

  it('are aborted by the controller passed to the handler first', async () => {
    const { url } = await serve(OLD);
    const dispatcher = client(url);
    const told: string[] = [];
    const reason = new Error('enough');
    await new Promise<void>((resolve) => {
      let first: { abort(reason: Error): void } | null = null;
      dispatcher.dispatch(
        { path: '/', method: 'GET' },
        {
          onRequestStart(controller) {
            told.push('start');
            if (first === null) first = controller;
            else first.abort(reason);
          },
          onResponseStart: () => void told.push('head'),
          onResponseData: () => void told.push('data'),
          onResponseEnd: () => void told.push('end'),
          onResponseError(_controller, error) {
            told.push(error.message);
            resolve();
          },
        },
      );
    });
    expect(told).toEqual(['start', 'start', 'enough']);
  });

  it('are awaited by close(), and ended by destroy()', async () => {
    const { url } = await serve(OLD);
    const closed = client(url);
    const answer = ask(closed, url);
    await closed.close();
    const late = Promise.race([answer, Promise.resolve('late')]);
    expect(await late).not.toBe('late');
    expect(await answer).toBe('AES128-SHA');

    const destroyed = client(url);
    const failed = ask(destroyed, url);
    await destroyed.destroy(Object.assign(new Error('gone'), { code: 'GONE' }));
    expect(await failed).toBe('GONE');
  });
});

describe('behind a proxy', () => {
  const ways: [string, (identity?: Identity) => Promise<Tunnel>, (port: number) => Dispatcher][] = [
    [
      'a tunnel',
      connectProxy,
      (port) => new ProxyAgent({ uri: `http://127.0.0.1:${port}`, requestTls: { ca } }),
    ],
    [
      'a tunnel through TLS',
      () => connectProxy(identity),
      (port) =>
        new ProxyAgent({
          uri: `https://localhost:${port}`,
          proxyTls: { ca },
          requestTls: { ca },
        }),
    ],
    [
      'SOCKS',
      socksProxy,
      (port) => new Socks5ProxyAgent(`socks5://127.0.0.1:${port}`, { requestTls: { ca } }),
    ],
    [
      'the environment',
      connectProxy,
      (port) =>
        new EnvHttpProxyAgent({ httpsProxy: `http://127.0.0.1:${port}`, requestTls: { ca } }),
    ],
  ];

  it.each(ways)('such a server answers, through the proxy: %s', async (_name, start, make) => {
    const { url, bodies } = await serve(OLD);
    const proxy = await start();
    closers.push(() => proxy.close());
    const dispatcher = opened(make(proxy.port));
    const seen = warnings();
    expect(await ask(dispatcher, url)).toBe('AES128-SHA');
    const body = Readable.from(['a', 'b']);
    expect(await ask(dispatcher, url, { method: 'POST', body })).toBe('AES128-SHA');
    expect(bodies).toEqual(['/', '/ab']);
    // The engine's attempt, and the peer's connections.
    expect(proxy.asked).toBeGreaterThan(1);
    expect(seen.filter((code) => code === 'DODICI_OLD_TLS')).toHaveLength(1);
    await dispatcher.close();
  });

  it.each(ways)('servedBy says who serves which origin: %s', async (_name, start, make) => {
    const [old, young] = [await serve(OLD), await serve({})];
    const proxy = await start();
    closers.push(() => proxy.close());
    const dispatcher = opened(make(proxy.port));
    const served = (): unknown => {
      const { servedBy } = dispatcher as unknown as { servedBy: { https?: unknown } };
      return servedBy.https ?? servedBy;
    };
    expect(served()).toMatchObject({ by: 'dodici', origins: {} });
    for (const { url } of [old, young]) await ask(dispatcher, url);
    expect(served()).toMatchObject({
      by: 'dodici',
      origins: {
        [old.url]: { by: 'undici', reason: 'old tls', option: null },
        [young.url]: { by: 'dodici', reason: null },
      },
    });
  });

  it('its certificate is verified', async () => {
    const { url } = await serve(OLD);
    const proxy = await connectProxy();
    closers.push(() => proxy.close());
    const other = certify({ commonName: 'other', isAuthority: true }).cert;
    const uri = `http://127.0.0.1:${proxy.port}`;
    const dispatcher = opened(new ProxyAgent({ uri, requestTls: { ca: other } }));
    expect(await ask(dispatcher, url)).toMatch(/^UNABLE_TO|^DEPTH|^SELF/);
  });

  it('connect.fallback: false forbids it', async () => {
    const { url } = await serve(OLD);
    const proxy = await connectProxy();
    closers.push(() => proxy.close());
    const uri = `http://127.0.0.1:${proxy.port}`;
    const requestTls = { ca, fallback: false };
    expect(await ask(opened(new ProxyAgent({ uri, requestTls })), url)).toBe(REFUSED);
  });

  it('a proxy with old TLS is used by undici’s class', async () => {
    const { url } = await serve({});
    const proxy = await connectProxy({ ...identity, ...OLD } as Identity);
    closers.push(() => proxy.close());
    const uri = `https://localhost:${proxy.port}`;
    const options = { uri, proxyTls: { ca }, requestTls: { ca }, proxyTunnel: true };
    expect(await ask(opened(new ProxyAgent(options)), url)).toMatch(/AES/);
  });
});

describe('a list of blocked addresses', () => {
  it('applies to undici’s class as well', async () => {
    const { url, server } = await serve(OLD);
    const blockList = new net.BlockList();
    const dispatcher = client(url, { blockList, family: 4 } as ConnectOptions);
    expect(await ask(dispatcher, url, { headers: { connection: 'close' } })).toBe('AES128-SHA');
    expect(dispatcher.servedBy.by).toBe('undici');
    blockList.addAddress('127.0.0.1');
    server.closeAllConnections();
    await vi.waitFor(async () => expect(await ask(dispatcher, url)).toBe('ERR_IP_BLOCKED'));
  });
});

describe('connect.allow', () => {
  it('is asked about addresses that the peer looks up', async () => {
    const seen = await serve(OLD);
    let asked = 0;
    // Allowed the first time, of which the engine hears that the server's TLS is old.
    const allow = (address: string): boolean => address === '127.0.0.1' && ++asked === 1;
    const connect = { allow, family: 4 as const };
    expect(await ask(client(seen.url, connect), seen.url)).toBe('ERR_DODICI_ADDRESS_NOT_ALLOWED');
    expect([seen.connections, asked]).toEqual([1, 2]);
    expect(await ask(client(seen.url, { ...connect, allow: () => true }), seen.url)).toMatch(/AES/);
  });

  it('forbids the fallback behind a proxy, whose peer would not follow it', async () => {
    const { url } = await serve(OLD);
    const proxy = await connectProxy();
    closers.push(() => proxy.close());
    const uri = `http://127.0.0.1:${proxy.port}`;
    const requestTls = { ca, allow: 'public' as const };
    expect(await ask(opened(new ProxyAgent({ uri, requestTls })), url)).toBe(REFUSED);
  });
});

describe('no other error falls back', () => {
  it('connect.fallback: false: the engine’s error, which names the option', async () => {
    const { url } = await serve(OLD);
    const seen = warnings();
    const errors: unknown[] = [];
    const made = [
      client(url, { fallback: false }),
      opened(new Agent({ connect: { ca }, origins: { [url]: { connect: { fallback: false } } } })),
    ];
    for (const one of made) {
      await one
        .request({ origin: url, path: '/', method: 'GET' })
        .catch((error: unknown) => errors.push(error));
    }
    for (const error of errors as (Error & { code: string })[]) {
      expect(error.code).toBe(REFUSED);
      expect(error.message).toContain('connect.fallback is false');
      expect(error.stack).toContain('connect.fallback is false');
    }
    expect(errors).toHaveLength(2);
    expect(seen).not.toContain('DODICI_OLD_TLS');
  });

  it('connect.fallback is a boolean', () => {
    const connect = { ca, fallback: 'no' } as unknown as ConnectOptions;
    expect(() => new Agent({ connect })).toThrow('connect.fallback must be a boolean');
    expect(() => new Agent({ origins: { 'a.test': { connect } } })).toThrow(
      'connect.fallback must be a boolean',
    );
  });

  it('the certificate of such a server is verified, with Node’s error', async () => {
    const { url } = await serve(OLD);
    const other = certify({ commonName: 'other', isAuthority: true }).cert;
    const seen: unknown[] = [];
    const nodes = tls.connect({
      port: Number(new URL(url).port),
      servername: 'localhost',
      ca: other,
    });
    const [error] = (await once(nodes, 'error').catch((reason: unknown) => [reason])) as [
      { code: string },
    ];
    for (const connect of [{ ca: other }, { ca, servername: 'other.test' }]) {
      seen.push(await ask(client(url, connect), url));
    }
    expect(seen).toEqual([error.code, 'ERR_TLS_CERT_ALTNAME_INVALID']);
  });

  it('a certificate that the engine rejects causes no fallback', async () => {
    const seen = await serve({});
    const other = certify({ commonName: 'other', isAuthority: true }).cert;
    expect(await ask(client(seen.url, { ca: other }), seen.url)).toMatch(/^UNABLE_TO/);
    expect(seen.connections).toBe(1);
  });

  it('nor does a missing client certificate', async () => {
    const seen = await serve({ maxVersion: 'TLSv1.2', requestCert: true, ca });
    expect(await ask(client(seen.url), seen.url)).toBe(REFUSED);
    expect(seen.connections).toBe(1);
  });

  it('with platformVerifier, which the peer does not have, there is no fallback', async () => {
    const seen = await serve(OLD);
    const dispatcher = opened(new Client(seen.url, { connect: { platformVerifier: true } }));
    expect(await ask(dispatcher, seen.url)).toBe(REFUSED);
    expect(seen.connections).toBe(1);
  });

  it('where the peer fails as well, its error is reported', async () => {
    const { url } = await serve({
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
    });
    const failed = client(url).request({ path: '/', method: 'GET' });
    await expect(failed).rejects.toMatchObject({
      code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
      library: 'SSL routines',
    });
  });
});
