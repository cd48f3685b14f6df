// Scripted proxies: exact bytes, refusals, and who gets credentials.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createRequire } from 'node:module';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import * as net from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  Agent,
  Client,
  type Dispatcher,
  EnvHttpProxyAgent,
  errors,
  fetch,
  Headers,
  Pool,
  ProxyAgent,
  request,
  Socks5ProxyAgent,
} from '../../src/index';
import { peerMajor } from '../../src/undici/undici';
import { ca, httpOrigin, httpsOrigin, listening, type Origin, rawOrigin } from '../support/servers';

let plain: Origin;
let secure: Origin;
beforeAll(async () => {
  const echo = (incoming: IncomingMessage, response: ServerResponse): void => {
    response.end(JSON.stringify({ url: incoming.url, headers: incoming.headers }));
  };
  plain = await httpOrigin(echo);
  secure = await httpsOrigin(echo);
});
afterAll(async () => {
  await plain.close();
  await secure.close();
});

/** A proxy for both kinds of requests, and what it received. */
interface TestProxy {
  readonly port: number;
  readonly connects: string[];
  readonly requests: IncomingMessage[];
  close(): Promise<void>;
}

async function testProxy(): Promise<TestProxy> {
  const connects: string[] = [];
  const requests: IncomingMessage[] = [];
  const server: Server = createServer((incoming, response) => {
    requests.push(incoming);
    response.end(JSON.stringify({ url: incoming.url, headers: incoming.headers }));
  });
  server.on('connect', (incoming: IncomingMessage, socket: net.Socket) => {
    const fields = incoming.rawHeaders.map((text, at) => text + (at % 2 === 0 ? ': ' : '\n'));
    connects.push(`${incoming.method} ${incoming.url}\n${fields.join('')}`);
    const url = new URL(`http://${incoming.url}`);
    const target = net.connect(Number(url.port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Established\r\nX-Proxy: Test\r\n\r\n');
      socket.pipe(target).pipe(socket);
    });
    sockets.add(target);
    for (const one of [socket, target]) one.on('error', () => one.destroy());
  });
  const { port, sockets, close } = await listening(server);
  return { port, connects, requests, close };
}

async function using<T>(work: (proxy: TestProxy) => Promise<T>): Promise<T> {
  const proxy = await testProxy();
  try {
    return await work(proxy);
  } finally {
    await proxy.close();
  }
}

async function get(dispatcher: Dispatcher, url: string, options: object = {}) {
  const { body } = await request(url, { dispatcher, ...options });
  return (await body.json()) as { url: string; headers: Record<string, string> };
}

const failureOf = (promise: Promise<unknown>): Promise<any> =>
  promise.then(
    () => expect.unreachable('it succeeded'),
    (error: unknown) => error,
  );

describe('a tunnel', () => {
  it('is requested with these header fields, which no request inside it has', () =>
    using(async (proxy) => {
      const agent = new ProxyAgent({
        uri: `http://ann:p%40ss@127.0.0.1:${proxy.port}`,
        headers: { 'User-Agent': 'Test/1', 'x-list': ['a', 'b'] },
        proxyTunnel: true,
      });
      const { host } = new URL(plain.url);
      for (const path of ['/1', '/2']) {
        const seen = await get(agent, plain.url + path, { headers: { 'x-mine': 'yes' } });
        expect(seen).toEqual({
          url: path,
          headers: { host, 'x-mine': 'yes', connection: 'keep-alive' },
        });
      }
      const login = Buffer.from('ann:p@ss').toString('base64');
      expect(proxy.connects).toEqual([
        `CONNECT ${host}\nhost: ${host}\nconnection: close\nUser-Agent: Test/1\nx-list: a\n` +
          `x-list: b\nproxy-authorization: Basic ${login}\nproxy-connection: keep-alive\n`,
      ]);
      await agent.close();
    }));

  it('is used for https, and for http as in the peer’s major version', () =>
    using(async (proxy) => {
      const agent = new ProxyAgent({
        uri: `http://127.0.0.1:${proxy.port}`,
        requestTls: { ca },
      });
      expect((await get(agent, `${secure.url}/s`)).url).toBe('/s');
      expect(proxy.connects).toHaveLength(1);
      const { url } = await get(agent, `${plain.url}/p`);
      expect(url).toBe(peerMajor === 7 ? '/p' : `${plain.url}/p`);
      expect(proxy.connects).toHaveLength(peerMajor === 7 ? 2 : 1);
      await agent.close();
    }));

  it('is reported on the channel and in the connect event', () =>
    using(async (proxy) => {
      const messages: any[] = [];
      const listen = (message: unknown) => messages.push(message);
      subscribe('undici:proxy:connected', listen);
      const uri = `http://127.0.0.1:${proxy.port}`;
      const agent = new ProxyAgent({ uri, token: 'Bearer x', proxyTunnel: true });
      const connected = new Promise<any>((resolve) => {
        agent.on('connect', (_url: unknown, targets: unknown, info: unknown) =>
          resolve({ targets, info }),
        );
      });
      await get(agent, plain.url);
      unsubscribe('undici:proxy:connected', listen);
      const { host } = new URL(plain.url);
      expect(messages).toHaveLength(1);
      expect(messages[0].socket).toMatchObject({ remotePort: proxy.port, encrypted: false });
      expect(messages[0].connectParams).toEqual({
        origin: uri,
        port: String(proxy.port),
        path: host,
        signal: undefined,
        headers: { host, 'proxy-authorization': 'Bearer x', 'proxy-connection': 'keep-alive' },
        servername: '127.0.0.1',
      });
      const { targets, info } = await connected;
      expect(targets[0]).toBe(agent);
      expect(info.proxy).toEqual({ statusCode: 200, rawHeaders: ['X-Proxy', 'Test'] });
      expect(info.timings.proxy).toBeGreaterThan(0);
      await agent.close();
    }));

  it.each([100, 204, 302, 407, 500])('does not exist after a %i', async (status) => {
    const proxy = await rawOrigin((socket) =>
      socket.once('data', () => socket.end(`HTTP/1.1 ${status} x\r\ncontent-length: 0\r\n\r\n`)),
    );
    const agent = new ProxyAgent({ uri: proxy.url, proxyTunnel: true });
    const error = await failureOf(get(agent, plain.url));
    expect(error).toBeInstanceOf(errors.RequestAbortedError);
    expect(error.message).toBe(`Proxy response (${status}) !== 200 when HTTP Tunneling`);
    await agent.close();
    await proxy.close();
  });

  it('fails with its own error class where the proxy hangs up', async () => {
    const proxy = await rawOrigin((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nx: ')),
    );
    const agent = new ProxyAgent({ uri: proxy.url, proxyTunnel: true });
    const error = await failureOf(get(agent, plain.url));
    const failure = peerMajor === 7 ? error : error.cause;
    expect(failure).toMatchObject({ code: 'UND_ERR_SOCKET', message: 'other side closed' });
    if (peerMajor === 8) {
      expect(error).toMatchObject({ name: 'ProxyConnectionError', code: 'UND_ERR_PRX_CONN' });
    }
    await agent.close();
    await proxy.close();
  });

  it('takes no longer than connectTimeout', async () => {
    const proxy = await rawOrigin((socket) => socket.resume());
    const agent = new ProxyAgent({
      uri: proxy.url,
      proxyTunnel: true,
      connectTimeout: 50,
    });
    const { port } = new URL(proxy.url);
    expect(await failureOf(get(agent, plain.url))).toMatchObject({
      code: 'UND_ERR_CONNECT_TIMEOUT',
      message: `Connect Timeout Error (attempted address: localhost:${port}, timeout: 50ms)`,
    });
    await agent.close();
    await proxy.close();
  });

  it('s18 is closed where bytes follow the proxy’s response', async () => {
    let heard = '';
    const evil = 'HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil';
    const proxy = await rawOrigin((socket) =>
      socket.once('data', () => {
        socket.on('data', (chunk: Buffer) => (heard += String(chunk)));
        socket.write(evil);
      }),
    );
    const agent = new ProxyAgent({ uri: proxy.url, proxyTunnel: true });
    expect(await failureOf(get(agent, plain.url))).toMatchObject({ code: 'UND_ERR_SOCKET' });
    expect(heard).toBe('');
    await agent.close();
    await proxy.close();
  });
});

describe('a forwarding proxy', () => {
  const forwarding = (proxy: TestProxy, options: object = {}) =>
    new ProxyAgent({ uri: `http://127.0.0.1:${proxy.port}`, proxyTunnel: false, ...options });

  it('gets the whole URL, its own fields, and the caller’s', () =>
    using(async (proxy) => {
      const agent = forwarding(proxy, { token: 'Bearer x', headers: { 'user-agent': 'proxy' } });
      const seen = await get(agent, 'http://target.invalid:81/a', {
        headers: { 'User-Agent': 'mine' },
        query: { d: 'e' },
      });
      expect(seen.url).toBe('http://target.invalid:81/a?d=e');
      expect(seen.headers).toEqual({
        'proxy-authorization': 'Bearer x',
        'user-agent': 'mine',
        host: 'target.invalid:81',
        connection: 'keep-alive',
      });
      await agent.close();
    }));

  it('serves all origins over one set of connections', () =>
    using(async (proxy) => {
      const agent = forwarding(proxy);
      for (const name of ['a', 'b', 'c']) await get(agent, `http://${name}.invalid/`);
      const ports = proxy.requests.map(({ socket }) => socket.remotePort);
      expect(new Set(ports).size).toBe(1);
      await agent.close();
    }));

  it('fails a request with one error where it asks for a password', async () => {
    const proxy = await httpOrigin((_incoming, response) => {
      response.writeHead(407, { 'proxy-authenticate': 'Basic' }).end('who are you?');
    });
    const agent = new ProxyAgent({ uri: proxy.url, proxyTunnel: false });
    const calls: string[] = [];
    await new Promise<void>((resolve) => {
      const note = (name: string) => () => void calls.push(name);
      agent.dispatch(
        { origin: 'http://target.invalid', path: '/', method: 'GET' },
        {
          onRequestStart: note('start'),
          onResponseStart: note('head'),
          onResponseData: note('data'),
          onResponseEnd: note('end'),
          onResponseError: (_controller: unknown, error: Error) => {
            calls.push(error.message);
            resolve();
          },
        },
      );
    });
    expect(calls).toEqual(['start', 'Proxy Authentication Required (407)']);
    await agent.close();
    await proxy.close();
  });
});

describe('s17 credentials for the proxy', () => {
  it.each([
    ['an object', { 'Proxy-Authorization': 'x' }],
    ['an object that inherits them', Object.create({ 'proxy-authorization': 'x' })],
    ['a list', ['a', 'b', 'PROXY-authorization', 'x']],
    ['a Map', new Map([['proxy-authorization', 'x']])],
    ['Headers', new Headers({ 'proxy-authorization': 'x' })],
  ])('are refused among a request’s headers: %s', (_name, headers) =>
    using(async (proxy) => {
      for (const proxyTunnel of [true, false]) {
        const agent = new ProxyAgent({ uri: `http://127.0.0.1:${proxy.port}`, proxyTunnel });
        expect(await failureOf(get(agent, plain.url, { headers }))).toMatchObject({
          code: 'UND_ERR_INVALID_ARG',
          message: 'Proxy-Authorization should be sent in ProxyAgent constructor',
        });
        await agent.close();
      }
      expect(proxy.connects).toEqual([]);
      expect(proxy.requests).toEqual([]);
    }),
  );

  it('are not sent with a request that bypasses the proxy', () =>
    using(async (proxy) => {
      const agent = new EnvHttpProxyAgent({
        httpProxy: `http://ann:secret@127.0.0.1:${proxy.port}`,
        noProxy: 'localhost',
      });
      const direct = await get(agent, plain.url);
      expect(direct.headers).not.toHaveProperty('proxy-authorization');
      expect(proxy.requests).toEqual([]);
      await agent.close();
    }));

  it('s21 do not appear in the inspected agent or its errors', async () => {
    const texts: string[] = [];
    for (const proxy of [
      new ProxyAgent({ uri: 'http://ann:secret@127.0.0.1:1', proxyTunnel: true }),
      new ProxyAgent({ uri: 'http://127.0.0.1:1', token: 'secret', proxyTunnel: false }),
      new Socks5ProxyAgent('socks5://ann:secret@127.0.0.1:1'),
    ]) {
      const error = await failureOf(get(proxy, plain.url));
      texts.push(inspect(proxy, { depth: 9 }), JSON.stringify(proxy), inspect(error));
      await proxy.close();
    }
    const bad = () => new Socks5ProxyAgent(`socks5://${'secret'.repeat(50)}:b@127.0.0.1:1`);
    expect(bad).toThrow('Username or password too long');
    for (const text of texts) expect(text).not.toMatch(/secret|c2VjcmV0/);
  });
});

describe('s20 NO_PROXY', () => {
  const rules: [noProxy: string, url: string, isDirect: boolean][] = [
    ['example.com', 'http://example.com/', true],
    ['example.com', 'http://EXAMPLE.com/', true],
    ['example.com', 'http://www.example.com/', true],
    ['example.com', 'http://badexample.com/', false],
    ['.example.com', 'http://www.example.com/', true],
    ['*.example.com', 'http://www.example.com/', true],
    ['example.com:80', 'http://example.com/', true],
    ['example.com:81', 'http://example.com/', false],
    ['example.com:81', 'http://example.com:81/', true],
    ['other.com, example.com', 'http://example.com/', true],
    ['other.com example.com', 'http://example.com/', true],
    ['*', 'http://example.com/', true],
    ['', 'http://example.com/', false],
    ['127.0.0.1', 'http://127.0.0.1/', true],
    ['127.0.0.1:80', 'http://127.0.0.1/', true],
    ['127.0.0.1:81', 'http://127.0.0.1/', false],
    ['127.0.0.1', 'http://127.0.0.10/', false],
    // undici 7 reads these two differently.
    ['::1', 'http://[::1]/', peerMajor >= 8],
    ['[::1]', 'http://[::1]/', true],
    ['[::1]:80', 'http://[::1]/', true],
    ['[::1]:81', 'http://[::1]/', false],
    ['::1', 'http://[::2]/', false],
    ['none.invalid,*', 'http://example.com/', peerMajor >= 8],
    ['*:81', 'http://example.com/', false],
    ['example.com', 'http://com/', false],
    // undici does not support networks: to it, these are host names that match nothing.
    ['127.0.0.0/8', 'http://127.0.0.1/', true],
    ['10.0.0.0/8, 127.0.0.0/8', 'http://127.1.2.3:8080/', true],
    ['10.0.0.0/8', 'http://127.0.0.1/', false],
    ['127.0.0.1/32', 'http://127.0.0.2/', false],
    ['0.0.0.0/0', 'http://127.0.0.1/', true],
    ['0.0.0.0/0', 'http://[::1]/', false],
    ['fd00::/8', 'http://[fd12::1]/', true],
    ['[fd00::]/8', 'http://[fd12::1]/', true],
    ['fd00::/8', 'http://[fe80::1]/', false],
    ['127.0.0.0/8', 'http://127.example.com/', false],
    ['127.0.0.0/33', 'http://127.0.0.1/', false],
    ['127.0.0.0/x', 'http://127.0.0.1/', false],
    ['example.com/8', 'http://example.com/', false],
  ];
  it.each(rules)('%j and %s: direct is %s', (noProxy, url, isDirect) => {
    const agent = new EnvHttpProxyAgent({ httpProxy: 'http://127.0.0.1:1', noProxy });
    const used: string[] = [];
    for (const symbol of Object.getOwnPropertySymbols(agent)) {
      const inner = (agent as any)[symbol] as Dispatcher;
      if (typeof inner?.dispatch !== 'function') continue;
      inner.dispatch = () => used.push(inner.constructor.name) > 0;
    }
    agent.dispatch(
      { origin: new URL(url).origin, path: '/', method: 'GET' },
      {
        onResponseError() {},
      },
    );
    expect(used).toEqual([isDirect ? Agent.name : ProxyAgent.name]);
  });
});

describe('a SOCKS5 proxy', () => {
  it('fails with its reply as the code', async () => {
    const proxy = await rawOrigin((socket) =>
      socket.once('data', () => {
        socket.write(Buffer.of(5, 0));
        socket.once('data', () => socket.write(Buffer.of(5, 2, 0, 1, 0, 0, 0, 0, 0, 0)));
      }),
    );
    const agent = new Socks5ProxyAgent(proxy.url.replace('http:', 'socks5:'));
    expect(await failureOf(get(agent, plain.url))).toMatchObject({
      name: 'Socks5ProxyError',
      code: 'UND_ERR_SOCKS5_REPLY_2',
      message: 'SOCKS5 connection failed: Connection not allowed by ruleset',
    });
    await agent.close();
    await proxy.close();
  });

  it('s19 gets the name unresolved, and a name that is too long is rejected', async () => {
    const heard: Buffer[] = [];
    const proxy = await rawOrigin((socket) => {
      socket.write(Buffer.of(5, 0));
      socket.on('data', (chunk: Buffer) => {
        heard.push(chunk);
        if (Buffer.concat(heard).length > 3) socket.destroy();
      });
    });
    const agent = new Socks5ProxyAgent(proxy.url.replace('http:', 'socks5:'));
    await failureOf(get(agent, 'http://no-such-host.invalid/'));
    expect(Buffer.concat(heard).toString('latin1')).toBe(
      '\x05\x01\x00\x05\x01\x00\x03\x14no-such-host.invalid\x00\x50',
    );
    heard.length = 0;
    const long = Array.from({ length: 52 }, () => 'abcd').join('.');
    expect(await failureOf(get(agent, `http://${long}/`))).toMatchObject({
      code: 'UND_ERR_INVALID_ARG',
    });
    expect(heard).toEqual([]);
    await agent.close();
    await proxy.close();
  });
});

describe('options that only JavaScript can implement', () => {
  it('clientFactory creates the client for tunnels', () =>
    using(async (proxy) => {
      const made: Pool[] = [];
      const agent = new ProxyAgent({
        uri: `http://127.0.0.1:${proxy.port}`,
        proxyTunnel: true,
        clientFactory: (origin: URL, options: object) => {
          const pool = new Pool(origin, options);
          made.push(pool);
          return pool;
        },
      });
      expect((await get(agent, `${plain.url}/x`)).url).toBe('/x');
      expect(made).toHaveLength(1);
      expect(proxy.connects).toHaveLength(1);
      await agent.close();
    }));

  it('factory creates the dispatcher of an origin', () =>
    using(async (proxy) => {
      const made: string[] = [];
      const agent = new ProxyAgent({
        uri: `http://127.0.0.1:${proxy.port}`,
        proxyTunnel: true,
        factory: (origin: string | URL, options: object) => {
          made.push(String(origin));
          return new Client(origin, options);
        },
      });
      expect((await get(agent, `${plain.url}/x`)).url).toBe('/x');
      expect(made).toEqual([plain.url]);
      await agent.close();
    }));
});

describe('a replaced net.connect', () => {
  /** While it is replaced. */
  async function replaced<T>(work: () => Promise<T>): Promise<T> {
    const netModule = createRequire(import.meta.url)('node:net') as typeof net;
    const original = netModule.connect;
    try {
      netModule.connect = ((...args: Parameters<typeof original>) =>
        original(...args)) as typeof original;
      return await work();
    } finally {
      netModule.connect = original;
    }
  }

  it.each(['before', 'after'])('does not make requests bypass the proxy: %s the agent', (when) =>
    using(async (proxy) => {
      const make = () =>
        new ProxyAgent({ uri: `http://127.0.0.1:${proxy.port}`, proxyTunnel: true });
      const early = make();
      const seen = await replaced(async () => {
        const agent = when === 'before' ? make() : early;
        const { url } = await get(agent, `${plain.url}/x`);
        await agent.close();
        return url;
      });
      expect(seen).toBe('/x');
      expect(proxy.connects).toHaveLength(1);
      await early.destroy();
    }),
  );
});

describe('ProxyAgent', () => {
  it('rejects what undici rejects', () => {
    const make = (options: unknown) => () => new ProxyAgent(options as never);
    expect(make(undefined)).toThrow('Proxy uri is mandatory');
    expect(make({})).toThrow('Proxy uri is mandatory');
    expect(make({ uri: 'http://a', clientFactory: 1 })).toThrow(
      'Proxy opts.clientFactory must be a function.',
    );
    expect(make({ uri: 'http://a', auth: 'a', token: 'b' })).toThrow(
      'opts.auth cannot be used in combination with opts.token',
    );
    expect(make({ uri: 'http://a', proxyTls: { maxCachedSessions: -1 } })).toThrow(
      'maxCachedSessions must be a positive integer or zero',
    );
  });

  it('s01 sends no proxy header field that contains a line break', () =>
    using(async (proxy) => {
      for (const value of ['a\r\nx: y', 'a\u010a', 'a\0']) {
        const uri = `http://127.0.0.1:${proxy.port}`;
        for (const proxyTunnel of [true, false]) {
          const agent = new ProxyAgent({ uri, proxyTunnel, headers: { 'x-bad': value } });
          expect(await failureOf(get(agent, plain.url))).toMatchObject({
            code: 'UND_ERR_INVALID_ARG',
          });
          await agent.close();
        }
      }
      expect(proxy.connects).toEqual([]);
      expect(proxy.requests).toEqual([]);
    }));

  it('serves fetch', () =>
    using(async (proxy) => {
      const dispatcher = new ProxyAgent(`http://127.0.0.1:${proxy.port}`);
      const response = await fetch(`${plain.url}/f`, { dispatcher });
      expect(((await response.json()) as { url: string }).url).toContain('/f');
      await dispatcher.close();
    }));
});
