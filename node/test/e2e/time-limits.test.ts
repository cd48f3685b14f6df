// `totalTimeout` and `minBodyRate`, which undici does not have: where the time passes, what is settled, and
// what a slow server can do.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';

import { afterEach, describe, expect, it } from 'vitest';

import {
  Agent,
  BodyRateError,
  Client,
  errors,
  fetch,
  Pool,
  TotalTimeoutError,
} from '../../src/index';
import { peer } from '../../src/undici/undici';
import { http2Origin, type Origin, rawOrigin } from '../support/servers';

const open: { close(): Promise<unknown>; destroy?(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await (one.destroy?.() ?? one.close());
});

/** A server that does this with each socket that has sent something. */
async function server(answer: (socket: Socket) => void): Promise<Origin> {
  const made = await rawOrigin((socket) => socket.on('data', () => answer(socket)));
  open.push(made);
  return made;
}

function kept<T extends { close(): Promise<unknown>; destroy(): Promise<void> }>(dispatcher: T): T {
  open.unshift(dispatcher);
  return dispatcher;
}

const get = { path: '/', method: 'GET' } as const;
const HEAD = 'HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n';

/** A byte every few milliseconds, for ever. */
function trickle(socket: Socket, every = 5): void {
  socket.write(HEAD);
  const timer = setInterval(() => socket.write('x'), every);
  socket.on('close', () => clearInterval(timer));
}

const expired = { name: 'TotalTimeoutError', code: 'ERR_DODICI_TOTAL_TIMEOUT' };

describe('totalTimeout', () => {
  it('fails a request without a response, and its connection ends', async () => {
    const { url } = await server(() => {});
    const pool = kept(new Pool(url, { totalTimeout: 50 }));
    const gone = once(pool, 'disconnect');
    const error = await pool.request(get).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(TotalTimeoutError);
    expect(error).toBeInstanceOf(errors.UndiciError);
    expect(error).toMatchObject({ ...expired, phase: 'headers' });
    expect((await gone)[3]).toMatchObject({ reason: 'timeout' });
  });

  it('runs until the end of the body, which bodyTimeout does not', async () => {
    const { url } = await server(trickle);
    const client = kept(new Client(url));
    const { body } = await client.request({ ...get, totalTimeout: 100, bodyTimeout: 5_000 });
    await expect(body.text()).rejects.toMatchObject({ ...expired, phase: 'body' });
  });

  it('includes the time in the queue of the engine, and of a client', async () => {
    const { url } = await server(() => {});
    const pool = kept(new Pool(url, { connections: 1 }));
    const client = kept(new Client(url));
    for (const dispatcher of [pool, client]) {
      dispatcher.request(get).catch(() => {});
      const waiting = dispatcher.request({ ...get, totalTimeout: 50 });
      await expect(waiting).rejects.toMatchObject({ ...expired, phase: 'queued' });
    }
  });

  it('runs while a request waits for the body before it', async () => {
    const { url } = await server(() => {});
    const client = kept(new Client(url));
    const parts = (async function* () {
      yield 'x';
      await new Promise(() => {});
    })();
    const endless = Readable.from(parts);
    client.request({ path: '/', method: 'POST', body: endless }).catch(() => {});
    const started = performance.now();
    const waiting = client.request({ ...get, totalTimeout: 50 });
    await expect(waiting).rejects.toMatchObject({ ...expired, phase: 'queued' });
    expect(performance.now() - started).toBeGreaterThanOrEqual(49);
  });

  it('passes on what is left when a request has waited', async () => {
    const { url } = await server((socket) =>
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'),
    );
    const client = kept(new Client(url, { totalTimeout: 60_000 }));
    const parts = (async function* () {
      await new Promise(setImmediate);
      yield 'x';
    })();
    const slow = Readable.from(parts);
    const first = client.request({ path: '/', method: 'POST', body: slow });
    const second = client.request(get);
    expect((await first).statusCode).toBe(200);
    expect((await second).statusCode).toBe(200);
  });

  it('a request has its own, and 0 is none', async () => {
    const { url } = await server((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n');
      setTimeout(() => socket.write('ok'), 150);
    });
    const pool = kept(new Pool(url, { totalTimeout: 20 }));
    const { body } = await pool.request({ ...get, totalTimeout: 0 });
    expect(await body.text()).toBe('ok');
  });

  it('is an option of an origin, and applies to fetch', async () => {
    const { url } = await server(trickle);
    const agent = kept(new Agent({ origins: { [url]: { totalTimeout: 50 } } }));
    const response = await fetch(url, { dispatcher: agent });
    await expect(response.text()).rejects.toMatchObject({ cause: expired });
  });

  it('resets only its stream over HTTP/2', async () => {
    const h2 = await http2Origin(
      (stream, { ':path': path }) => {
        if (path === '/hang') return;
        stream.respond({ ':status': 200 });
        stream.end('ok');
      },
      { plain: true },
    );
    open.push(h2);
    const client = kept(new Client(h2.url, { useH2c: true }));
    expect(await (await client.request(get)).body.text()).toBe('ok');
    let disconnects = 0;
    client.on('disconnect', () => disconnects++);
    const hanging = client.request({ path: '/hang', method: 'GET', totalTimeout: 50 });
    await expect(hanging).rejects.toMatchObject(expired);
    expect(await (await client.request(get)).body.text()).toBe('ok');
    expect(disconnects).toBe(0);
  });

  it('does not end what a request has become by an upgrade', async () => {
    const { url } = await server((socket) => {
      socket.removeAllListeners('data');
      socket.write('HTTP/1.1 101 OK\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
      socket.on('data', (chunk) => socket.write(chunk));
    });
    const client = kept(new Client(url, { totalTimeout: 100 }));
    const { socket } = await client.upgrade({ path: '/', protocol: 'x' });
    await new Promise((resolve) => setTimeout(resolve, 150));
    socket.write('still here');
    expect(String(await once(socket, 'data').then(([chunk]) => chunk))).toBe('still here');
    socket.destroy();
  });

  it('a response that has arrived is delivered, however late JavaScript looks', async () => {
    const { url } = await server((socket) => {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      // The answer has left: now this thread does nothing until long after the timeout.
      setImmediate(() => {
        const end = performance.now() + 300;
        while (performance.now() < end);
      });
    });
    const pool = kept(new Pool(url, { totalTimeout: 150 }));
    expect(await (await pool.request(get)).body.text()).toBe('ok');
  });

  it('undici has none: a trickling body goes on', async () => {
    const { url } = await server(trickle);
    const options = { totalTimeout: 30, minBodyRate: 1_000_000 } as object;
    const theirs = kept(new peer.Client(url, options));
    const { body } = await theirs.request({ ...get, ...options });
    let bytes = 0;
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      if (bytes > 20) break;
    }
    expect(bytes).toBeGreaterThan(20);
  });
});

describe('minBodyRate', () => {
  it('s30 ends a body that arrives byte by byte, over HTTP/1.1 and HTTP/2', async () => {
    const plain = await server((socket) => trickle(socket, 200));
    const h2 = await http2Origin(
      (stream) => {
        stream.respond({ ':status': 200 });
        const timer = setInterval(() => stream.write('x'), 200);
        stream.on('close', () => clearInterval(timer));
      },
      { plain: true },
    );
    open.push(h2);
    const one = kept(new Client(plain.url, { minBodyRate: 1_000 }));
    const two = kept(new Client(h2.url, { useH2c: true, minBodyRate: 1_000 }));
    const failed = async (client: Client) => {
      const { body } = await client.request(get);
      const error = await body.text().catch((error: unknown) => error);
      expect(error).toBeInstanceOf(BodyRateError);
      expect(error).toMatchObject({ code: 'ERR_DODICI_BODY_RATE', phase: 'body' });
    };
    await Promise.all([failed(one), failed(two)]);
  }, 30_000);

  it('does not measure while nobody reads', async () => {
    const { url } = await server((socket) => {
      socket.write(HEAD);
      socket.write(Buffer.alloc(100_000));
    });
    const client = kept(new Client(url, { minBodyRate: 1_000_000 }));
    const { body } = await client.request(get);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await body.arrayBuffer()).byteLength).toBe(100_000);
  });
});

describe('both', () => {
  it('are checked with undici’s manners, of dispatchers, origins and requests', async () => {
    const url = 'http://localhost:1';
    for (const name of ['totalTimeout', 'minBodyRate']) {
      for (const value of [-1, 1.5, NaN, '1', {}]) {
        const message = `${name} must be a positive integer or zero`;
        expect(() => new Client(url, { [name]: value })).toThrow(message);
        expect(() => new Pool(url, { [name]: value })).toThrow(message);
        // undici's `Agent` copies its options through JSON: NaN is absent.
        const make = () => new Agent({ [name]: value });
        if (Number.isNaN(value)) kept(make());
        else expect(make).toThrow(message);
        expect(() => new Agent({ origins: { [url]: { [name]: value } } })).toThrow(message);
      }
      for (const value of [0, 1, null, undefined]) kept(new Client(url, { [name]: value }));
      const client = kept(new Client(url));
      for (const value of [-1, NaN, Infinity, '1', {}]) {
        await expect(client.request({ ...get, [name]: value })).rejects.toMatchObject({
          code: 'UND_ERR_INVALID_ARG',
          message: `invalid ${name}`,
        });
      }
    }
  });
});
