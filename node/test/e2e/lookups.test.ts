// connect.lookup: the user's function resolves names for the engine.

import dns from 'node:dns';
import net, { type AddressInfo, type LookupFunction } from 'node:net';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { Agent, Client, Pool, ProxyAgent, request } from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let origin: Origin;
let url: string;

beforeAll(async () => {
  origin = await httpOrigin((incoming, response) => response.end(incoming.headers.host));
  url = `http://name.invalid:${(origin.server.address() as AddressInfo).port}`;
});
afterAll(() => origin.close());

function clientWith(lookup: LookupFunction, more: object = {}): Client {
  const client = new Client(url, { connect: { lookup, ...more } });
  cleanup.add(() => client.destroy());
  return client;
}

const get = async (client: Client) => {
  const { body } = await client.request({ path: '/', method: 'GET' });
  return body.text();
};

/** The options that Node's own sockets pass to a lookup. */
function askedByNode(options: object): Promise<unknown> {
  return new Promise((resolve) => {
    const lookup: LookupFunction = (_name, asked, done) => {
      resolve({ ...asked });
      done(new Error('seen'), '');
    };
    net.connect({ host: 'name.invalid', port: 1, lookup, ...options }).on('error', () => {});
  });
}

describe('connect.lookup', () => {
  it('gets what net.connect would pass, and its address is used', async () => {
    const seen: unknown[] = [];
    const client = clientWith((name, options, done) => {
      seen.push([name, { ...options }]);
      setImmediate(() => done(null, [{ address: '127.0.0.1', family: 4 }]));
    });
    expect(await get(client)).toBe(url.slice('http://'.length));
    expect(seen).toEqual([
      ['name.invalid', await askedByNode({ host: 'name.invalid', autoSelectFamily: true })],
    ]);
  });

  it.each<[string, object, object?]>([
    ['family: 4', { family: 4 }],
    ['family: 6', { family: 6 }],
    ['autoSelectFamily: false', { autoSelectFamily: false }],
    ['localAddress', { localAddress: '127.0.0.1' }],
    ['localAddress of the client', {}, { localAddress: '127.0.0.1' }],
  ])('and a replaced dns.lookup get what net.connect would pass: %s', async (_, connect, more) => {
    const seen: unknown[] = [];
    const lookup: LookupFunction = (_name, options, done) => {
      seen.push({ ...options });
      done(new Error('seen'), '');
    };
    const own = new Client(url, { ...more, connect: { ...connect, lookup } });
    const plain = new Client(url, { ...more, connect });
    cleanup.add(() => Promise.all([own.destroy(), plain.destroy()]));
    await expect(get(own)).rejects.toThrow('seen');
    const nodes = dns.lookup;
    dns.lookup = lookup as never;
    try {
      await expect(get(plain)).rejects.toThrow('seen');
    } finally {
      dns.lookup = nodes;
    }
    const expected = await askedByNode({ autoSelectFamily: true, ...connect, ...more });
    expect(seen).toEqual([expected, expected]);
  });

  it('is asked for one address where families do not race', async () => {
    const seen: unknown[] = [];
    const lookup: LookupFunction = (_name, options, done) => {
      seen.push(options.all);
      done(null, '127.0.0.1', 4);
    };
    await get(clientWith(lookup, { autoSelectFamily: false }));
    await get(clientWith(lookup, { family: 4 }));
    expect(seen).toEqual([undefined, undefined]);
  });

  it('may return several addresses, of which the first that accepts is used', async () => {
    const client = clientWith((_name, _options, done) => {
      done(null, [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ]);
    });
    expect(await get(client)).toContain('name.invalid');
  });

  it('fails every waiting request with its own error object', async () => {
    const failure = Object.assign(new Error('not today'), { code: 'ENOTODAY' });
    const client = clientWith((_name, _options, done) => done(failure, ''));
    const failed: unknown[] = [];
    client.on('connectionError', (_url, _targets, error) => failed.push(error));
    const results = await Promise.allSettled([get(client), get(client)]);
    expect(results.map((result) => (result as PromiseRejectedResult).reason)).toEqual([
      failure,
      failure,
    ]);
    expect(failed).toEqual([failure]);
  });

  it('fails the request with what it throws', async () => {
    const failure = new Error('thrown');
    const client = clientWith(() => {
      throw failure;
    });
    await expect(get(client)).rejects.toBe(failure);
  });

  it.each([
    ['no address', 'nonsense', 4, 'ERR_INVALID_IP_ADDRESS'],
    ['no family', '127.0.0.1', 5, 'ERR_INVALID_ADDRESS_FAMILY'],
  ])('fails as Node does when it gives %s', async (_what, address, family, code) => {
    const client = clientWith((_name, _options, done) => done(null, address, family));
    await expect(get(client)).rejects.toMatchObject({ code });
  });

  /** Keeps the thread busy. */
  const block = (milliseconds: number) => {
    const until = performance.now() + milliseconds;
    while (performance.now() < until);
  };

  it('is in time if the thread was busy before it was called', async () => {
    const client = clientWith(
      (_name, _options, done) => void setTimeout(() => done(null, '127.0.0.1', 4), 1),
      { timeout: 100, autoSelectFamily: false },
    );
    const response = get(client);
    await Promise.resolve();
    block(300);
    expect(await response).toContain('name.invalid');
  });

  it('is in time if the thread was busy when it would have called back', async () => {
    const client = clientWith(
      (_name, _options, done) => {
        setTimeout(() => done(null, '127.0.0.1', 4), 10);
        block(300);
      },
      { timeout: 100, autoSelectFamily: false },
    );
    expect(await get(client)).toContain('name.invalid');
  });

  it('times out, and what it says later does not matter', async () => {
    let late = () => {};
    const client = clientWith(
      (_name, _options, done) => {
        late = () => done(new Error('late'), '');
      },
      { timeout: 50 },
    );
    const failed: unknown[] = [];
    client.on('connectionError', (_url, _targets, error) => failed.push(error));
    const error: unknown = await get(client).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'UND_ERR_CONNECT_TIMEOUT',
      phase: 'resolve',
      message: `Connect Timeout Error (attempted address: ${url.slice('http://'.length)}, timeout: 50ms)`,
    });
    expect(failed).toEqual([error]);
    expect(late).not.toThrow();
  });

  it('may call back after the client was destroyed', async () => {
    let answer = () => {};
    let asked = () => {};
    const question = new Promise<void>((resolve) => (asked = resolve));
    const client = clientWith((_name, _options, done) => {
      answer = () => done(null, '127.0.0.1', 4);
      asked();
    });
    const response = get(client).catch((error: unknown) => error);
    await question;
    await client.destroy();
    expect(answer).not.toThrow();
    expect(await response).toMatchObject({ code: 'UND_ERR_DESTROYED' });
  });

  it('serves pools and agents', async () => {
    const lookup: LookupFunction = (_name, _options, done) => done(null, '127.0.0.1', 4);
    const pool = new Pool(url, { connect: { lookup, autoSelectFamily: false }, connections: 2 });
    const agent = new Agent({ connect: { lookup, autoSelectFamily: false } });
    cleanup.add(() => Promise.all([pool.destroy(), agent.destroy()]));
    const paths = ['/1', '/2', '/3'];
    const pooled = await Promise.all(
      paths.map(async (path) => (await pool.request({ path, method: 'GET' })).statusCode),
    );
    const { statusCode } = await agent.request({ origin: url, path: '/', method: 'GET' });
    expect([...pooled, statusCode]).toEqual([200, 200, 200, 200]);
    expect(pool.stats.connected).toBe(2);
  });
});

describe('an address with a zone', () => {
  /** The outcomes of requests of other pools, enough to occupy every small slot number. */
  async function others(): Promise<() => Promise<string[]>> {
    const pool = new Pool(origin.url);
    cleanup.add(() => pool.destroy());
    const paths = Array.from({ length: 32 }, (_, index) => `/${index}`);
    const all = paths.map(async (path) => {
      const { body } = await pool.request({ path, method: 'GET' });
      return body.text();
    });
    return () => Promise.all(all);
  }

  it('is one of the addresses tried', async () => {
    for (const zoned of ['::1%lo', 'fe80::1%lo', 'fe80::1%1', 'fe80::1%nosuch0']) {
      const client = clientWith((_name, _options, done) => {
        done(null, [
          { address: zoned, family: 6 },
          { address: '127.0.0.1', family: 4 },
        ]);
      });
      const untouched = await others();
      expect(await get(client)).toContain('name.invalid');
      expect(new Set(await untouched())).toEqual(new Set([new URL(origin.url).host]));
    }
  });

  it('unknown to the system fails its own request, as in Node', async () => {
    const client = clientWith((_name, _options, done) => {
      done(null, [{ address: 'fe80::1%nosuch0', family: 6 }]);
    });
    const untouched = await others();
    await expect(get(client)).rejects.toMatchObject({ syscall: 'connect' });
    expect(new Set(await untouched())).toEqual(new Set([new URL(origin.url).host]));
  });

  it('cannot be bound to: localAddress with a zone is rejected by name', () => {
    for (const options of [
      { localAddress: 'fe80::1%lo' },
      { connect: { localAddress: 'fe80::1%lo' } },
    ]) {
      expect(() => new Client(url, options)).toThrow(/localAddress.*zone/);
    }
  });
});

describe('a replaced dns.lookup', () => {
  it('is called for each connection of existing clients while it is in place', async () => {
    const client = new Client(url, { pipelining: 0 });
    const agent = new Agent();
    cleanup.add(() => client.destroy());
    cleanup.add(() => agent.destroy());
    const codeOf = (error: { code?: string; cause?: { code?: string } }) =>
      error.cause?.code ?? error.code;
    expect(await get(client).catch(codeOf)).toBe('ENOTFOUND');

    const seen: string[] = [];
    const { lookup } = dns;
    dns.lookup = ((
      name: string,
      options: object,
      done: (error: Error | null, ...answer: unknown[]) => void,
    ) => {
      seen.push(name);
      if (name === 'blocked.invalid') done(Object.assign(new Error('no'), { code: 'EPOLICY' }));
      else if ('all' in options) done(null, [{ address: '127.0.0.1', family: 4 }]);
      else done(null, '127.0.0.1', 4);
    }) as never;
    try {
      expect(await get(client)).toBe(url.slice('http://'.length));
      const blocked = request(url.replace('name', 'blocked'), { dispatcher: agent });
      expect(await blocked.catch(codeOf)).toBe('EPOLICY');
      const address = `http://127.0.0.1:${new URL(url).port}/`;
      await (await request(address, { dispatcher: agent })).body.dump();
    } finally {
      dns.lookup = lookup;
    }
    expect(seen).toEqual(['name.invalid', 'blocked.invalid']);
    expect(await get(client).catch(codeOf)).toBe('ENOTFOUND');
  });

  it('is called for the name of a proxy', async () => {
    const seen: string[] = [];
    const { lookup } = dns;
    dns.lookup = ((
      name: string,
      _options: object,
      done: (error: Error | null, ...answer: unknown[]) => void,
    ) => {
      seen.push(name);
      done(Object.assign(new Error('no'), { code: 'EPOLICY' }));
    }) as never;
    const agent = new ProxyAgent('http://proxy.invalid:3128');
    cleanup.add(() => agent.destroy());
    try {
      await expect(request(url, { dispatcher: agent })).rejects.toThrow();
    } finally {
      dns.lookup = lookup;
    }
    expect(seen).toEqual(['proxy.invalid']);
  });
});
