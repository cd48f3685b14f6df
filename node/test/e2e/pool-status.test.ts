// `connections()` and `preconnect()`, which undici does not have: what is open and what it is doing, and
// connections that are open before the first request.
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';

import { afterEach, describe, expect, it } from 'vitest';

import {
  Agent,
  type ConnectionStatus,
  BalancedPool,
  Client,
  EnvHttpProxyAgent,
  getGlobalDispatcher,
  install,
  Pool,
  ProxyAgent,
} from '../../src/index';
import { peer } from '../../src/undici/undici';
import { http2Origin, httpOrigin, httpsOrigin, type Origin, rawOrigin } from '../support/servers';
import { connectProxy } from '../support/tunnels';

const open: { close(): Promise<unknown>; destroy?(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await (one.destroy?.() ?? one.close());
});

function kept<T extends { close(): Promise<unknown>; destroy?(): Promise<void> }>(one: T): T {
  open.unshift(one);
  return one;
}

const get = (path = '/') => ({ path, method: 'GET' }) as const;

/** Answers at once, except on `/hold`. */
async function server(): Promise<Origin & { held: ServerResponse[] }> {
  const held: ServerResponse[] = [];
  const origin = await httpOrigin((request, response) => {
    if (request.url?.endsWith('/hold')) held.push(response);
    else response.end('ok');
  });
  return kept({ ...origin, held });
}

const activities = (statuses: ConnectionStatus[]) =>
  statuses.map(({ activity }) => activity).sort();

/** Waits until `connections()` looks like this. */
async function until(
  dispatcher: { connections(): Promise<ConnectionStatus[]> },
  expected: string[],
): Promise<ConnectionStatus[]> {
  for (;;) {
    const statuses = await dispatcher.connections();
    if (JSON.stringify(activities(statuses)) === JSON.stringify(expected)) return statuses;
    await new Promise(setImmediate);
  }
}

describe('connections()', () => {
  it('says what each connection is doing, by the names that events have', async () => {
    const { url, held } = await server();
    const pool = kept(new Pool(url));
    expect(await pool.connections()).toEqual([]);
    const ids: unknown[] = [];
    pool.on('connect', (_origin, _targets, info) => ids.push(info?.id));
    const hanging = pool.request(get('/hold'));
    await (await pool.request(get())).body.dump();
    const statuses = await until(pool, ['active', 'idle']);
    const idle = statuses.find(({ activity }) => activity === 'idle') as ConnectionStatus;
    const active = statuses.find(({ activity }) => activity === 'active') as ConnectionStatus;
    expect(new Set([idle.id, active.id])).toEqual(new Set(ids));
    expect(idle).toMatchObject({ origin: url, protocol: 'h1', requests: 1, open: 0 });
    expect(active).toMatchObject({ origin: url, protocol: 'h1', requests: 0, open: 1 });
    expect(idle.remotePort).toBe(Number(new URL(url).port));
    expect(idle.remoteAddress).toBe('127.0.0.1');
    expect(idle.localPort).toBeGreaterThan(0);
    expect(idle.idle).toBeLessThanOrEqual(idle.age);
    expect(active.idle).toBeUndefined();
    expect(idle.bytesRead).toBeGreaterThan(20);
    expect(idle.bytesWritten).toBeGreaterThan(20);
    expect(active.bytesRead).toBe(0);
    const gone = once(pool, 'disconnect');
    held[0]?.destroy();
    await expect(hanging).rejects.toThrow();
    expect((await gone)[3].id).toBe(active.id);
    expect(activities(await pool.connections())).toEqual(['idle']);
  });

  it('shows an attempt, and an upgraded connection with its bytes', async () => {
    const raw = kept(
      await rawOrigin((socket) =>
        socket.once('data', () => {
          socket.write('HTTP/1.1 101 OK\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
          socket.on('data', (chunk) => socket.write(chunk));
        }),
      ),
    );
    let lookedUp: (() => void) | undefined;
    const lookup = (_name: string, _options: object, done: (...args: unknown[]) => void) => {
      lookedUp = () => done(null, [{ address: '127.0.0.1', family: 4 }]);
    };
    const client = kept(new Client(raw.url, { connect: { lookup } as object }));
    const upgrading = client.upgrade({ path: '/', protocol: 'x' });
    const [connecting] = (await until(client, ['connecting'])) as [ConnectionStatus];
    expect(connecting.protocol).toBeUndefined();
    while (lookedUp === undefined) await new Promise(setImmediate);
    lookedUp();
    const { socket } = await upgrading;
    const [before] = (await until(client, ['upgraded'])) as [ConnectionStatus];
    expect(before.id).toBe(connecting.id);
    socket.write('hello');
    await once(socket, 'data');
    const [after] = (await client.connections()) as [ConnectionStatus];
    expect(after.bytesWritten - before.bytesWritten).toBe(5);
    expect(after.bytesRead - before.bytesRead).toBe(5);
    socket.destroy();
    await until(client, []);
  });

  it('counts the streams of an HTTP/2 connection', async () => {
    const streams: { end(text: string): void }[] = [];
    const h2 = await http2Origin(
      (stream, { ':path': path }) => {
        stream.respond({ ':status': 200 });
        if (path === '/hold') streams.push(stream);
        else stream.end('ok');
      },
      { plain: true },
    );
    kept(h2);
    const client = kept(new Client(h2.url, { useH2c: true }));
    await (await client.request(get())).body.dump();
    const held = await Promise.all([client.request(get('/hold')), client.request(get('/hold'))]);
    const [status] = (await client.connections()) as [ConnectionStatus];
    expect(status).toMatchObject({ protocol: 'h2', activity: 'active', open: 2, requests: 1 });
    for (const stream of streams) stream.end('ok');
    for (const { body } of held) await body.dump();
    const [idle] = (await until(client, ['idle'])) as [ConnectionStatus];
    expect(idle).toMatchObject({ open: 0, requests: 3 });
  });

  it('answers while a body is being sent, and while one is paused', async () => {
    const { url } = kept(
      await httpOrigin((request, response) => {
        if (request.method === 'GET') response.end(Buffer.alloc(4_000_000));
        else request.on('data', () => {}).on('end', () => response.end());
      }),
    );
    const client = kept(new Client(url));
    let send: (() => void) | undefined;
    const parts = (async function* () {
      yield 'first';
      await new Promise<void>((resolve) => (send = resolve));
      yield 'second';
    })();
    const body = Readable.from(parts);
    const posted = client.request({ path: '/', method: 'POST', body });
    const [sending] = (await until(client, ['active'])) as [ConnectionStatus];
    expect(sending.open).toBe(1);
    while (send === undefined) await new Promise(setImmediate);
    send();
    await (await posted).body.dump();
    const paused = await client.request(get());
    const [reading] = (await until(client, ['active'])) as [ConnectionStatus];
    expect(reading.bytesRead).toBeGreaterThan(100);
    expect((await paused.body.arrayBuffer()).byteLength).toBe(4_000_000);
  });

  it('of an agent has the connections of all its origins', async () => {
    const [a, b] = [await server(), await server()];
    const agent = kept(new Agent());
    for (const { url } of [a, b]) {
      await (await agent.request({ ...get(), origin: url })).body.dump();
    }
    const statuses = await agent.connections();
    expect(new Set(statuses.map(({ origin }) => origin))).toEqual(new Set([a.url, b.url]));
    expect(new Set(statuses.map(({ id }) => id)).size).toBe(2);
    const balanced = kept(new BalancedPool([a.url, b.url]));
    await (await balanced.request(get())).body.dump();
    expect(activities(await balanced.connections())).toEqual(['idle']);
    expect(await kept(new EnvHttpProxyAgent()).connections()).toEqual([]);
  });

  it('has those of requests that a closing dispatcher still finishes', async () => {
    const { url, held } = await server();
    const forwarding = { uri: url, proxyTunnel: false };
    for (const dispatcher of [new Pool(url), new Agent(), new ProxyAgent(forwarding)]) {
      const hanging = dispatcher.request({ ...get('/hold'), origin: url });
      while (held.length === 0) await new Promise(setImmediate);
      const closed = dispatcher.close();
      const [status, ...others] = await dispatcher.connections();
      expect([status?.open, others]).toEqual([1, []]);
      held.pop()?.end('ok');
      await (await hanging).body.dump();
      await closed;
      expect(await dispatcher.connections()).toEqual([]);
    }
  });

  it('answers when the pool is destroyed meanwhile, and afterwards', async () => {
    const { url } = await server();
    const pool = new Pool(url);
    await (await pool.request(get())).body.dump();
    const asked = pool.connections();
    await pool.destroy();
    await asked;
    expect(await pool.connections()).toEqual([]);
  });
});

describe('preconnect()', () => {
  it('opens so many connections, which requests then use', async () => {
    const { url, sockets } = await server();
    const pool = kept(new Pool(url));
    expect(await pool.preconnect(3)).toBe(3);
    expect(activities(await pool.connections())).toEqual(['idle', 'idle', 'idle']);
    const asked = Array.from({ length: 3 }, async () => (await pool.request(get())).body.text());
    expect(await Promise.all(asked)).toEqual(['ok', 'ok', 'ok']);
    expect(sockets.size).toBe(3);
    expect(await pool.preconnect(2)).toBe(3);
    expect(sockets.size).toBe(3);
  });

  it('undici opens none before the first request', async () => {
    const { url, sockets } = await server();
    const theirs = kept(new peer.Pool(url));
    expect('preconnect' in theirs).toBe(false);
    expect('connections' in theirs).toBe(false);
    await new Promise(setImmediate);
    expect(sockets.size).toBe(0);
  });

  it('obeys connections, maxIdleConnections and maxConnections', async () => {
    const { url } = await server();
    expect(await kept(new Client(url)).preconnect(5)).toBe(1);
    expect(await kept(new Pool(url, { connections: 2 })).preconnect(5)).toBe(2);
    expect(await kept(new Pool(url, { maxIdleConnections: 1 })).preconnect(5)).toBe(1);
    const agent = kept(new Agent({ maxConnections: 2, maxOrigins: 1 }));
    expect(await agent.preconnect(url)).toBe(1);
    expect(await agent.preconnect(url, 2)).toBe(2);
    await expect(agent.preconnect('http://other.test')).rejects.toMatchObject({
      code: 'UND_ERR_MAX_ORIGINS_REACHED',
    });
  });

  it('opens one HTTP/2 connection, whatever the number', async () => {
    let sessions = 0;
    const h2 = await http2Origin((stream) => {
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
    kept(h2).server.on('session', () => sessions++);
    const connect = { ...(h2.options as { connect: object }).connect, preferH2: true };
    const pool = kept(new Pool(h2.url, { allowH2: true, connect }));
    expect(await pool.preconnect(5)).toBe(1);
    expect(await (await pool.request(get())).body.text()).toBe('ok');
    expect(sessions).toBe(1);
  });

  it('opens all at once where HTTP/2 was offered and not chosen', async () => {
    const { url, options } = kept(await httpsOrigin((_request, response) => response.end('ok')));
    const pool = kept(new Pool(url, { ...options, allowH2: true }));
    let connects = 0;
    pool.on('connect', () => connects++);
    expect(await pool.preconnect(4)).toBe(4);
    expect(connects).toBe(4);
  });

  it('rejects with the error of connecting if none is ready', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    const pool = kept(new Pool(`http://127.0.0.1:${port}`));
    const failed = once(pool, 'connectionError');
    await expect(pool.preconnect(3)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await failed;
  });

  it('rejects with what a function of the user has failed with', async () => {
    const { url, options } = kept(await httpsOrigin((_request, response) => response.end('ok')));
    const { connect } = options as { connect: object };
    const thrown = new Error('of the user');
    const fail = (): never => {
      throw thrown;
    };
    const lookup = (_name: string, _options: object, done: (error: Error) => void) => done(thrown);
    for (const given of [{ lookup }, { checkServerIdentity: () => thrown }, { allow: fail }]) {
      const pool = kept(new Pool(url, { connect: { ...connect, ...given } as object }));
      const failures = await Promise.allSettled([pool.preconnect(), pool.preconnect(2)]);
      for (const failure of failures) {
        const { reason } = failure as PromiseRejectedResult;
        expect((reason as Error).cause ?? reason).toBe(thrown);
      }
      await expect(pool.request(get())).rejects.toBeInstanceOf(Error);
    }
    const silent = kept(new Pool(url, { connect: { ...connect, timeout: 50, lookup: () => {} } }));
    await expect(silent.preconnect(2)).rejects.toMatchObject({ code: 'UND_ERR_CONNECT_TIMEOUT' });
  });

  it('does not replace connections that the server closes', async () => {
    const sockets: Socket[] = [];
    const { url } = kept(
      await rawOrigin((socket) => {
        sockets.push(socket);
        socket.destroy();
      }),
    );
    const pool = kept(new Pool(url));
    await pool.preconnect(3).catch(() => {});
    expect(sockets.length).toBeLessThanOrEqual(3);
  });

  it('connections that nothing uses are closed like other idle ones', async () => {
    const { url } = await server();
    const pool = kept(new Pool(url, { keepAliveTimeout: 20 }));
    const reasons: unknown[] = [];
    const both = new Promise<void>((resolve) => {
      pool.on('disconnect', (_origin, _targets, _error, info) => {
        if (reasons.push(info?.reason) === 2) resolve();
      });
    });
    expect(await pool.preconnect(2)).toBe(2);
    await both;
    expect(reasons).toEqual(['idle timeout', 'idle timeout']);
  });

  it('opens tunnels through a proxy', async () => {
    const { url, sockets } = await server();
    const proxy = kept(await connectProxy());
    const agent = kept(
      new ProxyAgent({ uri: `http://127.0.0.1:${proxy.port}`, proxyTunnel: true }),
    );
    expect(await agent.preconnect(url, 2)).toBe(2);
    while (sockets.size < 2) await new Promise(setImmediate);
    expect(activities(await agent.connections())).toEqual(['idle', 'idle']);
  });

  it('works with the dispatcher that install() sets', async () => {
    const { url, sockets } = await server();
    const agent = kept(new Agent());
    const installation = install(agent);
    try {
      const installed = getGlobalDispatcher() as unknown as { preconnect: Agent['preconnect'] };
      expect(await installed.preconnect(url, 2)).toBe(2);
      expect(await (await fetch(url)).text()).toBe('ok');
      expect(sockets.size).toBe(2);
    } finally {
      installation.uninstall();
    }
  });

  it('checks its arguments, and rejects when the dispatcher is closed', async () => {
    const { url } = await server();
    const pool = kept(new Pool(url));
    for (const count of [0, -1, 1.5, NaN, Infinity, '2', null]) {
      await expect(pool.preconnect(count as number)).rejects.toMatchObject({
        code: 'UND_ERR_INVALID_ARG',
      });
    }
    await expect(kept(new Agent()).preconnect('nonsense')).rejects.toThrow();
    await pool.close();
    await expect(pool.preconnect()).rejects.toMatchObject({ code: 'UND_ERR_DESTROYED' });
  });
});
