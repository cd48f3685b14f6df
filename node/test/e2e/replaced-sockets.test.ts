// Node's functions for connecting are replaced and restored while our dispatchers are in use: every
// request goes where it would with undici, and ends there.
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo, Socket } from 'node:net';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import {
  Agent,
  BalancedPool,
  Client,
  counters,
  type Dispatcher,
  EnvHttpProxyAgent,
  H2CClient,
  Pool,
  ProxyAgent,
  request,
  RoundRobinPool,
  Socks5ProxyAgent,
} from '../../src/index';
import { inChild } from '../support/child';
import {
  ca,
  http2Origin,
  httpOrigin,
  httpsOrigin,
  type Origin,
  rawOrigin,
} from '../support/servers';
import { Cleanup } from '../support/wire';

const require = createRequire(import.meta.url);
const net = require('node:net') as typeof import('node:net');
const tls = require('node:tls') as typeof import('node:tls');
const http2 = require('node:http2') as typeof import('node:http2');
const http = require('node:http') as typeof import('node:http');

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let plain: Origin;
let secure: Origin;
let h2c: Origin;
let proxy: Origin;
let socks: Origin;
/** Responses of paths that hang. */
const hanging: ServerResponse[] = [];

const portOf = ({ server }: Origin) => (server.address() as AddressInfo).port;

/** Connects `socket` to the server on `port`, in both directions. */
function join(socket: Socket, port: number, ready: () => void): void {
  const target = net.connect(port, '127.0.0.1', ready);
  for (const one of [socket, target]) one.on('error', () => one.destroy());
  socket.pipe(target).pipe(socket);
}

/** SOCKS5 without a password: greeting, one request by name or address, then bytes. */
function serveSocks(socket: Socket): void {
  socket.once('data', () => {
    socket.write(Buffer.from([5, 0]));
    socket.once('data', (asked) => {
      socket.pause();
      join(socket, asked.readUInt16BE(asked.length - 2), () => {
        socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
        socket.resume();
      });
    });
  });
}

beforeAll(async () => {
  plain = await httpOrigin((incoming, response) => {
    if (incoming.url === '/hang') hanging.push(response.writeHead(200));
    else response.end(incoming.url);
    plain.server.emit('answered');
  });
  secure = await httpsOrigin((incoming, response) => response.end(incoming.url));
  h2c = await http2Origin(
    (stream, headers) => {
      stream.respond();
      stream.end(headers[':path']);
    },
    { plain: true },
  );
  proxy = await httpOrigin((incoming, response) => {
    const { port, pathname } = new URL(incoming.url as string);
    http.get({ port, path: pathname, agent: false }, (answer) => answer.pipe(response));
  });
  proxy.server.on('connect', (incoming: { url: string }, socket: Socket) => {
    join(socket, Number(new URL(`http://${incoming.url}`).port), () =>
      socket.write('HTTP/1.1 200 OK\r\n\r\n'),
    );
  });
  socks = await rawOrigin(serveSocks);
});
afterAll(() => Promise.all([plain, secure, h2c, proxy, socks].map((origin) => origin.close())));

type Holder = Record<string, unknown>;

/** Replaces `holder[name]` with `value` until it is restored, or the test ends. */
function replace(holder: object, name: string, value: (original: never) => unknown): () => void {
  const own = Object.getOwnPropertyDescriptor(holder, name);
  (holder as Holder)[name] = value((holder as Holder)[name] as never);
  const undo = (): void => {
    if (own === undefined) Reflect.deleteProperty(holder, name);
    else Object.defineProperty(holder, name, own);
  };
  cleanup.add(undo);
  return undo;
}

/** Hooks in where socket mocks do, and records the ports. */
function listen(): { readonly ports: number[]; stop: () => void } {
  const ports: number[] = [];
  const stop = replace(
    net.Socket.prototype,
    'connect',
    (connect: (...args: unknown[]) => unknown) =>
      function connectAndTell(this: unknown, ...args: unknown[]) {
        const [given] = (Array.isArray(args[0]) ? args[0] : args) as { port?: unknown }[];
        ports.push(Number(given?.port ?? given));
        return connect.apply(this, args);
      },
  );
  return { ports, stop };
}

/** The text at `url`, and which implementation fetched it. */
async function get(dispatcher: Dispatcher, url: string): Promise<readonly [string, string]> {
  const { submissions } = counters();
  const { body } = await request(url, { dispatcher });
  const text = await body.text();
  return [counters().submissions > submissions ? 'engine' : 'peer', text];
}

function opened<T extends Dispatcher>(dispatcher: T): T {
  cleanup.add(() => dispatcher.destroy());
  return dispatcher;
}

interface Way {
  readonly make: () => Dispatcher;
  readonly target: () => Origin;
  /** The port connected to, if not the target's. */
  readonly first?: () => Origin;
}

const WAYS: Record<string, Way> = {
  Client: { make: () => new Client(plain.url), target: () => plain },
  Pool: { make: () => new Pool(plain.url), target: () => plain },
  BalancedPool: { make: () => new BalancedPool(plain.url), target: () => plain },
  RoundRobinPool: { make: () => new RoundRobinPool(plain.url), target: () => plain },
  Agent: { make: () => new Agent(), target: () => plain },
  'Agent over TLS': { make: () => new Agent({ connect: { ca } }), target: () => secure },
  'Agent with origins': {
    make: () => new Agent({ origins: { localhost: { connect: { ca } } } }),
    target: () => secure,
  },
  H2CClient: { make: () => new H2CClient(h2c.url), target: () => h2c },
  'ProxyAgent that forwards': {
    make: () => new ProxyAgent({ uri: proxy.url, proxyTunnel: false }),
    target: () => plain,
    first: () => proxy,
  },
  'ProxyAgent with a tunnel': {
    make: () => new ProxyAgent({ uri: proxy.url, proxyTunnel: true }),
    target: () => plain,
    first: () => proxy,
  },
  'ProxyAgent with TLS in a tunnel': {
    make: () => new ProxyAgent({ uri: proxy.url, requestTls: { ca } }),
    target: () => secure,
    first: () => proxy,
  },
  Socks5ProxyAgent: {
    make: () => new Socks5ProxyAgent(socks.url.replace('http:', 'socks5:')),
    target: () => plain,
    first: () => socks,
  },
  EnvHttpProxyAgent: {
    make: () => new EnvHttpProxyAgent({ httpProxy: proxy.url }),
    target: () => plain,
    first: () => proxy,
  },
};

describe.each(Object.keys(WAYS))('a %s', (name) => {
  const { make, target, first = target } = WAYS[name] as Way;

  it('connects for as long as the replacement is in place', async () => {
    const dispatcher = opened(make());
    const url = target().url;
    for (let round = 0; round < 2; round++) {
      expect(await get(dispatcher, `${url}/before`)).toEqual(['engine', '/before']);
      const { ports, stop } = listen();
      expect(await get(dispatcher, `${url}/during`)).toEqual(['peer', '/during']);
      expect(ports).toContain(portOf(first()));
      stop();
    }
    expect(await get(dispatcher, `${url}/after`)).toEqual(['engine', '/after']);
  });

  it('created meanwhile uses the engine afterwards', async () => {
    const { ports, stop } = listen();
    const dispatcher = opened(make());
    expect(await get(dispatcher, `${target().url}/during`)).toEqual(['peer', '/during']);
    expect(ports).toContain(portOf(first()));
    stop();
    expect(await get(dispatcher, `${target().url}/after`)).toEqual(['engine', '/after']);
  });
});

describe('a replacement of', () => {
  const call = (original: (...args: unknown[]) => unknown) =>
    function replaced(this: unknown, ...args: unknown[]) {
      return original.apply(this, args);
    };
  const disguise = (Original: object) => new Proxy(Original, {});
  const places: [string, object, string, (original: never) => unknown][] = [
    ['net.connect', net, 'connect', call],
    ['net.createConnection', net, 'createConnection', call],
    ['net.Socket', net, 'Socket', disguise],
    ['net.Socket.prototype.connect', net.Socket.prototype, 'connect', call],
    ['tls.connect', tls, 'connect', call],
    ['tls.TLSSocket', tls, 'TLSSocket', disguise],
    ['tls.TLSSocket.prototype.connect', tls.TLSSocket.prototype, 'connect', call],
    ['tls.createSecureContext', tls, 'createSecureContext', call],
    ['tls.checkServerIdentity', tls, 'checkServerIdentity', call],
    ['http2.connect', http2, 'connect', call],
  ];
  it.each(places)('%s is not bypassed', async (_place, holder, name, value) => {
    const agent = opened(new Agent({ connect: { ca } }));
    const undo = replace(holder, name, value);
    expect(await get(agent, `${secure.url}/during`)).toEqual(['peer', '/during']);
    undo();
    expect(await get(agent, `${secure.url}/after`)).toEqual(['engine', '/after']);
  });

  it('a function that looks like Node’s own, bound or behind a Proxy, is detected', async () => {
    const agent = opened(new Agent());
    const bind = (original: (...args: unknown[]) => unknown) => original.bind(net);
    for (const value of [bind, disguise]) {
      const undo = replace(net, 'connect', value);
      expect(await get(agent, `${plain.url}/during`)).toEqual(['peer', '/during']);
      undo();
    }
  });
});

describe('requests in flight', () => {
  /** One that hangs until its response is ended. */
  async function hang(dispatcher: Dispatcher) {
    const asked = once(plain.server, 'answered');
    const response = request(`${plain.url}/hang`, { dispatcher });
    const settled = response.then(({ body }) => body.text());
    settled.catch(() => {});
    await asked;
    const answer = hanging.pop() as ServerResponse;
    return { settled, answer, socket: answer.socket as Socket };
  }

  it.each(['Client', 'Pool', 'Agent'])('of a %s end where they started', async (name) => {
    const dispatcher = opened(WAYS[name]!.make());
    const engines = await hang(dispatcher);
    const { stop } = listen();
    const peers = await hang(dispatcher);
    stop();
    // The client's only connection is busy.
    if (name !== 'Client') {
      expect(await get(dispatcher, `${plain.url}/more`)).toEqual(['engine', '/more']);
    }
    peers.answer.end('of the peer');
    engines.answer.end('of the engine');
    expect(await peers.settled).toBe('of the peer');
    expect(await engines.settled).toBe('of the engine');
  });

  it('are awaited by close(), and their connections are closed', async () => {
    const pool = new Pool(plain.url);
    const engines = await hang(pool);
    const { stop } = listen();
    const peers = await hang(pool);
    stop();
    expect(pool.stats).toMatchObject({ connected: 2, running: 2 });
    let isClosed = false;
    const closed = pool.close().then(() => (isClosed = true));
    const gone = Promise.all([once(peers.socket, 'close'), once(engines.socket, 'close')]);
    engines.answer.end();
    await engines.settled;
    expect(isClosed).toBe(false);
    peers.answer.end();
    await peers.settled;
    await closed;
    await gone;
  });

  it('fail with the error of destroy(), whichever implementation serves them', async () => {
    const pool = new Pool(plain.url);
    const engines = await hang(pool);
    const { stop } = listen();
    const peers = await hang(pool);
    stop();
    await get(pool, `${plain.url}/other`);
    const enough = new Error('enough');
    await pool.destroy(enough);
    await expect(engines.settled).rejects.toBe(enough);
    await expect(peers.settled).rejects.toBe(enough);
  });

  it('leave no connection that the next replacement would not see', async () => {
    const agent = opened(new Agent());
    const first = listen();
    await get(agent, `${plain.url}/first`);
    const second = listen();
    await get(agent, `${plain.url}/second`);
    expect([first.ports.length, second.ports.length]).toEqual([2, 1]);
    second.stop();
    await get(agent, `${plain.url}/first`);
    expect([first.ports.length, second.ports.length]).toEqual([3, 1]);
  });

  it('the engine’s connection waits until its requests have ended', async () => {
    const agent = opened(new Agent());
    const accepted: Socket[] = [];
    plain.server.on('connection', (socket: Socket) => accepted.push(socket));
    await get(agent, `${plain.url}/engine`);
    const { stop } = listen();
    await get(agent, `${plain.url}/peer`);
    const [, ofPeer] = accepted as [Socket, Socket];
    const gone = once(ofPeer, 'close');
    stop();
    await get(agent, `${plain.url}/engine`);
    await gone;
    expect(accepted).toHaveLength(2);
  });
});

it('nothing reveals how Node’s own functions are recognized', async () => {
  const warnings = await inChild(
    `const warnings = [];
     process.on('warning', ({ message }) => warnings.push(message));
     await dodici.request(values.url);
     await new Promise((resolve) => setImmediate(resolve));
     return [warnings, 'noDeprecation' in process];`,
    { flags: ['--pending-deprecation'], values: { url: `${plain.url}/quiet` } },
  );
  expect(warnings).toEqual([[], false]);
});
