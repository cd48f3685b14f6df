// What a response can contain, and what its handler can do.

import type { Socket } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import { Client, errors, Pool } from '../../src/index';
import { Recorder } from '../support/recorder';
import { answer, httpOrigin, rawOrigin, type Origin } from '../support/servers';

const cleanup: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of cleanup.splice(0).reverse()) await close();
});

function use(origin: Origin, options: object = {}): Client {
  const client = new Client(origin.url, { ...origin.options, ...options });
  cleanup.push(
    () => origin.close(),
    () => client.destroy(),
  );
  return client;
}

/** Dispatches with a recorder and waits until it has settled. */
function settled(client: Client, recorder: Recorder, options: object = {}): Promise<Recorder> {
  const inner = recorder.during;
  return new Promise((resolve) => {
    recorder.during = (name, self) => {
      inner(name, self);
      if (name === 'end' || name === 'error') queueMicrotask(() => resolve(self));
    };
    client.dispatch({ path: '/', method: 'GET', ...options }, recorder);
  });
}

describe('a response', () => {
  it('delivers informational heads, raw headers and trailers as received', async () => {
    const client = use(
      await rawOrigin(
        answer(
          'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' +
            'HTTP/1.1 200 Fine\r\nX-CaSe: One\r\nx-case: two\r\nTransfer-Encoding: chunked\r\n\r\n' +
            '3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n',
        ),
      ),
    );
    const recorder = await settled(client, new Recorder());
    expect(recorder.events).toEqual([
      ['start'],
      ['head', 103, { link: '</a>' }, 'Early Hints'],
      ['head', 200, { 'x-case': ['One', 'two'], 'transfer-encoding': 'chunked' }, 'Fine'],
      ['data', 'abc'],
      ['end', { 'x-sum': ['1', '2'] }],
    ]);
    const text = (list: Buffer[]) => list.map((entry) => entry.toString('latin1'));
    expect(text(recorder.controller.rawHeaders)).toEqual([
      'X-CaSe',
      'One',
      'x-case',
      'two',
      'Transfer-Encoding',
      'chunked',
    ]);
    expect(text(recorder.controller.rawTrailers)).toEqual(['X-Sum', '1', 'x-sum', '2']);
  });

  it('has raw headers in request() where the caller asks for them', async () => {
    const client = use(
      await rawOrigin(answer('HTTP/1.1 200 OK\r\nX-CaSe: One\r\nContent-Length: 0\r\n\r\n')),
    );
    const ask = async (responseHeaders?: 'raw') => {
      const { headers, body } = await client.request({ path: '/', method: 'GET', responseHeaders });
      await body.dump();
      return headers;
    };
    expect(await ask()).toEqual({ 'x-case': 'One', 'content-length': '0' });
    expect(await ask('raw')).toEqual(['X-CaSe', 'One', 'Content-Length', '0']);
  });

  it('stops while paused and continues when resumed, for a body of many windows', async () => {
    const size = 5_000_000;
    const client = use(
      await httpOrigin((_request, response) => {
        response.end(Buffer.alloc(size, 'x'));
      }),
    );
    let received = 0;
    let pauses = 0;
    await new Promise<void>((resolve, reject) => {
      client.dispatch(
        { path: '/', method: 'GET' },
        {
          onRequestStart() {},
          onResponseStart() {},
          onResponseData(controller: any, chunk: Buffer) {
            expect(controller.paused).toBe(false);
            received += chunk.length;
            pauses++;
            controller.pause();
            setImmediate(() => controller.resume());
          },
          onResponseEnd: () => resolve(),
          onResponseError: (_: unknown, error: Error) => reject(error),
        },
      );
    });
    expect(received).toBe(size);
    expect(pauses).toBeGreaterThan(1);
  });

  it('to HEAD with reset: false leaves the connection usable', async () => {
    const client = use(
      await httpOrigin((request, response) => {
        response.setHeader('content-length', 5);
        response.end(request.method === 'HEAD' ? undefined : 'hello');
      }),
    );
    let disconnects = 0;
    client.on('disconnect', () => disconnects++);
    const head = await client.request({ path: '/', method: 'HEAD', reset: false });
    expect(await head.body.text()).toBe('');
    const { body } = await client.request({ path: '/', method: 'GET' });
    expect(await body.text()).toBe('hello');
    expect(disconnects).toBe(0);
  });
});

describe('abort', () => {
  const phases = {
    'in onRequestStart': 'start',
    'at the head': 'head',
    'at the first chunk': 'data',
  };

  for (const [name, phase] of Object.entries(phases)) {
    it(`${name} ends the request with its reason, and the next one works`, async () => {
      const client = use(
        await httpOrigin((request, response) => {
          if (request.url === '/next') response.end('fine');
          else response.write('x');
        }),
      );
      const reason = new Error('enough');
      const recorder = new Recorder();
      recorder.during = (event, { controller }) => {
        if (event === phase) controller.abort(reason);
      };
      await settled(client, recorder);
      expect(recorder.last('error')[1]).toBe(reason);
      expect(recorder.names.at(-1)).toBe('error');
      const { body } = await client.request({ path: '/next', method: 'GET' });
      expect(await body.text()).toBe('fine');
    });
  }

  it('before there is a connection ends the request', async () => {
    const client = use(await httpOrigin(() => {}));
    const aborting = new AbortController();
    const response = client.request({ path: '/', method: 'GET', signal: aborting.signal });
    aborting.abort(new Error('early'));
    await expect(response).rejects.toThrow('early');
    expect(client.stats.size).toBe(0);
  });
});

describe('upgrade', () => {
  const echo = () =>
    rawOrigin((socket) => {
      socket.once('data', (head) => {
        const connect = String(head).startsWith('CONNECT');
        socket.write(
          connect
            ? 'HTTP/1.1 200 Connection established\r\n\r\nfirst'
            : 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nfirst',
        );
        socket.pipe(socket);
      });
    });

  for (const kind of ['upgrade', 'connect'] as const) {
    it(`by ${kind}() provides a byte stream, with what followed the head`, async () => {
      const client = use(await echo());
      const data: any =
        kind === 'upgrade'
          ? await client.upgrade({ path: '/', protocol: 'echo' })
          : await client.connect({ path: 'example.com:443' });
      const { socket } = data;
      const big = 'y'.repeat(1_000_000);
      socket.end(big);
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      expect(text).toBe(`first${big}`);
    });
  }

  it('by connect() provides a byte stream whatever the status is, as in undici', async () => {
    const client = use(await rawOrigin(answer('HTTP/1.1 403 No\r\nx-why: no\r\n\r\nbecause')));
    const { statusCode, headers, socket } = await client.connect({ path: 'a:1' });
    expect([statusCode, headers['x-why']]).toEqual([403, 'no']);
    const [chunk] = await new Promise<unknown[]>((resolve) =>
      socket.once('data', (...args: unknown[]) => resolve(args)),
    );
    expect(String(chunk)).toBe('because');
    socket.destroy();
  });

  it('by the peer’s built-in WebSocket works', async () => {
    const client = use(await rawOrigin(answer('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')));
    await expect(client.upgrade({ path: '/' })).rejects.toMatchObject({ code: 'UND_ERR_SOCKET' });
  });
});

describe('timeouts', () => {
  it('of the head is a HeadersTimeoutError', async () => {
    const client = use(await httpOrigin(() => {}), { headersTimeout: 50 });
    await expect(client.request({ path: '/', method: 'GET' })).rejects.toBeInstanceOf(
      errors.HeadersTimeoutError,
    );
  });

  it('of the body is a BodyTimeoutError', async () => {
    const client = use(
      await httpOrigin((_request, response) => {
        response.write('x');
      }),
    );
    const { body } = await client.request({ path: '/', method: 'GET', bodyTimeout: 50 });
    await expect(body.text()).rejects.toBeInstanceOf(errors.BodyTimeoutError);
  });
});

describe('a failure', () => {
  it('to connect has Node’s code and fields', async () => {
    const origin = await httpOrigin(() => {});
    const { port } = new URL(origin.url);
    await origin.close();
    const client = new Client(`http://127.0.0.1:${port}`);
    const error = await client.request({ path: '/', method: 'GET' }).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: 'ECONNREFUSED',
      errno: -111,
      syscall: 'connect',
      address: '127.0.0.1',
      port: Number(port),
    });
    await client.destroy();
  });

  it('to resolve has Node’s code and fields', async () => {
    const client = new Client('http://does-not-exist.invalid');
    const error = await client.request({ path: '/', method: 'GET' }).catch((e: unknown) => e);
    expect(error).toMatchObject({ syscall: 'getaddrinfo', hostname: 'does-not-exist.invalid' });
    expect(['ENOTFOUND', 'EAI_AGAIN']).toContain((error as { code: string }).code);
    await client.destroy();
  });

  it('of the peer to speak HTTP is an HTTPParserError', async () => {
    const client = use(await rawOrigin(answer('NONSENSE\r\n\r\n')));
    await expect(client.request({ path: '/', method: 'GET' })).rejects.toBeInstanceOf(
      errors.HTTPParserError,
    );
  });

  it('of the peer to stay is a SocketError with the socket', async () => {
    const client = use(await rawOrigin((socket) => socket.once('data', () => socket.end())));
    const error = await client.request({ path: '/', method: 'GET' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(errors.SocketError);
    expect((error as { socket: { remoteAddress: string } }).socket.remoteAddress).toBe('127.0.0.1');
  });

  it('of a head that is too large is a HeadersOverflowError', async () => {
    const client = use(
      await rawOrigin(answer(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(2000)}\r\n\r\n`)),
      { maxHeaderSize: 1000 },
    );
    await expect(client.request({ path: '/', method: 'GET' })).rejects.toBeInstanceOf(
      errors.HeadersOverflowError,
    );
  });

  it('of a body that is too large is a ResponseExceededMaxSizeError', async () => {
    const client = use(
      await httpOrigin((_request, response) => {
        response.end('x'.repeat(100));
      }),
      { maxResponseSize: 10 },
    );
    const outcome = client.request({ path: '/', method: 'GET' }).then(({ body }) => body.text());
    await expect(outcome).rejects.toBeInstanceOf(errors.ResponseExceededMaxSizeError);
  });

  it('midway through the body is the error of the body', async () => {
    const client = use(
      await rawOrigin((socket) =>
        socket.once('data', () => {
          socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc');
        }),
      ),
    );
    const { body } = await client.request({ path: '/', method: 'GET' });
    await expect(body.text()).rejects.toMatchObject({ code: 'UND_ERR_SOCKET' });
  });
});

describe('what arrives in one segment', () => {
  const cut =
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nhel\r\n';

  it('fails the body of an awaited response, however early the failure came', async () => {
    const client = use(
      await rawOrigin((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end(cut));
      }),
    );
    for (let i = 0; i < 20; i++) {
      const { body } = await client.request({ path: '/', method: 'GET' });
      await expect(body.text()).rejects.toThrow('Invalid EOF state');
    }
  });

  it('reports a disconnect after the end of the body that it followed', async () => {
    const client = use(
      await httpOrigin((_request, response) => {
        response.shouldKeepAlive = false;
        response.end('done');
      }),
    );
    const { body } = await client.request({ path: '/', method: 'GET' });
    // Delivered together with the response, it would go unnoticed.
    const gone = new Promise((resolve) => client.once('disconnect', resolve));
    expect(await body.text()).toBe('done');
    await gone;
  });

  it('serves the request that its connection was opened for, even if the server sent first', async () => {
    const client = use(
      await rawOrigin((socket) => {
        socket.on('error', () => {});
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly');
        socket.resume();
      }),
    );
    for (let i = 0; i < 20; i++) {
      const { body } = await client.request({ path: '/', method: 'GET' });
      expect(await body.text()).toBe('early');
    }
  });

  it('is cut off by destroy() inside its first callback', async () => {
    const client = use(await httpOrigin((_request, response) => response.end()));
    const error = new Error('enough');
    const recorder = new Recorder();
    const inner = recorder.during;
    recorder.during = (name, self) => {
      inner(name, self);
      if (name === 'head') void client.destroy(error);
    };
    await settled(client, recorder);
    expect(recorder.names).toEqual(['start', 'head', 'error']);
  });

  it('lets the first awaited response abort others that arrived with it', async () => {
    const COUNT = 10;
    let waiting: Socket[] = [];
    const origin = await rawOrigin((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => {
        if (waiting.push(socket) < COUNT) return;
        for (const one of waiting) one.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
        waiting = [];
        // All responses have arrived before this thread reads any of them.
        const until = performance.now() + 30;
        while (performance.now() < until);
      });
    });
    const pool = new Pool(origin.url, { connections: COUNT });
    cleanup.push(
      () => origin.close(),
      () => pool.destroy(),
    );
    for (let round = 0; round < 5; round++) {
      const abort = new AbortController();
      const one = async () => {
        const { signal } = abort;
        const { body } = await pool.request({ path: '/', method: 'GET', signal });
        const text = await body.text();
        abort.abort();
        return text;
      };
      const outcomes = await Promise.allSettled(Array.from({ length: COUNT }, one));
      const values = outcomes.flatMap((o) => (o.status === 'fulfilled' ? [o.value] : []));
      expect(values).toEqual(['hi']);
    }
  });
});
