// What undici has changed since 8.10 and 7.29: docs/undici.md. The installed peer is not asked where it
// may be older; where it decides, the test compares with it.

import { once } from 'node:events';
import net from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import * as dodici from '../../src/index';
import { peer, peerMajor } from '../../src/undici/undici';
import { http2Origin, httpOrigin, httpsOrigin, type Origin, rawOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const { Agent, Client, Pool } = dodici;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function serve(starting: Promise<Origin>): Promise<Origin> {
  const origin = await starting;
  cleanup.add(() => origin.close());
  return origin;
}

function keep<T extends { destroy(): Promise<void> }>(dispatcher: T): T {
  cleanup.add(() => dispatcher.destroy());
  return dispatcher;
}

const GET = { path: '/', method: 'GET' } as const;

describe('a request that waits for a connection', () => {
  it.each(['Pool', 'Client'] as const)('is aborted at once, in a %s', async (name) => {
    const origin = await serve(httpOrigin(() => {}));
    const dispatcher = keep(new dodici[name](origin.url, { connections: 1 }));
    const first = dispatcher.request(GET).catch((error: unknown) => error);
    await once(origin.server, 'request');
    const controller = new AbortController();
    const queued = dispatcher.request({ ...GET, signal: controller.signal });
    const reason = new Error('not wanted any more');
    controller.abort(reason);
    await expect(queued).rejects.toBe(reason);
    expect(dispatcher.stats).toMatchObject({ running: 1, size: 1 });
    await dispatcher.destroy();
    expect(await first).toBeInstanceOf(Error);
  });

  it('with an aborted signal opens no connection', async () => {
    const origin = await serve(httpOrigin((_request, response) => response.end()));
    const pool = keep(new Pool(origin.url));
    const options = { ...GET, signal: AbortSignal.abort() };
    await expect(pool.request(options)).rejects.toMatchObject({ name: 'AbortError' });
    let connections = 0;
    pool.on('connect', () => connections++);
    const { body } = await pool.request(GET);
    await body.dump();
    expect(connections).toBe(1);
  });
});

describe('a connection attempt', () => {
  /** A server that never answers a TLS handshake. */
  const silent = async () => {
    const origin = await serve(rawOrigin((socket) => socket.resume()));
    return { ...origin, url: origin.url.replace('http:', 'https:') };
  };

  it.each(['Pool', 'Client', 'Agent'] as const)(
    'that no request needs any more is given up, in a %s',
    async (name) => {
      const origin = await silent();
      const options = { connect: { timeout: 0 } };
      const dispatcher = keep(
        name === 'Agent' ? new Agent(options) : new dodici[name](origin.url, options),
      );
      let failures = 0;
      dispatcher.on('connectionError', () => failures++);
      const controller = new AbortController();
      const connection = once(origin.server, 'connection') as Promise<[net.Socket]>;
      const request = dispatcher.request({
        ...GET,
        origin: origin.url,
        signal: controller.signal,
      });
      const [socket] = await connection;
      controller.abort();
      await expect(request).rejects.toMatchObject({ name: 'AbortError' });
      if (!socket.closed) await once(socket, 'close');
      expect(failures).toBe(0);
    },
  );

  it('serves a request that is made in the same turn', async () => {
    const origin = await silent();
    const pool = keep(new Pool(origin.url, { connections: 1, connect: { timeout: 0 } }));
    const controller = new AbortController();
    const connection = once(origin.server, 'connection') as Promise<[net.Socket]>;
    const first = pool.request({ ...GET, signal: controller.signal });
    const [socket] = await connection;
    controller.abort();
    const second = pool.request(GET).catch((error: unknown) => error);
    await expect(first).rejects.toMatchObject({ name: 'AbortError' });
    // The pool's end is after anything else that it does.
    await pool.destroy();
    expect(await second).toBeInstanceOf(Error);
    if (!socket.closed) await once(socket, 'close');
    expect(origin.sockets.size).toBe(0);
  });
});

/** An HTTP/2 frame. */
function frame(type: number, flags: number, stream: number, payload = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

describe('HTTP/2', () => {
  it('a PING that is not acknowledged ends the session', async () => {
    // A server that accepts settings and then only listens.
    const origin = await serve(
      rawOrigin((socket) => {
        socket.write(Buffer.concat([frame(4, 0, 0), frame(4, 1, 0)]));
        socket.resume();
      }),
    );
    const ping = peerMajor === 8 ? { h2Options: { pingInterval: 50 } } : { pingInterval: 50 };
    const client = keep(new Client(origin.url, { ...ping, allowH2: true, useH2c: true }));
    const ended = once(client, 'disconnect') as Promise<[URL, unknown, Error]>;
    await expect(client.request(GET)).rejects.toMatchObject({
      message: expect.stringContaining('unresponsive') as string,
    });
    const [, , error] = await ended;
    expect(error.message).toContain('unresponsive');
  });

  it('head and body have time limits of their own', async () => {
    const origin = await serve(
      http2Origin(
        (stream, { ':path': path }) => {
          const late = (end: () => void) => setTimeout(end, 900).unref();
          if (path === '/head') late(() => stream.respond({ ':status': 204 }, { endStream: true }));
          else {
            stream.respond({ ':status': 200 });
            stream.write('a');
            late(() => stream.end('b'));
          }
        },
        { plain: true },
      ),
    );
    const options = { allowH2: true, useH2c: true };
    const head = keep(new Client(origin.url, { ...options, headersTimeout: 0, bodyTimeout: 300 }));
    expect((await head.request({ ...GET, path: '/head' })).statusCode).toBe(204);
    const body = keep(new Client(origin.url, { ...options, headersTimeout: 600, bodyTimeout: 0 }));
    expect(await (await body.request({ ...GET, path: '/body' })).body.text()).toBe('ab');
    await expect(
      head.request({ ...GET, path: '/body' }).then(({ body }) => body.text()),
    ).rejects.toMatchObject({ code: 'UND_ERR_BODY_TIMEOUT' });
  });

  it('a pool waits for ALPN before it opens more connections', async () => {
    const waiting: (() => void)[] = [];
    const origin = await serve(
      http2Origin((stream) => {
        waiting.push(() => stream.respond({ ':status': 204 }, { endStream: true }));
        if (waiting.length === 8) for (const answer of waiting) answer();
      }),
    );
    const pool = keep(new Pool(origin.url, { ...origin.options, allowH2: true }));
    let connections = 0;
    pool.on('connect', () => connections++);
    const responses = await Promise.all(Array.from({ length: 8 }, () => pool.request(GET)));
    expect(responses.map(({ statusCode }) => statusCode)).toEqual(Array(8).fill(204));
    expect(connections).toBe(1);
  });

  it('a pool opens as many connections as it needs if the server chooses HTTP/1.1', async () => {
    const waiting: (() => void)[] = [];
    const origin = await serve(
      httpsOrigin((_request, response) => {
        waiting.push(() => response.end());
        if (waiting.length === 8) for (const answer of waiting) answer();
      }),
    );
    const pool = keep(new Pool(origin.url, { ...origin.options, allowH2: true }));
    const responses = await Promise.all(Array.from({ length: 8 }, () => pool.request(GET)));
    await Promise.all(responses.map(({ body }) => body.dump()));
    expect(origin.sockets.size).toBe(8);
  });
});

describe('options', () => {
  it('useMilo has no effect, wherever it is given', async () => {
    const origin = await serve(httpOrigin((_request, response) => response.end('ok')));
    const options = { useMilo: true };
    const dispatchers: dodici.Dispatcher[] = [
      new Client(origin.url, options),
      new Pool(origin.url, options),
      new Agent(options),
      new Agent({ origins: { localhost: options } }),
      new dodici.BalancedPool(origin.url, options),
      new dodici.RoundRobinPool(origin.url, options),
    ];
    for (const dispatcher of dispatchers) {
      keep(dispatcher);
      const { body } = await dispatcher.request({ ...GET, origin: origin.url });
      expect(await body.text()).toBe('ok');
    }
  });

  it.each([
    [{ connectTimeout: -1 }],
    [{ connectTimeout: Infinity }],
    [{ connectTimeout: '1' }],
    [{ requestTls: { timeout: -1 } }],
    [{ proxyTls: { timeout: NaN } }],
    [{ connectTimeout: 0, requestTls: { timeout: 5 } }],
  ])('of Socks5ProxyAgent are checked when it is made: %j', (options) => {
    const outcome = (Class: new (url: string, options: object) => { destroy(): Promise<void> }) => {
      try {
        keep(new Class('socks5://localhost', options));
        return 'made';
      } catch (error) {
        return (error as Error).message;
      }
    };
    const ours = outcome(dodici.Socks5ProxyAgent);
    // undici 7 does not check them.
    if (peerMajor === 8) expect(ours).toBe(outcome(peer.Socks5ProxyAgent));
    expect(ours === 'made').toBe('connectTimeout' in options && options.connectTimeout === 0);
  });

  it('proxy-authorization is found in headers of every form', async () => {
    const agent = keep(new dodici.ProxyAgent('http://localhost:1'));
    const headers: Iterable<[string, string]>[] = [
      new Map([['Proxy-Authorization', 'x']]),
      new Headers({ 'Proxy-Authorization': 'x' }),
    ];
    for (const given of headers) {
      await expect(
        agent.request({ ...GET, origin: 'http://a.test', headers: given }),
      ).rejects.toThrow('Proxy-Authorization should be sent in ProxyAgent constructor');
    }
  });
});

describe('undici’s interceptors over our Agent', () => {
  const { MaxRedirectsError } = peer.errors as { MaxRedirectsError?: new () => Error };

  it.runIf(MaxRedirectsError)('fail with MaxRedirectsError', async () => {
    const origin = await serve(
      httpOrigin(({ url }, response) => response.writeHead(302, { location: `${url!}x` }).end()),
    );
    const redirect = dodici.interceptors.redirect({ maxRedirections: 1, throwOnMaxRedirect: true });
    const agent = keep(new Agent());
    const request = agent.compose(redirect).request({ ...GET, origin: origin.url });
    await expect(request).rejects.toBeInstanceOf(MaxRedirectsError);
    await expect(request).rejects.toMatchObject({ code: 'UND_ERR_REDIRECT_MAX' });
  });

  it.runIf(MaxRedirectsError)('limit the body of a ResponseError', async () => {
    const origin = await serve(
      httpOrigin((_request, response) =>
        response.writeHead(500, { 'content-type': 'text/plain' }).end('x'.repeat(100_000)),
      ),
    );
    const limited = (dodici.interceptors.responseError as (options: object) => never)({
      maxSize: 10,
    });
    const agent = keep(new Agent());
    await expect(
      agent.compose(limited).request({ ...GET, origin: origin.url }),
    ).rejects.toMatchObject({ body: 'x'.repeat(10), bodyTruncated: true });
  });
});
