// Options and methods that undici does not have, on every class of dispatchers: each is at work, and
// none is ignored.
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import {
  Agent,
  BalancedPool,
  BodyRateError,
  Client,
  type ConnectionStatus,
  type Dispatcher,
  EnvHttpProxyAgent,
  interceptors,
  Pool,
  ProxyAgent,
  type RequestTimings,
  RetryAgent,
  RoundRobinPool,
  Socks5ProxyAgent,
  TotalTimeoutError,
} from '../../src/index';
import { peerMajor } from '../../src/undici/undici';
import { rawOrigin, type Origin } from '../support/servers';
import { connectProxy, socksProxy, type Tunnel } from '../support/tunnels';

/** Of every class. */
interface Own extends Dispatcher {
  connections(): Promise<ConnectionStatus[]>;
  preconnect(...given: unknown[]): Promise<number>;
}

interface Made {
  readonly make: (options?: object) => Dispatcher;
  /** `preconnect()` has no origin. */
  readonly isOfOne?: boolean;
  /** Its requests are forwarded, upgrades and CONNECT not. */
  readonly forwards?: true;
  /** Where its connections lead, if not to the origin. */
  readonly via?: () => Tunnel;
  /** Connections that `preconnect()` opens of two. */
  readonly ready?: number;
}

let origin: Origin;
let proxy: Tunnel;
let socks: Tunnel;

beforeAll(async () => {
  origin = await rawOrigin(serve);
  origin = { ...origin, url: origin.url.replace('localhost', '127.0.0.1') };
  [proxy, socks] = await Promise.all([connectProxy(), socksProxy()]);
});

afterAll(() => Promise.all([origin.close(), proxy.close(), socks.close()]));

/** `/silent`: nothing; `/slow`: a byte now and then; an upgrade and CONNECT: an echo; else an answer. */
function serve(socket: Socket): void {
  socket.on('error', () => {});
  socket.on('data', function listen(chunk: Buffer) {
    const [line = ''] = String(chunk).split('\r\n');
    if (line.includes('/silent')) return;
    if (line.startsWith('CONNECT') || /upgrade: x/i.test(String(chunk))) {
      socket.off('data', listen).pipe(socket);
      const head = line.startsWith('CONNECT')
        ? 'HTTP/1.1 200 OK\r\n\r\n'
        : 'HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n';
      socket.write(head);
    } else if (line.includes('/slow')) {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n');
      const timer = setInterval(() => socket.write('x'), 200);
      socket.on('close', () => clearInterval(timer));
    } else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  });
}

const http = (): string => `http://127.0.0.1:${proxy.port}`;
const redirect = interceptors.redirect({ maxRedirections: 1 });

const classes: Record<string, Made> = {
  Client: { make: (options) => new Client(origin.url, options), isOfOne: true, ready: 1 },
  Pool: { make: (options) => new Pool(origin.url, options), isOfOne: true },
  Agent: { make: (options) => new Agent(options) },
  'Agent, by origin': {
    make: (options = {}) => new Agent({ origins: { [origin.url]: options } }),
  },
  BalancedPool: { make: (options) => new BalancedPool(origin.url, options), isOfOne: true },
  RoundRobinPool: { make: (options) => new RoundRobinPool(origin.url, options), isOfOne: true },
  'ProxyAgent, tunnel': {
    via: () => proxy,
    make: (options) => new ProxyAgent({ uri: http(), proxyTunnel: true, ...options }),
  },
  'ProxyAgent, forwarding': {
    via: () => proxy,
    forwards: true,
    make: (options) => new ProxyAgent({ uri: http(), proxyTunnel: false, ...options }),
  },
  'ProxyAgent, SOCKS': {
    via: () => socks,
    make: (options) => new ProxyAgent({ uri: `socks5://127.0.0.1:${socks.port}`, ...options }),
  },
  Socks5ProxyAgent: {
    via: () => socks,
    make: (options) => new Socks5ProxyAgent(`socks5://127.0.0.1:${socks.port}`, options),
  },
  'EnvHttpProxyAgent, proxy': {
    via: () => proxy,
    forwards: true,
    make: (options) => new EnvHttpProxyAgent({ httpProxy: http(), noProxy: '', ...options }),
  },
  'EnvHttpProxyAgent, direct': {
    make: (options) =>
      new EnvHttpProxyAgent({ httpProxy: http(), noProxy: 'localhost,127.0.0.1', ...options }),
  },
  'EnvHttpProxyAgent, direct by network': {
    make: (options) =>
      new EnvHttpProxyAgent({ httpProxy: http(), noProxy: '127.0.0.0/8', ...options }),
  },
  'RetryAgent of an Agent': { make: (options) => new RetryAgent(new Agent(options)) },
  'RetryAgent of a Pool': {
    make: (options) => new RetryAgent(new Pool(origin.url, options)),
    isOfOne: true,
  },
  'composed Agent': { make: (options) => new Agent(options).compose(redirect) },
  'composed EnvHttpProxyAgent': {
    via: () => proxy,
    forwards: true,
    make: (options) =>
      new EnvHttpProxyAgent({ httpProxy: http(), noProxy: '', ...options }).compose(redirect),
  },
  'composed RetryAgent': {
    make: (options) => new RetryAgent(new Agent(options)).compose(redirect),
  },
};
const each = Object.entries(classes);

const open: Dispatcher[] = [];
afterEach(() => Promise.all(open.splice(0).map((one) => one.destroy())));

function made({ make }: Made, options: object = {}): Own {
  const dispatcher = make(options) as Own;
  open.push(dispatcher);
  return dispatcher;
}

const get = (path = '/') => ({ origin: origin.url, path, method: 'GET' }) as const;

describe.each(each)('%s', (name, of) => {
  const preconnect = (dispatcher: Own, count?: unknown): Promise<number> =>
    of.isOfOne ? dispatcher.preconnect(count) : dispatcher.preconnect(origin.url, count);

  it('preconnect() opens connections, which connections() shows and requests use', async () => {
    const dispatcher = made(of);
    const ready = of.ready ?? 2;
    expect(await preconnect(dispatcher, 2)).toBe(ready);
    const opened = await dispatcher.connections();
    const remotePort = of.via?.().port ?? Number(new URL(origin.url).port);
    expect(opened).toMatchObject(Array(ready).fill({ activity: 'idle', remotePort }));
    const { body } = await dispatcher.request(get());
    expect(await body.text()).toBe('ok');
    const used = await dispatcher.connections();
    expect(used.map(({ id }) => id).sort()).toEqual(opened.map(({ id }) => id).sort());
    expect(used.map(({ requests }) => requests).sort()).toEqual([0, 1].slice(-ready));
  });

  it('preconnect() checks its count, and rejects when it is closed', async () => {
    const dispatcher = made(of);
    for (const count of [0, 1.5, NaN, '2']) {
      await expect(preconnect(dispatcher, count)).rejects.toMatchObject({
        code: 'UND_ERR_INVALID_ARG',
      });
    }
    await dispatcher.close();
    await expect(preconnect(dispatcher, 1)).rejects.toMatchObject({
      code: expect.stringMatching(/^UND_ERR_(CLOSED|DESTROYED)$/),
    });
    expect(await dispatcher.connections()).toEqual([]);
  });

  const kinds = of.forwards ? ['a request'] : ['a request', 'an upgrade', 'CONNECT'];
  it.each(kinds)('%s is timed', async (kind) => {
    const dispatcher = made(of);
    const collected: RequestTimings[] = [];
    const timings = (one: RequestTimings): unknown => collected.push(one);
    const given = { ...get(), timings } as never;
    if (kind === 'a request') await (await dispatcher.request(given)).body.dump();
    else {
      const { socket }: { socket: Duplex } =
        kind === 'an upgrade'
          ? await dispatcher.upgrade({ ...get(), timings, protocol: 'x' } as never)
          : await dispatcher.connect({ origin: origin.url, path: 'a.test:80', timings } as never);
      socket.on('error', () => {});
      socket.destroy();
    }
    await vi.waitUntil(() => collected.length > 0);
    const [{ start, assigned, headSent, bodySent, firstByte, end, isNew, connection }] =
      collected as [RequestTimings];
    const times = [start, connection!.timings.start, assigned, headSent, bodySent, firstByte, end];
    expect(times.every((time) => typeof time === 'number')).toBe(true);
    expect(times).toEqual([...times].sort((a, b) => a! - b!));
    expect(isNew).toBe(true);
    expect(collected).toHaveLength(1);
  });

  // undici's RetryAgent passes on a controller of its own, undici 7 in every class of its own.
  const replaces = peerMajor === 7 ? /Retry|Balanced|RoundRobin|Env|composed/ : /Retry/;
  it.skipIf(replaces.test(name))('`timings: true` reaches the controller', async () => {
    const dispatcher = made(of, { timings: true });
    const timings = await new Promise((resolve, reject) => {
      dispatcher.dispatch(get(), {
        onRequestStart: () => {},
        onResponseStart: () => {},
        onResponseData: () => {},
        onResponseEnd: (controller) => resolve((controller as { timings?: unknown }).timings),
        onResponseError: (_controller, error) => reject(error),
      });
    });
    expect(timings).toMatchObject({ isNew: true, end: expect.any(Number) });
  });

  it('totalTimeout ends a request without an answer', async () => {
    const failed = made(of, { totalTimeout: 50 }).request(get('/silent'));
    await expect(failed).rejects.toBeInstanceOf(TotalTimeoutError);
  });

  it.each<[string, unknown[], RegExp]>([
    ['totalTimeout', [-1, 1.5, '1', {}], /totalTimeout must be a positive integer or zero/],
    ['minBodyRate', [-1, 1.5, '1', {}], /minBodyRate must be a positive integer or zero/],
    ['timings', ['yes', 1, {}, () => {}], /timings must be a boolean/],
    ['dns', [true, 'a', [], () => {}], /dns must be an object/],
    ['dns', [{ ttl: 0 }, { ttl: '1' }, { ttl: () => 1 }], /invalid dns\.ttl/],
    ['dns', [{ maxEntries: 0 }], /invalid dns\.maxEntries/],
    ['maxIdleConnections', [-1, 1.5, '1'], /maxIdleConnections must be a positive integer or zero/],
    ['connect', [{ allow: true }, { allow: 'private' }], /allow must be 'public'/],
  ])('refuses a bad value of %s when it is made', (option, values, message) => {
    for (const value of values) {
      expect(() => of.make({ [option]: value }), String(value)).toThrow(message);
      expect(() => of.make({ [option]: value })).toThrow(
        expect.objectContaining({ code: 'UND_ERR_INVALID_ARG' }),
      );
    }
  });

  it('connect.allow is asked, and a rule that throws refuses', async () => {
    const thrown = new Error('from the rule');
    const allow = (): boolean => {
      throw thrown;
    };
    const failed = made(of, { connect: { allow } }).request(get());
    await expect(failed).rejects.toMatchObject({
      code: 'ERR_DODICI_ADDRESS_NOT_ALLOWED',
      cause: thrown,
    });
  });
});

it('minBodyRate ends a body that arrives byte by byte, on every class', async () => {
  const failures = await Promise.all(
    each.map(async ([name, of]) => {
      // A retry would go on where the body ended.
      if (name.includes('RetryAgent')) return name;
      const { body } = await made(of, { minBodyRate: 1_000 }).request(get('/slow'));
      const failure = await body.text().catch((error: unknown) => error);
      return failure instanceof BodyRateError ? name : [name, failure];
    }),
  );
  expect(failures).toEqual(Object.keys(classes));
}, 60_000);
