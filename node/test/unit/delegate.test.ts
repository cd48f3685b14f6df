// Clients and pools served by the peer's own class, against real servers on loopback.
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import * as net from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import { Agent } from '../../src/dispatchers/agent';
import { Client } from '../../src/dispatchers/client';
import { H2CClient } from '../../src/dispatchers/h2c-client';
import { parseSettings } from '../../src/options/options';
import { Pool } from '../../src/dispatchers/pool';
import { buildConnector, type Dispatcher, peer, symbols } from '../../src/undici/undici';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function origin(): Promise<string> {
  const server: Server = createServer((request, response) => {
    response.end(`${request.method} ${request.url}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  return `http://localhost:${(server.address() as AddressInfo).port}`;
}

const opened = <T extends Dispatcher>(dispatcher: T): T => {
  closers.push(() => dispatcher.destroy());
  return dispatcher;
};

const textOf = async (dispatcher: Dispatcher, path: string, url?: string) => {
  const { body } = await dispatcher.request({ origin: url, path, method: 'GET' });
  return body.text();
};

/** A lookup with one address. */
const lookup: net.LookupFunction = (_hostname, options, callback) => {
  if (options.all) callback(null, [{ address: '127.0.0.1', family: 4 }]);
  else callback(null, '127.0.0.1', 4);
};

describe('the peer serves permanently', () => {
  it('only what has to be done in JavaScript', () => {
    const reason = (options: object | undefined, kind: 'client' | 'pool' = 'client') =>
      parseSettings('http://localhost', options, kind).byPeer?.reason ?? null;
    const connect = buildConnector({});
    expect(reason({ connect })).toBe('connect');
    expect(reason({ connect: { lookup } })).toBe(null);
    expect(reason({ connect: { lookup, signal: AbortSignal.abort() } })).toBe('option');
    expect(reason({ useH2c: true })).toBe(null);
    expect(reason({ h2Options: { useH2c: true } })).toBe(null);
    expect(reason({ factory: () => null }, 'pool')).toBe('factory');
    for (const options of [
      undefined,
      {},
      { connect: {} },
      { connect: { ca: '-----BEGIN CERTIFICATE-----' } },
      { useH2c: false },
    ]) {
      expect(reason(options)).toBe(null);
      expect(reason(options, 'pool')).toBe(null);
    }
  });
});

it('an H2CClient with a connect function is the peer’s, with undici’s options', async () => {
  const failure = new Error('no way');
  const asked: unknown[] = [];
  const connect: buildConnector.connector = (options, callback) => {
    asked.push((options as { allowH2?: boolean }).allowH2);
    callback(failure, null);
  };
  const client = opened(new H2CClient('http://localhost', { connect }));
  await expect(client.request({ path: '/', method: 'GET' })).rejects.toBe(failure);
  expect(asked).toEqual([true]);
});

describe('a replaced net.connect', () => {
  it('opens the connections of clients created meanwhile', async () => {
    const url = await origin();
    const { connect } = net;
    const seen: unknown[] = [];
    const mutable = createRequire(import.meta.url)('node:net') as { connect: unknown };
    mutable.connect = (options: net.NetConnectOpts) => {
      seen.push((options as net.TcpNetConnectOpts).host);
      return connect(options);
    };
    const client = opened(new Client(url, { connect: { session: Buffer.from('x') } as object }));
    const pool = opened(new Agent());
    try {
      expect(await textOf(client, '/client')).toBe('GET /client');
      expect(await textOf(pool, '/agent', url)).toBe('GET /agent');
    } finally {
      mutable.connect = connect;
    }
    expect(seen).toEqual(['localhost', 'localhost']);
    expect(await textOf(opened(new Agent()), '/later', url)).toBe('GET /later');
    expect(seen).toHaveLength(2);
  });

  it('opens the connections of a client created before and first used now', async () => {
    const url = await origin();
    const client = opened(new Client(url));
    const { connect } = net;
    const failure = new Error('kaboom');
    const mutable = createRequire(import.meta.url)('node:net') as { connect: unknown };
    mutable.connect = (options: net.SocketConstructorOpts) => {
      const socket = new net.Socket(options);
      setImmediate(() => socket.destroy(failure));
      return socket;
    };
    try {
      await expect(textOf(client, '/')).rejects.toBe(failure);
    } finally {
      mutable.connect = connect;
    }
  });

  it('is called by a client that was used before, and by none after it is restored', async () => {
    const url = await origin();
    const client = opened(new Client(url));
    const { connect } = net;
    const mutable = createRequire(import.meta.url)('node:net') as { connect: unknown };
    const failure = new Error('not for you');
    for (let round = 0; round < 2; round++) {
      expect(await textOf(client, '/mine')).toBe('GET /mine');
      mutable.connect = () => {
        throw failure;
      };
      try {
        await expect(textOf(client, '/yours')).rejects.toBe(failure);
      } finally {
        mutable.connect = connect;
      }
    }
    expect(await textOf(client, '/mine')).toBe('GET /mine');
  });
});

describe('a delegated client', () => {
  it('with a connect function serves requests and exposes undici’s counters', async () => {
    const url = await origin();
    let calls = 0;
    const connector = buildConnector({});
    const client = opened(
      new Client(url, {
        connect: (options, callback) => {
          calls += 1;
          connector(options, callback);
        },
      }),
    );
    expect(client).toBeInstanceOf(peer.Dispatcher);
    expect(await textOf(client, '/one')).toBe('GET /one');
    expect(calls).toBe(1);
    expect(client.stats).toEqual({ connected: true, pending: 0, running: 0, size: 0 });
    expect((client as unknown as Record<symbol, URL>)[symbols.kUrl]!.origin).toBe(url);
  });

  it('emits events with itself as the target', async () => {
    const client = opened(new Client(await origin(), { connect: buildConnector({}) }));
    const seen: unknown[] = [];
    client.on('connect', (_url, targets) => seen.push(['connect', targets]));
    client.on('disconnect', (_url, targets, error) => seen.push(['disconnect', targets, error]));
    await textOf(client, '/');
    const error = new Error('enough');
    await client.destroy(error);
    expect(seen).toEqual([
      ['connect', [client]],
      ['disconnect', [client], error],
    ]);
  });

  it('with connect.lookup may use every TLS option of Node', () => {
    opened(
      new Client('https://localhost', { connect: { lookup, ciphers: 'AES128-SHA' } as never }),
    );
  });

  it('fails with its connect function’s error', async () => {
    const failure = new Error('no way');
    const client = opened(
      new Client(await origin(), { connect: (_options, callback) => callback(failure, null) }),
    );
    await expect(textOf(client, '/')).rejects.toBe(failure);
  });

  it('closes gracefully', async () => {
    const client = new Client(await origin(), { connect: buildConnector({}) });
    const response = textOf(client, '/last');
    await client.close();
    expect(await response).toBe('GET /last');
    expect(client.destroyed).toBe(true);
    await expect(textOf(client, '/')).rejects.toMatchObject({ code: 'UND_ERR_DESTROYED' });
  });
});

describe('a delegated pool', () => {
  it('uses its factory’s clients', async () => {
    const url = await origin();
    const made: Dispatcher[] = [];
    const pool = opened(
      new Pool(url, {
        connections: 1,
        factory: (from, options) => {
          const client = new peer.Client(from, options);
          made.push(client);
          return client;
        },
      }),
    );
    const targets: (readonly Dispatcher[])[] = [];
    pool.on('connect', (_url, seen) => targets.push(seen));
    expect(await textOf(pool, '/')).toBe('GET /');
    expect(targets).toEqual([[pool, made[0]]]);
  });
});

describe('an agent', () => {
  it('delegates the origins whose options need it', async () => {
    const url = await origin();
    const agent = opened(
      new Agent({ origins: { localhost: { connections: 1, connect: buildConnector({}) } } }),
    );
    expect(await textOf(agent, '/via-agent', url)).toBe('GET /via-agent');
    expect(agent.stats[url]).toMatchObject({ connected: true });
  });
});
