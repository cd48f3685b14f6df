// S15: `connect.allow`. However an inward address is spelled, found or redirected to, and whichever class
// connects, nothing is sent to it.

import dns from 'node:dns';
import { once } from 'node:events';
import * as http from 'node:http';
import net, { type AddressInfo, type LookupFunction, type Socket } from 'node:net';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Agent as UndiciAgent, Pool as UndiciPool } from 'undici';

import {
  AddressNotAllowedError,
  Agent,
  BalancedPool,
  Client,
  type Dispatcher,
  EnvHttpProxyAgent,
  EventSource,
  fetch,
  H2CClient,
  interceptors,
  isPublicAddress,
  Pool,
  ProxyAgent,
  request,
  RetryAgent,
  RoundRobinPool,
  Socks5ProxyAgent,
  WebSocket,
} from '../../src/index';
import { unixOrigin } from '../support/servers';
import { connectProxy, socksProxy } from '../support/tunnels';
import { Cleanup } from '../support/wire';

const CODE = 'ERR_DODICI_ADDRESS_NOT_ALLOWED';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Listens on every address of this machine. */
let server: http.Server;
let port: number;
let accepted: number;

beforeAll(async () => {
  server = http.createServer((incoming, response) => {
    const location = `http://127.0.0.1:${port}/`;
    if (incoming.url === '/redirect') response.writeHead(302, { location });
    response.end(incoming.socket.localAddress);
  });
  server.on('connection', () => accepted++);
  await new Promise<void>((resolve) => server.listen(0, '::', resolve));
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => (accepted = 0));

/** Nobody has connected: a connection of our own is the first. */
async function nobodyConnected(): Promise<void> {
  const before = accepted;
  const own = net.connect(port, '127.0.0.1');
  cleanup.add(() => own.destroy());
  await once(server, 'connection');
  expect([before, accepted]).toEqual([0, 1]);
}

function agentWith(connect: object, more: object = {}): Agent {
  const agent = new Agent({ ...more, connect: { allow: 'public', ...connect } });
  cleanup.add(() => agent.destroy());
  return agent;
}

const get = (dispatcher: Dispatcher, url: string) =>
  request(url, { dispatcher }).then(({ body }) => body.text());

/** A lookup that gives these addresses, or one after the other. */
function lookupOf(...answers: (string | string[])[]): LookupFunction {
  let asked = 0;
  return (_name, options, done) => {
    const answer = [answers[Math.min(asked++, answers.length - 1)]!].flat();
    const all = answer.map((address) => ({ address, family: net.isIP(address) }));
    if (options.all) done(null, all);
    else done(null, all[0]!.address, all[0]!.family);
  };
}

/** Hosts of URLs that lead to this machine, or would. */
const SPELLINGS = [
  ...['127.0.0.1', '127.0.0.2', '127.255.255.254', '0.0.0.0', '0', '127.0.0.1.', 'localhost'],
  ...['2130706433', '0x7f000001', '017700000001', '0x7F.0x0.0x0.0x1', '0177.0.0.1', '127.1'],
  ...[
    '127.0.1',
    '0x7f.1',
    '0177.1',
    '127.0x0.0.01',
    '0x7f.0.0x1',
    '00000177.0.0.1',
    '127.0.0.0x1.',
  ],
  ...['%31%32%37.0.0.1', '127%2e0%2e0%2e1', '%30x7f.1', '%6c%6f%63alhost'],
  ...[
    '１２７.０.０.１',
    '127。0。0。1',
    '①②⑦.⓪.⓪.①',
    '127．0．0．1',
    'ｌｏｃａｌｈｏｓｔ',
    'ⓛocalhost',
  ],
  ...['LOCALHOST', 'localhost.', 'LocalHost.'],
  ...[
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[0000::0001]',
    '[::]',
    '[0::0]',
    '[::0.0.0.1]',
    '[::127.0.0.1]',
  ],
  ...['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:127.0.0.1]', '[::FFFF:7F00:1]'],
  ...['[::ffff:0.0.0.0]', '[::ffff:10.0.0.1]', '[::ffff:169.254.169.254]', '[::ffff:0:127.0.0.1]'],
  ...['[64:ff9b::127.0.0.1]', '[64:ff9b::7f00:1]', '[64:ff9b:1::7f00:1]', '[64:ff9b::a9fe:a9fe]'],
  ...['[2002:7f00:1::]', '[2002:7f00:1::1]', '[2002:a00:1::]', '[2001::ffff:80ff:fffe]'],
  ...['[2001:0:7f00:1::]', '[fe80::1]', '[fec0::1]', '[fc00::1]', '[fd12:3456::1]', '[ff02::1]'],
  ...['10.0.0.1', '172.16.0.1', '192.168.0.1', '169.254.169.254', '0xa9fea9fe', '2852039166'],
  ...['100.64.0.1', '198.18.0.1', '192.0.0.1', '192.0.2.1', '198.51.100.1', '203.0.113.1'],
  ...['224.0.0.1', '240.0.0.1', '255.255.255.255', '[2001:db8::1]', '[100::1]', '[3fff::1]'],
];

it('s15 no spelling of an inward address gets a packet', async () => {
  expect(new Set(SPELLINGS).size).toBe(SPELLINGS.length);
  expect(SPELLINGS.length).toBeGreaterThanOrEqual(60);
  const agent = agentWith({});
  for (const host of SPELLINGS) {
    const failure: unknown = await get(agent, `http://${host}:${port}/`).catch((e: unknown) => e);
    // Not every system knows it.
    const isUnknown = (failure as { code?: string }).code === 'ENOTFOUND';
    if (isUnknown && /^localhost\.$/i.test(host)) continue;
    expect(failure, host).toBeInstanceOf(AddressNotAllowedError);
    expect(failure, host).toMatchObject({
      name: 'AddressNotAllowedError',
      code: CODE,
      phase: 'connect',
    });
  }
  await nobodyConnected();
});

it('s15 without a rule, and with undici, they do', async () => {
  for (const host of ['127.0.0.1', '0x7f.1', '[::ffff:7f00:1]', '１２７.０.０.１', 'localhost']) {
    const undici = new UndiciAgent({ connect: { allow: 'public' } as object });
    cleanup.add(() => undici.destroy());
    for (const dispatcher of [undici as unknown as Dispatcher, agentWith({ allow: null })]) {
      accepted = 0;
      await get(dispatcher, `http://${host}:${port}/`);
      expect(accepted, host).toBe(1);
    }
  }
});

describe('s15 a name', () => {
  it('with an inward address among others: only the others are connected to', async () => {
    const seen: string[] = [];
    const agent = agentWith({
      lookup: lookupOf(['127.0.0.1', '::1%lo', '::ffff:127.0.0.1', '127.0.0.9']),
      allow: (address: string, host: string) => {
        seen.push(`${address} ${host}`);
        return address === '127.0.0.9';
      },
    });
    expect(await get(agent, `http://a.test:${port}/`)).toContain('127.0.0.9');
    expect(accepted).toBe(1);
    expect(new Set(seen)).toEqual(new Set(['127.0.0.1 a.test', '::1 a.test', '127.0.0.9 a.test']));
  });

  it('with inward addresses only: one error, with one for each', async () => {
    const agent = agentWith({ lookup: lookupOf(['127.0.0.1', 'fe80::1%lo', '10.0.0.1']) });
    const failure: unknown = await get(agent, `http://a.test:${port}/`).catch((e: unknown) => e);
    expect(failure).toBeInstanceOf(AddressNotAllowedError);
    const { errors } = failure as AddressNotAllowedError;
    expect(errors?.map((one) => (one as { address?: string }).address).toSorted()).toEqual([
      '10.0.0.1',
      '127.0.0.1',
      'fe80::1',
    ]);
    await nobodyConnected();
  });

  it('that changes between two lookups is judged each time', async () => {
    const options = { lookup: lookupOf('127.0.0.9', '127.0.0.1'), autoSelectFamily: false };
    const allow = (address: string): boolean => address === '127.0.0.9';
    const agent = agentWith({ ...options, allow }, { pipelining: 0 });
    expect(await get(agent, `http://a.test:${port}/`)).toContain('127.0.0.9');
    await expect(get(agent, `http://a.test:${port}/`)).rejects.toMatchObject({
      code: CODE,
      address: '127.0.0.1',
      hostname: 'a.test',
    });
    expect(accepted).toBe(1);
  });

  it('found by a replaced dns.lookup, or by the dns interceptor, is judged', async () => {
    const { lookup } = dns;
    dns.lookup = lookupOf('127.0.0.1') as never;
    try {
      await expect(get(agentWith({}), `http://a.test:${port}/`)).rejects.toMatchObject({
        code: CODE,
      });
    } finally {
      dns.lookup = lookup;
    }
    const asked = interceptors.dns({
      affinity: 4,
      dualStack: false,
      lookup: ((_name: unknown, _options: object, done: (e: null, found: object[]) => void) =>
        done(null, [{ address: '127.0.0.1', family: 4, ttl: 1_000 }])) as never,
    });
    const agent = agentWith({}).compose(asked);
    await expect(get(agent, `http://a.test:${port}/`)).rejects.toMatchObject({ code: CODE });
    await nobodyConnected();
  });
});

it('s15 a redirect to an inward address is not followed', async () => {
  const allow = (address: string): boolean => address === '127.0.0.9';
  const start = `http://127.0.0.9:${port}/redirect`;
  const agent = agentWith({ allow });
  const following = agent.compose(interceptors.redirect({ maxRedirections: 3 }));
  await expect(get(following, start)).rejects.toMatchObject({ code: CODE });
  const failure: unknown = await fetch(start, { dispatcher: agent }).catch((e: unknown) => e);
  expect(failure).toBeInstanceOf(TypeError);
  expect((failure as Error).cause).toBeInstanceOf(AddressNotAllowedError);
  // Both reached the first address only, over one connection.
  expect(accepted).toBe(1);
});

describe('s15 every way of connecting asks', () => {
  const connect = { allow: 'public' } as const;
  const url = (): string => `http://127.0.0.1:${port}`;

  it.each<[string, () => Dispatcher]>([
    ['Client', () => new Client(url(), { connect })],
    ['Pool', () => new Pool(url(), { connect })],
    ['H2CClient', () => new H2CClient(url(), { connect })],
    ['BalancedPool', () => new BalancedPool([url()], { connect })],
    ['RoundRobinPool', () => new RoundRobinPool(url(), { connect })],
    ['RetryAgent', () => new RetryAgent(new Agent({ connect }))],
    ['EnvHttpProxyAgent', () => new EnvHttpProxyAgent({ connect, noProxy: '*' })],
    ['an origin of an Agent', () => new Agent({ origins: { '*': { connect } } })],
    ['tls of a Client', () => new Client(url(), { tls: connect } as object)],
    [
      'undici’s class, for localPort',
      () => new Client(url(), { connect: { ...connect, localPort: -1 } }),
    ],
    [
      'undici’s class, for a factory',
      () =>
        new Pool(url(), {
          connect,
          factory: (o: URL, given: object) => new UndiciPool(o, given) as never,
        }),
    ],
  ])('%s', async (_name, make) => {
    const dispatcher = make();
    cleanup.add(() => dispatcher.destroy());
    await expect(get(dispatcher, url())).rejects.toMatchObject({ code: CODE });
    await nobodyConnected();
  });

  it('an upgrade, CONNECT, a WebSocket and an EventSource', async () => {
    const agent = agentWith({});
    const origin = url();
    const client = new Client(origin, { connect });
    cleanup.add(() => client.destroy());
    await expect(client.connect({ path: 'a.test:80' })).rejects.toMatchObject({ code: CODE });
    await expect(client.upgrade({ path: '/', protocol: 'x' })).rejects.toMatchObject({
      code: CODE,
    });
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { dispatcher: agent });
    await new Promise<void>((resolve) => socket.addEventListener('close', () => resolve()));
    const source = new EventSource(origin, { node: { dispatcher: agent } });
    await new Promise<void>((resolve) => source.addEventListener('error', () => resolve()));
    source.close();
    await nobodyConnected();
  });

  it('undici’s class, while Node’s functions are replaced', async () => {
    const { connect: nodes } = net;
    net.connect = ((...args: Parameters<typeof nodes>) => nodes(...args)) as typeof nodes;
    cleanup.add(() => {
      net.connect = nodes;
    });
    const agent = agentWith({ lookup: lookupOf(['127.0.0.1', '::1']) });
    for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]', '[::1]', 'a.test']) {
      await expect(get(agent, `http://${host}:${port}/`)).rejects.toMatchObject({ code: CODE });
    }
    const open = agentWith({
      lookup: lookupOf(['127.0.0.1', '127.0.0.9']),
      allow: (address: string) => address === '127.0.0.9',
    });
    expect(await get(open, `http://a.test:${port}/`)).toContain('127.0.0.9');
    expect(open.servedBy[`http://a.test:${port}`]).toMatchObject({ by: 'undici' });
    expect(accepted).toBe(1);
    const proxied = new ProxyAgent({ uri: url(), proxyTls: connect });
    cleanup.add(() => proxied.destroy());
    await expect(get(proxied, url())).rejects.toMatchObject({ code: CODE });
  });

  it('a Unix socket is refused, by undici’s class as well', async () => {
    const unix = await unixOrigin((_request, response) => response.end('reached'));
    cleanup.add(() => unix.close());
    const { socketPath } = unix.options as { socketPath: string };
    let connections = 0;
    unix.server.on('connection', () => connections++);
    const open = () => true;
    for (const options of [
      { socketPath, connect: { allow: open } },
      { connect: { socketPath, allow: open } },
      { connect: { path: socketPath, allow: 'public' as const } },
      { socketPath, connect: { allow: open, localPort: -1 } },
    ]) {
      const client = new Client('http://localhost', options);
      cleanup.add(() => client.destroy());
      await expect(get(client, 'http://localhost')).rejects.toMatchObject({
        code: CODE,
        address: socketPath,
      });
    }
    await get(new Client('http://localhost', { socketPath }), 'http://localhost');
    expect(connections).toBe(1);
  });
});

describe('s15 through a proxy', () => {
  const own = '127.0.0.1';
  const allowProxy = (_address: string, host: string): boolean => host === own;

  it('its address is judged, and that of the target where it is known here', async () => {
    const tunnel = await connectProxy();
    const socks = await socksProxy();
    cleanup.add(() => Promise.all([tunnel.close(), socks.close()]));
    const http = `http://${own}:${tunnel.port}`;
    const target = `http://127.0.0.9:${port}/`;
    const make: (() => Dispatcher)[] = [
      () => new ProxyAgent({ uri: http, proxyTunnel: true, ...options }),
      () => new ProxyAgent({ uri: http, proxyTunnel: false, ...options }),
      () => new ProxyAgent({ uri: `socks5://${own}:${socks.port}`, ...options }),
      () => new Socks5ProxyAgent(`socks5://${own}:${socks.port}`, options),
      () => new EnvHttpProxyAgent({ httpProxy: http, noProxy: '', ...options }),
    ];
    let options: object = {};
    const outcomes = async (given: object): Promise<unknown[]> => {
      options = given;
      return Promise.all(
        make.map(async (create) => {
          const dispatcher = create();
          cleanup.add(() => dispatcher.destroy());
          return get(dispatcher, target).then(
            () => 'sent',
            (error: unknown) => {
              const { code, address } = error as AddressNotAllowedError;
              return [code, address];
            },
          );
        }),
      );
    };
    const refused = (address: string) => make.map(() => [CODE, address]);
    expect(await outcomes({ proxyTls: { allow: 'public' } })).toEqual(
      // TLS is spoken to a SOCKS proxy if there are options for it: refused before that.
      refused(own),
    );
    expect(await outcomes({ requestTls: { allow: 'public' } })).toEqual(refused('127.0.0.9'));
    const both = await outcomes({ connect: { allow: 'public' } });
    for (const outcome of both) expect((outcome as string[])[0]).toBe(CODE);
    expect(await outcomes({ connect: { allow: allowProxy } })).toEqual(refused('127.0.0.9'));
    expect([tunnel.asked, socks.asked]).toEqual([0, 0]);
    await nobodyConnected();
  });

  it('what only undici’s agent can serve is refused when the agent is made', () => {
    for (const options of [
      { connect: { allow: 'public' }, factory: () => new Agent() },
      { connect: { allow: 'public' }, clientFactory: () => new Agent() },
      { proxyTls: { allow: 'public', lookup: dns.lookup } },
    ]) {
      const make = () => new ProxyAgent({ uri: 'http://proxy.test', ...options } as never);
      expect(make).toThrow(/^connect\.allow and .* are mutually exclusive$/);
    }
    const make = () =>
      new Socks5ProxyAgent('socks5://proxy.test', {
        requestTls: { allow: 'public', lookup: dns.lookup },
      } as never);
    expect(make).toThrow(/mutually exclusive/);
  });
});

describe('s15 a rule', () => {
  const failureOf = (allow: unknown): Promise<AddressNotAllowedError> =>
    get(agentWith({ allow }), `http://127.0.0.1:${port}/`).then(
      () => expect.unreachable(),
      (error: unknown) => error as AddressNotAllowedError,
    );

  it('may be a net.BlockList: what is in it may be connected to', async () => {
    const list = new net.BlockList();
    list.addSubnet('127.0.0.8', 29);
    const agent = agentWith({ allow: list });
    for (const host of ['127.0.0.9', '[::ffff:127.0.0.9]']) {
      expect(await get(agent, `http://${host}:${port}/`)).toContain('127.0.0.9');
    }
    expect(await failureOf(list)).toMatchObject({ code: CODE, address: '127.0.0.1' });
    expect(await failureOf(new net.BlockList())).toMatchObject({ code: CODE });
  });

  it('that throws, or returns no boolean, refuses', async () => {
    const thrown = new Error('thrown');
    const throwing = await failureOf(() => {
      throw thrown;
    });
    expect(throwing).toBeInstanceOf(AddressNotAllowedError);
    expect(throwing.cause).toBe(thrown);
    for (const [answer, what] of [
      [Promise.resolve(true), 'a Promise'],
      [undefined, 'undefined'],
      [1, 'number'],
      ['public', 'string'],
    ] as const) {
      const failure = await failureOf(() => answer);
      expect(failure).toBeInstanceOf(AddressNotAllowedError);
      expect(failure.message).toBe(
        `connecting to 127.0.0.1 is not allowed: connect.allow must return a boolean, not ${what}`,
      );
    }
    await nobodyConnected();
  });

  it('holds beside a blockList, whose error is Node’s', async () => {
    const blockList = new net.BlockList();
    blockList.addAddress('127.0.0.9');
    const agent = agentWith({ allow: () => true, blockList });
    await expect(get(agent, `http://127.0.0.9:${port}/`)).rejects.toMatchObject({
      code: 'ERR_IP_BLOCKED',
    });
    await get(agent, `http://127.0.0.1:${port}/`);
    await expect(get(agentWith({ blockList }), `http://127.0.0.1:${port}/`)).rejects.toMatchObject({
      code: CODE,
    });
  });

  it('of an origin is its own', async () => {
    const origins = { '127.0.0.9:*': { connect: { allow: () => true } } };
    const agent = agentWith({}, { origins });
    expect(await get(agent, `http://127.0.0.9:${port}/`)).toContain('127.0.0.9');
    await expect(get(agent, `http://127.0.0.1:${port}/`)).rejects.toMatchObject({ code: CODE });
  });

  it('is asked once for a connection, not for each request', async () => {
    let asked = 0;
    const agent = agentWith({ allow: () => ++asked > 0 });
    for (let i = 0; i < 3; i++) await get(agent, `http://127.0.0.1:${port}/`);
    expect(asked).toBe(1);
  });

  it.each([true, 'private', 1, {}, [], Symbol('s')])('cannot be %s', (allow) => {
    for (const make of [
      () => new Agent({ connect: { allow } } as never),
      () => new Pool('http://a.test', { connect: { allow } } as never),
      () => new Client('http://a.test', { connect: { allow } } as never),
      () => new Agent({ origins: { 'a.test': { connect: { allow } } } } as never),
      () => new ProxyAgent({ uri: 'http://a.test', requestTls: { allow } } as never),
      () => new ProxyAgent({ uri: 'http://a.test', connect: { allow } } as never),
    ]) {
      expect(make).toThrow(/allow must be 'public', a net\.BlockList or a function/);
    }
  });

  it('cannot stand beside a connect function, which connects itself', () => {
    const connect = (): Socket => new net.Socket();
    const make = () => new Client('http://a.test', { connect, tls: { allow: 'public' } } as never);
    expect(make).toThrow('tls.allow and a connect function are mutually exclusive');
  });
});

it('s15 isPublicAddress() says what is public', () => {
  expect(['1.1.1.1', '2606:4700::1', '::ffff:8.8.8.8'].every(isPublicAddress)).toBe(true);
  const others = ['127.0.0.1', '::1', 'fe80::1%lo', '::ffff:10.0.0.1', 'localhost', '', '127.1'];
  expect(others.some(isPublicAddress)).toBe(false);
});
