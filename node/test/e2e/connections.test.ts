// Connections as users of undici see them: targets of events, sockets, the peer's balancing classes
// and proxies over ours, and unreferenced pools.

import { EventEmitter, once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';

import {
  Agent,
  BalancedPool,
  Client,
  EnvHttpProxyAgent,
  Pool,
  ProxyAgent,
  RoundRobinPool,
} from '../../src/index';
import { poolSymbols, symbols } from '../../src/undici/undici';
import { httpOrigin, type Origin, rawOrigin } from '../support/servers';

let origin: Origin;
let hanging: Server | undefined;
/** Requests that get no answer. */
let waiting = 0;

beforeAll(async () => {
  origin = await httpOrigin((request, response) => {
    if (request.url === '/hang') waiting++;
    else response.end(request.url);
  });
});

afterAll(() => origin.close());

afterEach(() => {
  hanging?.close();
  hanging = undefined;
});

const get = (path = '/') => ({ path, method: 'GET' }) as const;

it('events of a pool have the pool and then the connection, as a client, as targets', async () => {
  const pool = new Pool(origin.url, { connections: 1 });
  const seen: unknown[] = [];
  pool.on('connect', (_origin, targets) => seen.push(targets));
  pool.on('disconnect', (_origin, targets) => seen.push(targets));
  await (await pool.request(get())).body.dump();
  const [[first, client]] = seen as [[unknown, Client]];
  expect(first).toBe(pool);
  expect(client).toBeInstanceOf(Client);
  expect(client.stats.connected).toBe(true);
  expect((pool as any)[poolSymbols.kClients]).toEqual([client]);
  await client.destroy();
  expect(seen[1]).toEqual([pool, client]);
  expect(client.stats.connected).toBe(false);
  expect(await (await pool.request(get('/again'))).body.text()).toBe('/again');
  await pool.close();
});

it('an abort without a reason has the phase queued while the request waits for a connection', async () => {
  for (const dispatcher of [
    new Pool(origin.url, { connections: 1 }),
    new Pool(origin.url, { connections: 2, pipelining: 2 }),
    new Client(origin.url),
    new Agent({ connections: 1 }),
  ]) {
    const ask = async (path: string): Promise<unknown> => {
      const signal = new EventEmitter();
      const failed = dispatcher
        .request({ ...get(path), origin: origin.url, signal })
        .catch((error: unknown) => (error as { phase?: string }).phase);
      aborts.push(() => signal.emit('abort'));
      return failed;
    };
    const aborts: (() => void)[] = [];
    // Nothing is connected yet.
    const first = ask('/hang');
    aborts.pop()!();
    expect(await first).toBe('queued');
    // These take all places; what follows waits behind them, in the engine.
    const places = Array.from({ length: 4 }, () => ask('/hang'));
    await vi.waitFor(() => expect(waiting).toBeGreaterThan(0));
    const behind = ask('/behind');
    aborts.pop()!();
    expect(await behind).toBe('queued');
    waiting = 0;
    await dispatcher.destroy();
    await Promise.all(places);
  }
});

it('destroying a socket fails running requests with its error, and no waiting ones', async () => {
  const client = new Client(origin.url);
  client.on('connect', () => {
    queueMicrotask(() => (client as any)[symbols.kSocket].destroy(new Error('kaboom')));
  });
  const running = client.request(get('/hang'));
  await expect(running).rejects.toThrow('kaboom');
  client.removeAllListeners('connect');
  expect(await (await client.request(get('/next'))).body.text()).toBe('/next');
  const closed = once((client as any)[symbols.kSocket], 'close');
  await client.close();
  await closed;
});

it('a client connects without a request, and runs nothing while its listeners run', async () => {
  const client = new Client(origin.url);
  const stats = await new Promise((resolve) => {
    (client as any)[symbols.kConnect](() => resolve(client.stats));
  });
  expect(stats).toEqual({ connected: true, pending: 0, running: 0, size: 0 });
  await client.close();
});

it('the end of a stream is reported before that of its connection', async () => {
  const client = new Client(origin.url, { pipelining: 0 });
  const order: string[] = [];
  const over = once(client, 'disconnect').then(() => order.push('disconnect'));
  const { body } = await client.request(get());
  body.on('end', () => order.push('end')).resume();
  await over;
  expect(order).toEqual(['end', 'disconnect']);
  await client.close();
});

/** Responds once this many requests have arrived. */
async function together(count: number): Promise<Origin> {
  const waiting: ServerResponse[] = [];
  return httpOrigin((_request, response) => {
    if (waiting.push(response) < count) return;
    for (const one of waiting.splice(0)) one.end('ok');
  });
}

const times = (count: number, ask: () => Promise<string>) =>
  Promise.all(Array.from({ length: count }, ask));

it('no more idle connections are kept than maxIdleConnections', async () => {
  const server = await together(3);
  let accepted = 0;
  server.server.on('connection', () => accepted++);
  const agent = new Agent({ origins: { [server.url]: { maxIdleConnections: 1 } } });
  let connected = 0;
  agent.on('connect', () => connected++);
  const closed = new Promise<void>((resolve) => {
    let disconnects = 0;
    agent.on('disconnect', () => ++disconnects === 2 && resolve());
  });
  const ask = async () => {
    const { body } = await agent.request({ ...get(), origin: server.url });
    return body.text();
  };
  expect(await times(3, ask)).toEqual(['ok', 'ok', 'ok']);
  await closed;
  expect(agent.stats[server.url]).toMatchObject({ connected: 1, free: 1 });
  // The one that is kept is used, and two more are opened.
  expect(await times(3, ask)).toEqual(['ok', 'ok', 'ok']);
  expect([connected, accepted]).toEqual([5, 5]);
  await agent.close();
  await server.close();
});

it('maxIdleConnections: 0 keeps no connection, but lets what waits use it', async () => {
  for (const Dispatcher of [Client, Pool]) {
    const server = await together(1);
    const client = new Dispatcher(server.url, { maxIdleConnections: 0, connections: 1 });
    let connected = 0;
    client.on('connect', () => connected++);
    const gone = once(client, 'disconnect');
    const ask = async () => (await client.request(get())).body.text();
    expect(await times(2, ask)).toEqual(['ok', 'ok']);
    await gone;
    expect(connected).toBe(1);
    expect(await ask()).toBe('ok');
    expect(connected).toBe(2);
    await client.close();
    await server.close();
  }
});

it('balancing classes of the peer work over our pools and clients', async () => {
  const balanced = new BalancedPool(origin.url);
  expect((balanced as any).getUpstream(origin.url)).toBeInstanceOf(Pool);
  const robin = new RoundRobinPool(origin.url, { connections: 2 });
  const clients: unknown[] = [];
  robin.on('connect', (_origin, targets) => clients.push(targets.at(-1)));
  for (const dispatcher of [balanced, robin]) {
    expect(await (await dispatcher.request(get('/b'))).body.text()).toBe('/b');
  }
  expect(clients[0]).toBeInstanceOf(Client);
  await balanced.close();
  await robin.close();
});

it('proxies from the environment are ours, and plain requests go to them in absolute form', async () => {
  const env = new EnvHttpProxyAgent({ httpProxy: origin.url, noProxy: 'direct.invalid' });
  expect((env as any)[symbols.kNoProxyAgent]).toBeInstanceOf(Agent);
  expect((env as any)[symbols.kHttpProxyAgent]).toBeInstanceOf(ProxyAgent);
  const options = { ...get('/x'), origin: 'http://example.invalid', proxyTunnel: false };
  const proxy = new ProxyAgent({ uri: origin.url, proxyTunnel: false });
  const { body } = await proxy.request(options);
  expect(await body.text()).toBe('http://example.invalid/x');
  await proxy.close();
  await env.close();
});

it('an unreferenced client is collected once its connection has ended', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  let ended: Promise<unknown> | undefined;
  const reference = await (async () => {
    const client = new Client(origin.url, { pipelining: 0 });
    ended = new Promise<void>((resolve) => client.once('disconnect', () => resolve()));
    await (await client.request(get())).body.dump();
    return new WeakRef(client);
  })();
  await ended;
  while (reference.deref() !== undefined) {
    await new Promise((resolve) => setImmediate(resolve));
    gc();
  }
});

it('a response sent before the request is handled', async () => {
  hanging = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\r\n');
  });
  await once(hanging.listen(0, '127.0.0.1'), 'listening');
  const { port } = hanging.address() as { port: number };
  const client = new Client(`http://127.0.0.1:${port}`);
  expect(await (await client.request(get())).body.text()).toBe('hi');
  await client.destroy();
});

it('a reply to the last bytes of an upgraded connection is still sent, however late and large', async () => {
  const received: Buffer[] = [];
  let ended: () => void = () => {};
  const all = new Promise<void>((resolve) => (ended = resolve));
  const origin = await rawOrigin((socket) => {
    socket.allowHalfOpen = true;
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.end(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nquestion',
      );
      socket.on('data', (chunk: Buffer) => received.push(chunk));
      socket.on('end', () => {
        ended();
        socket.destroy();
      });
    });
  });
  const client = new Client(origin.url);
  const { socket } = await client.upgrade({ path: '/', protocol: 'x' });
  // The peer's end has reached this machine long before its last bytes are read.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  const answer = Buffer.alloc(1024 * 1024, 'answer');
  socket.once('data', (question: Buffer) => {
    expect(question.toString()).toBe('question');
    socket.write(answer);
    socket.write('!');
  });
  await all;
  expect(Buffer.concat(received).equals(Buffer.concat([answer, Buffer.from('!')]))).toBe(true);
  await client.destroy();
  await origin.close();
});
