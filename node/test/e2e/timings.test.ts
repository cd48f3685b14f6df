// When the parts of a request happen: the option `timings`, `controller.timings`, the diagnostics
// channel, and the entries of fetch. Times are compared with one another, and with times that the test
// took where one must have happened before the other.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import * as net from 'node:net';
import { performance, PerformanceObserver } from 'node:perf_hooks';

import * as peer from 'undici';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import {
  Agent,
  Client,
  type ConnectInfo,
  Dispatcher,
  fetch,
  interceptors,
  MockAgent,
  Pool,
  ProxyAgent,
  request,
  type RequestTimings,
  type TimedController,
  type TimingsMessage,
} from '../../src/index';
import { inChild } from '../support/child';
import {
  http2Origin,
  httpOrigin,
  httpsOrigin,
  type Origin,
  rawOrigin,
  unixOrigin,
} from '../support/servers';
import { connectProxy, socksProxy } from '../support/tunnels';
import { Cleanup } from '../support/wire';

const TIMINGS = 'dodici:request:timings';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function served(origin: Promise<Origin>): Promise<Origin> {
  const opened = await origin;
  cleanup.add(() => opened.close());
  return opened;
}

function using<D extends { destroy(): unknown }>(dispatcher: D): D {
  cleanup.add(() => dispatcher.destroy());
  return dispatcher;
}

/** The times of connecting, in order. */
function timesOf({ timings }: ConnectInfo): number[] {
  const { start, dns = 0, tcp = 0, proxy = 0, tls = 0, total } = timings;
  const ends = [dns, dns + tcp, dns + tcp + proxy, dns + tcp + proxy + tls, total];
  return [start, ...ends.map((end) => start + end)];
}

/** All of its times must be there, in order, between the start of the test and now. */
function expectOrder(timings: RequestTimings, began = 0): void {
  const { start, assigned, headSent, bodySent, firstByte, end, connection, isNew } = timings;
  const times = [start, assigned, headSent, bodySent, firstByte, end, performance.now()];
  expect(times.every((time) => typeof time === 'number' && time > began)).toBe(true);
  expect(times).toEqual([...times].sort((a, b) => a! - b!));
  const connecting = [...timesOf(connection!), assigned!];
  expect(connecting).toEqual([...connecting].sort((a, b) => a - b));
  if (isNew !== true) expect(connecting.at(-2)!).toBeLessThan(assigned!);
}

/** Sends a request and reads the response to its end. */
async function timingsOf(
  url: string,
  options: NonNullable<Parameters<typeof request>[1]>,
): Promise<RequestTimings> {
  const collected: RequestTimings[] = [];
  const timings = (each: RequestTimings): unknown => collected.push(each);
  const { body } = await request(url, { ...options, timings } as never);
  await body.dump();
  await vi.waitUntil(() => collected.length > 0);
  expect(collected).toHaveLength(1);
  return collected[0]!;
}

/** `controller.timings` at the head, at the end. */
function dispatched(
  dispatcher: Dispatcher,
  origin: string,
  options = {},
): Promise<(RequestTimings | null)[]> {
  const seen: (RequestTimings | null)[] = [];
  return new Promise((resolve, reject) => {
    dispatcher.dispatch(
      { path: '/', method: 'GET', origin, ...options },
      {
        onRequestStart: () => {},
        onResponseStart(controller) {
          const { timings } = controller as TimedController;
          seen.push(timings && { ...timings });
        },
        onResponseData: () => {},
        onResponseEnd(controller) {
          seen.push((controller as TimedController).timings);
          resolve(seen);
        },
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}

/** A `PerformanceResourceTiming`; Node's types have not all of it. */
type Entry = { readonly name: string; readonly nextHopProtocol: string | undefined } & Readonly<
  Record<
    (typeof ENTRY_TIMES)[number] | 'redirectStart' | 'redirectEnd' | 'secureConnectionStart',
    number
  >
>;

const ENTRY_TIMES = [
  ...(['startTime', 'fetchStart', 'domainLookupStart', 'domainLookupEnd'] as const),
  ...(['connectStart', 'connectEnd', 'requestStart', 'responseStart', 'responseEnd'] as const),
] as const;

/** Holds the response to `/held` until `release`; `arrived` resolves when the request is there. */
class Gate {
  arrived!: Promise<void>;
  #arrive!: () => void;
  #response: ServerResponse | null = null;

  constructor() {
    this.reset();
  }

  reset(): void {
    this.arrived = new Promise((resolve) => (this.#arrive = resolve));
  }

  hold(response: ServerResponse): void {
    this.#response = response;
    this.#arrive();
  }

  /** Responds. Returns a time before that. */
  release(): number {
    const before = performance.now();
    this.#response?.end('held');
    return before;
  }
}

describe('timings of a request', () => {
  const answer = (_request: unknown, response: ServerResponse) => void response.end('ok');
  const origins = {
    'HTTP/1.1': () => httpOrigin(answer),
    TLS: () => httpsOrigin(answer),
    'HTTP/2': () =>
      http2Origin((stream) => {
        stream.respond({ ':status': 200 });
        stream.end('ok');
      }),
    'a unix socket': () => unixOrigin(answer),
  };

  it.each(Object.entries(origins))('are in order, and complete: %s', async (kind, serve) => {
    const origin = await served(serve());
    const pool = using(new Pool(origin.url, { connections: 1, allowH2: true, ...origin.options }));
    const connects: (ConnectInfo | undefined)[] = [];
    pool.on('connect', (_origin, _targets, info) => connects.push(info));
    const began = performance.now();
    const each: RequestTimings[] = [];
    for (let i = 0; i < 3; i++) each.push(await timingsOf(origin.url, { dispatcher: pool }));
    for (const timings of each) expectOrder(timings, began);
    expect(each.map(({ isNew }) => isNew)).toEqual([true, false, false]);
    for (const { connection } of each) expect(connection).toBe(connects[0]);

    const { id, protocol, remotePort, localPort, timings } = connects[0]!;
    const [status] = await pool.connections();
    expect([id, protocol]).toEqual([status?.id, kind === 'HTTP/2' ? 'h2' : 'h1']);
    const isUnix = kind === 'a unix socket';
    const { port } = isUnix ? { port: undefined } : (origin.server.address() as net.AddressInfo);
    expect(remotePort).toBe(port);
    expect(typeof localPort).toBe(isUnix ? 'undefined' : 'number');
    const isTls = kind !== 'HTTP/1.1' && !isUnix;
    expect([typeof timings.dns, typeof timings.tcp, typeof timings.tls]).toEqual([
      isUnix ? 'undefined' : 'number',
      'number',
      isTls ? 'number' : 'undefined',
    ]);
  });

  it('show in the first byte how long the server took', async () => {
    const gate = new Gate();
    const origin = await served(
      httpOrigin((incoming, response) => {
        if (incoming.url === '/held') gate.hold(response);
        else response.end();
      }),
    );
    const pool = using(new Pool(origin.url));
    const held = timingsOf(`${origin.url}/held`, { dispatcher: pool });
    await gate.arrived;
    // The thread that has sent the one request serves another one, so it has noted the former's times.
    await timingsOf(origin.url, { dispatcher: pool });
    const released = gate.release();
    const timings = await held;
    expectOrder(timings);
    expect(timings.bodySent).toBeLessThan(released);
    expect(timings.firstByte).toBeGreaterThan(released);
  });

  it('show the first byte, not the end of the head', async () => {
    let other = '';
    let between = 0;
    const HEAD = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
    const answerInTwo = async (socket: net.Socket): Promise<void> => {
      socket.write(HEAD.slice(0, 12));
      // The thread that has read these bytes serves another request before the rest is sent.
      await timingsOf(`${other}/`, { dispatcher: pool });
      between = performance.now();
      socket.write(HEAD.slice(12));
    };
    const origin = await served(
      rawOrigin((socket) => {
        socket.on('data', (chunk) => {
          const head = String(chunk);
          if (head.startsWith('POST')) void answerInTwo(socket);
          else if (head.startsWith('GET')) socket.write(HEAD);
        });
      }),
    );
    other = origin.url;
    const pool = using(new Pool(origin.url));
    const streamed = (async function* () {
      yield 'streamed';
    })();
    for (const body of ['in memory', streamed]) {
      const given = { dispatcher: pool, method: 'POST', body } as never;
      const timings = await timingsOf(origin.url, given);
      expectOrder(timings);
      expect(timings.firstByte).toBeLessThan(between);
    }
  });

  it('show in `dns` how long a lookup took', async () => {
    const origin = await served(httpOrigin(answer));
    let [asked, answered] = [0, 0];
    const lookup = (_name: string, _options: object, done: (...found: unknown[]) => void) => {
      asked = performance.now();
      setTimeout(() => {
        answered = performance.now();
        done(null, [{ address: '127.0.0.1', family: 4 }]);
      }, 20);
    };
    const client = using(new Client(origin.url, { connect: { lookup: lookup as never } }));
    const timings = await timingsOf(origin.url, { dispatcher: client });
    expectOrder(timings);
    const { start, dns } = timings.connection!.timings;
    expect(start).toBeLessThan(asked);
    expect(start + dns!).toBeGreaterThan(answered);
    expect(timings.start).toBeLessThan(start);
  });

  it.each([
    ['CONNECT', 'http', connectProxy],
    ['SOCKS', 'socks5', socksProxy],
  ])('have the leg through a proxy: %s', async (_kind, scheme, open) => {
    const origin = await served(httpsOrigin(answer));
    const proxy = await open();
    cleanup.add(() => proxy.close());
    const agent = using(
      new ProxyAgent({
        uri: `${scheme}://127.0.0.1:${proxy.port}`,
        requestTls: (origin.options as { connect: object }).connect,
        timings: true,
      }),
    );
    const [, byOption] = await dispatched(agent, origin.url);
    expectOrder(byOption!);
    const timings = await timingsOf(origin.url, { dispatcher: agent });
    expectOrder(timings);
    const { remotePort, timings: legs } = timings.connection!;
    expect(remotePort).toBe(proxy.port);
    expect([typeof legs.proxy, typeof legs.tls]).toEqual(['number', 'number']);
  });

  it('of a queued request begin before it has a connection', async () => {
    const gate = new Gate();
    const origin = await served(
      httpOrigin((incoming, response) => {
        if (incoming.url === '/held') gate.hold(response);
        else response.end();
      }),
    );
    // A client holds requests back in JavaScript, a pool in the engine.
    for (const dispatcher of [new Client(origin.url), new Pool(origin.url, { connections: 1 })]) {
      using(dispatcher);
      gate.reset();
      const held = timingsOf(`${origin.url}/held`, { dispatcher });
      await gate.arrived;
      const waiting = timingsOf(origin.url, { dispatcher });
      const released = gate.release();
      const [first, second] = await Promise.all([held, waiting]);
      expectOrder(second);
      expect(second.start).toBeLessThan(released);
      expect(second.assigned).toBeGreaterThan(first.firstByte!);
      expect(second.isNew).toBe(false);
    }
  });

  it('of pipelined requests have the first byte in the order of the responses', async () => {
    const origin = await served(httpOrigin(answer));
    const client = using(new Client(origin.url, { pipelining: 4 }));
    const all = await Promise.all(
      [1, 2, 3, 4].map(() => timingsOf(origin.url, { dispatcher: client, blocking: false })),
    );
    for (const timings of all) expectOrder(timings);
    expect(all.filter(({ isNew }) => isNew)).toHaveLength(1);
    const firstBytes = all.map(({ firstByte }) => firstByte!);
    expect(firstBytes).toEqual([...firstBytes].sort((a, b) => a - b));
  });

  it('are those of each request of an interceptor', async () => {
    let failures = 0;
    const origin = await served(
      httpOrigin((incoming, response) => {
        if (incoming.url === '/redirect') response.writeHead(302, { location: '/' }).end();
        else if (incoming.url === '/retry' && failures++ === 0) response.writeHead(503).end();
        else response.end();
      }),
    );
    for (const [path, interceptor] of [
      ['/redirect', interceptors.redirect({ maxRedirections: 1 })],
      ['/retry', interceptors.retry({ minTimeout: 1 })],
    ] as const) {
      const dispatcher = using(new Agent()).compose(interceptor);
      const collected: RequestTimings[] = [];
      const timings = (each: RequestTimings): unknown => collected.push(each);
      const { body } = await request(origin.url + path, { dispatcher, timings } as never);
      await body.dump();
      await vi.waitUntil(() => collected.length === 2);
      for (const each of collected) expectOrder(each);
      expect(collected[1]!.start).toBeGreaterThan(collected[0]!.firstByte!);
      expect(collected.map(({ isNew }) => isNew)).toEqual([true, false]);
    }
  });

  it('of a streamed body have its end after its head', async () => {
    const origin = await served(
      httpOrigin((incoming, response) => void incoming.resume().on('end', () => response.end())),
    );
    const pool = using(new Pool(origin.url));
    let between = 0;
    const body = (async function* () {
      yield 'one';
      // The head has gone, or the source would not be asked for more than its first chunk so soon.
      await timingsOf(origin.url, { dispatcher: pool });
      between = performance.now();
      yield 'two';
    })();
    const timings = await timingsOf(origin.url, {
      dispatcher: pool,
      method: 'POST',
      body,
    } as never);
    expectOrder(timings);
    expect(timings.bodySent).toBeGreaterThan(between);
  });

  it('of an aborted request say how far it came', async () => {
    const gate = new Gate();
    const origin = await served(
      httpOrigin((incoming, response) => {
        if (incoming.url === '/held') gate.hold(response);
        else if (incoming.url === '/body') response.writeHead(200).write('part');
        else response.end();
      }),
    );
    type Sent = ReturnType<typeof request>;
    const aborted = async (
      dispatcher: Dispatcher,
      path: string,
      when: (sent: Sent) => unknown,
    ): Promise<RequestTimings> => {
      const aborting = new AbortController();
      let sent: Sent | undefined;
      const over = new Promise<RequestTimings>((timings) => {
        const { signal } = aborting;
        sent = request(origin.url + path, { dispatcher, signal, timings } as never);
      });
      const failed = sent!.then(({ body }) => body.text()).catch(() => 'failed');
      await when(sent!);
      const before = performance.now();
      aborting.abort();
      expect(await failed).toBe('failed');
      const timings = await over;
      expect(timings.end).toBeGreaterThan(before);
      return timings;
    };
    const nothing = { headSent: null, bodySent: null, firstByte: null };

    for (const dispatcher of [new Client(origin.url), new Pool(origin.url, { connections: 1 })]) {
      using(dispatcher);
      gate.reset();
      const held = timingsOf(`${origin.url}/held`, { dispatcher });
      await gate.arrived;
      const queued = await aborted(dispatcher, '/', () => {});
      expect(queued).toMatchObject({ assigned: null, connection: null, isNew: null, ...nothing });
      gate.release();
      expectOrder(await held);
    }

    const pool = using(new Pool(origin.url));
    gate.reset();
    const sent = await aborted(pool, '/held', async () => {
      await gate.arrived;
      await timingsOf(origin.url, { dispatcher: pool });
    });
    expect(sent).toMatchObject({ firstByte: null, isNew: true, connection: { protocol: 'h1' } });
    expect(sent.bodySent).toBeLessThan(sent.end!);

    expectOrder(await aborted(pool, '/body', (answered) => answered));
  });

  it('of a request that fails to connect have no connection', async () => {
    const server = net.createServer();
    const { port } = await new Promise<net.AddressInfo>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve(server.address() as net.AddressInfo)),
    );
    await new Promise((resolve) => server.close(resolve));
    const pool = using(new Pool(`http://127.0.0.1:${port}`));
    const over = new Promise<RequestTimings>((timings) => {
      const sent = pool.request({ path: '/', method: 'GET', timings });
      sent.catch(() => {});
    });
    const timings = await over;
    expect(timings).toMatchObject({ assigned: null, connection: null });
    expect(timings.end).toBeGreaterThan(timings.start);
  });

  it('end with an upgrade', async () => {
    const origin = await served(httpOrigin(answer));
    origin.server.on('upgrade', (_request, socket: net.Socket) => {
      socket.end('HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
    });
    const client = using(new Client(origin.url));
    const over = new Promise<RequestTimings>((timings) => {
      const upgraded = client.upgrade({ path: '/', protocol: 'x', timings } as never);
      void upgraded.then(({ socket }) => socket.destroy());
    });
    expectOrder(await over);
  });

  it('are on the scale of performance.now() in a worker, too', async () => {
    const origin = await served(httpOrigin(answer));
    const script = `
      const { performance } = require('node:perf_hooks');
      const { parentPort, workerData } = require('node:worker_threads');
      const { request } = require(workerData.dodici);
      const before = performance.now();
      let timings;
      request(workerData.url, { timings: (each) => (timings = each) })
        .then(({ body }) => body.dump())
        .then(() => {
          const { start, assigned, end } = timings;
          parentPort.postMessage([before, start, assigned, end, performance.now()]);
        });`;
    const times = (await inChild(
      `const { Worker } = require('node:worker_threads');
      const workerData = { ...values, dodici: require.resolve(values.dodici) };
      // A worker's clock starts with it: later than this one's.
      const worker = new Worker(values.script, { eval: true, workerData });
      return new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));`,
      { values: { url: origin.url, script, dodici: await builtPackage() } },
    )) as number[];
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });
});

const builtPackage = async () => (await import('../support/child')).built;

describe('who wants timings', () => {
  let origin: Origin;
  beforeEach(async () => {
    origin = await served(httpOrigin((_request, response) => void response.end('ok')));
  });

  it('is decided by the request, then by the dispatcher', async () => {
    const isTimed = async (agent: Agent, options = {}) =>
      (await dispatched(using(agent), origin.url, options)).map((timings) => timings !== null);
    expect(await isTimed(new Agent())).toEqual([false, false]);
    expect(await isTimed(new Agent(), { timings: true })).toEqual([true, true]);
    expect(await isTimed(new Agent({ timings: true }))).toEqual([true, true]);
    expect(await isTimed(new Agent({ timings: true }), { timings: null })).toEqual([true, true]);
    expect(await isTimed(new Agent({ timings: true }), { timings: false })).toEqual([false, false]);
    expect(await isTimed(new Agent({ timings: false }), { timings: true })).toEqual([true, true]);
    const byOrigin = { origins: { [origin.url]: { timings: true } } };
    expect(await isTimed(new Agent(byOrigin))).toEqual([true, true]);
  });

  it('finds on the controller what is known so far', async () => {
    const [atHead, atEnd] = await dispatched(using(new Agent({ timings: true })), origin.url);
    expect(atHead).toMatchObject({ isNew: true, end: null, firstByte: atEnd!.firstByte });
    expectOrder(atEnd!);
  });

  it('gets an error for anything else', async () => {
    for (const timings of ['yes', 1, {}]) {
      const text = 'timings must be a boolean or a function';
      await expect(request(origin.url, { timings } as never)).rejects.toThrow(text);
      expect(() => new Agent({ timings } as never)).toThrow('timings must be a boolean');
    }
  });

  it('gets them once, and its errors are not those of the request', async () => {
    const agent = using(new Agent());
    const errors: unknown[] = [];
    agent.on('error' as never, (error: unknown) => errors.push(error));
    const client = using(new Client(origin.url));
    client.on('error' as never, (error: unknown) => errors.push(error));
    const thrown = new Error('from timings');
    const timings = () => {
      throw thrown;
    };
    const { body } = await client.request({ path: '/', method: 'GET', timings });
    expect(await body.text()).toBe('ok');
    expect(errors).toEqual([thrown]);
  });

  it('may be a subscriber of the channel', async () => {
    const messages: TimingsMessage[] = [];
    const created: unknown[] = [];
    const listen = (message: unknown) => void messages.push(message as TimingsMessage);
    const create = ({ request }: any) => void created.push(request);
    const agent = using(new Agent());
    const get = async (path: string) =>
      (await request(origin.url + path, { dispatcher: agent })).body.dump();
    await get('/before');
    subscribe(TIMINGS, listen);
    subscribe('undici:request:create', create);
    cleanup.add(() => unsubscribe(TIMINGS, listen));
    cleanup.add(() => unsubscribe('undici:request:create', create));
    await get('/one');
    await (await fetch(`${origin.url}/two`, { dispatcher: agent })).text();
    unsubscribe(TIMINGS, listen);
    await get('/after');

    expect(messages.map(({ request }) => (request as { path: string }).path)).toEqual([
      '/one',
      '/two',
    ]);
    messages.forEach((message, at) => {
      expect(message.request).toBe(created[at]);
      expect(message).toMatchObject({ statusCode: 200, error: null });
      expectOrder(message.timings);
    });
  });

  it('is told of failures by the channel', async () => {
    origin.server.removeAllListeners('request');
    origin.server.on('request', (_request, response: ServerResponse) => response.destroy());
    const messages: TimingsMessage[] = [];
    const listen = (message: unknown) => void messages.push(message as TimingsMessage);
    subscribe(TIMINGS, listen);
    cleanup.add(() => unsubscribe(TIMINGS, listen));
    const failure = await request(origin.url, { dispatcher: using(new Agent()) }).catch(
      (error: unknown) => error,
    );
    expect(messages).toMatchObject([{ statusCode: null, timings: { isNew: true } }]);
    expect(messages[0]!.error).toBe(failure);
  });
});

describe('the `resource` entry of a fetch', () => {
  const entries: Entry[] = [];
  const observer = new PerformanceObserver((list) => {
    entries.push(...(list.getEntries() as unknown as Entry[]));
  });
  beforeEach(() => observer.observe({ entryTypes: ['resource'] }));
  afterEach(() => observer.disconnect());

  async function entryOf(url: string, fetching: () => Promise<unknown>) {
    await fetching();
    const found = () => entries.find(({ name }) => name === url);
    await vi.waitUntil(() => found() !== undefined);
    return found() as Entry;
  }

  const inOrder = (entry: Entry) => ENTRY_TIMES.map((name) => entry[name]);

  it.each([
    ['h2', true],
    ['http/1.1', true],
    ['http/1.1', false],
  ])('has the times of a new connection: %s, TLS: %s', async (protocol, isTls) => {
    const answer = (_request: unknown, response: ServerResponse) => void response.end('ok');
    const origin = await served(
      protocol === 'h2'
        ? http2Origin((stream) => {
            stream.respond({ ':status': 200 });
            stream.end('ok');
          })
        : isTls
          ? httpsOrigin(answer)
          : httpOrigin(answer),
    );
    const dispatcher = using(new Agent({ allowH2: protocol === 'h2', ...origin.options }));
    const get = (path: string) =>
      entryOf(origin.url + path, async () =>
        (await fetch(origin.url + path, { dispatcher })).text(),
      );

    const first = await get('/first');
    expect(first.nextHopProtocol).toBe(protocol);
    expect(inOrder(first)).toEqual([...inOrder(first)].sort((a, b) => a - b));
    expect(first.domainLookupStart).toBeGreaterThan(first.fetchStart);
    expect(first.connectEnd).toBeGreaterThan(first.connectStart);
    if (isTls) {
      expect(first.secureConnectionStart).toBeGreaterThan(first.connectStart);
      expect(first.secureConnectionStart).toBeLessThan(first.connectEnd);
    } else expect(first.secureConnectionStart).toBe(0);

    // As the standard says of a connection that is older than the fetch.
    const second = await get('/second');
    expect(second.nextHopProtocol).toBe(protocol);
    expect(inOrder(second)).toEqual([...inOrder(second)].sort((a, b) => a - b));
    const { fetchStart } = second;
    expect([
      second.domainLookupStart,
      second.domainLookupEnd,
      second.connectStart,
      second.connectEnd,
      second.secureConnectionStart,
    ]).toEqual([fetchStart, fetchStart, fetchStart, fetchStart, fetchStart]);
    expect(second.requestStart).toBeGreaterThan(fetchStart);
  });

  it('has those of the last request after redirects', async () => {
    const target = await served(httpOrigin((_request, response) => void response.end('ok')));
    const origin = await served(
      httpOrigin((_request, response) =>
        response.writeHead(302, { location: `${target.url}/` }).end(),
      ),
    );
    const dispatcher = using(new Agent());
    const entry = await entryOf(`${origin.url}/`, async () =>
      (await fetch(origin.url, { dispatcher })).text(),
    );
    const times = [entry.redirectStart, entry.redirectEnd, ...inOrder(entry).slice(1)];
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(entry.connectStart).toBeGreaterThan(entry.redirectEnd);
  });

  it('over compose() has them if the agent is told to time its requests', async () => {
    const origin = await served(httpOrigin((_request, response) => void response.end('ok')));
    const pass: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
      dispatch(options, handler);
    for (const timings of [true, undefined]) {
      const agent = using(new Agent({ ...(timings && { timings }) }));
      const dispatcher = agent.compose(pass, interceptors.redirect({ maxRedirections: 1 }));
      const path = `/composed-${timings}`;
      const messages: TimingsMessage[] = [];
      const listen = (message: unknown) => void messages.push(message as TimingsMessage);
      const entry = await entryOf(origin.url + path, async () =>
        (await fetch(origin.url + path, { dispatcher })).text(),
      );
      expect(entry.nextHopProtocol).toBe(timings && 'http/1.1');
      expect(entry.connectEnd > entry.fetchStart).toBe(timings === true);
      expect(inOrder(entry)).toEqual([...inOrder(entry)].sort((a, b) => a - b));
      // The channel has them in any case.
      subscribe(TIMINGS, listen);
      await (await fetch(origin.url, { dispatcher })).text();
      unsubscribe(TIMINGS, listen);
      expectOrder(messages[0]!.timings);
    }
  });

  it('over a MockAgent has none: undici’s own class serves what it lets through', async () => {
    const origin = await served(httpOrigin((_request, response) => void response.end('ok')));
    const mock = new MockAgent({ agent: using(new Agent({ timings: true })) });
    mock.get(origin.url).intercept({ path: '/mocked' }).reply(200, 'mock');
    for (const [path, text] of [
      ['/mocked', 'mock'],
      ['/through', 'ok'],
    ] as const) {
      const entry = await entryOf(origin.url + path, async () => {
        const response = await fetch(origin.url + path, { dispatcher: mock });
        expect(await response.text()).toBe(text);
      });
      expect(entry.nextHopProtocol).toBe(undefined);
      expect(entry.connectEnd).toBe(entry.fetchStart);
      const times = [entry.requestStart, entry.responseEnd];
      expect(times).toEqual([...times].sort((a, b) => a - b));
    }
  });

  it('shows no connection in undici, and here only with `timings: false`', async () => {
    const origin = await served(httpOrigin((_request, response) => void response.end('ok')));
    const ours = using(new Agent({ timings: false }));
    const theirs = using(new peer.Agent());
    for (const [path, call, dispatcher] of [
      ['/ours', fetch, ours],
      ['/theirs', peer.fetch, theirs],
    ] as const) {
      const entry = await entryOf(origin.url + path, async () =>
        (await call(origin.url + path, { dispatcher })).text(),
      );
      expect(entry.connectEnd).toBe(entry.fetchStart);
      expect(entry.nextHopProtocol).toBe(undefined);
    }
  });
});
