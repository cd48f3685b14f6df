// What user code may do at any moment: throw, reject, act on its own request or dispatcher inside a
// callback (S44), forget its handlers (S44), and change a body while it is being sent (S45).
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Client, errors } from '../../src/index';
import { httpOrigin, rawOrigin, type Origin } from '../support/servers';

const root = fileURLToPath(new URL('../../', import.meta.url));

type Callback =
  | 'onRequestStart'
  | 'onRequestSent'
  | 'onBodySent'
  | 'onResponseStarted'
  | 'onResponseStart'
  | 'onResponseData'
  | 'onResponseEnd'
  | 'onResponseError'
  | 'onRequestUpgrade';

const CALLBACKS: Callback[] = [
  'onRequestStart',
  'onRequestSent',
  'onBodySent',
  'onResponseStarted',
  'onResponseStart',
  'onResponseData',
  'onResponseEnd',
  'onResponseError',
  'onRequestUpgrade',
];

let origin: Origin;

beforeAll(async () => {
  origin = await rawOrigin((socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      while (text.includes('\r\n\r\n')) {
        const end = text.indexOf('\r\n\r\n') + 4;
        const body = text.startsWith('POST') ? 5 : 0;
        if (text.length < end + body) return;
        const path = text.split(' ', 2)[1];
        text = text.slice(end + body);
        if (path === '/upgrade') {
          socket.write('HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhi');
        } else if (path === '/broken') {
          socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf');
        } else {
          socket.write(
            'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n' +
              'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n',
          );
          socket.write('3\r\nay!\r\n0\r\nx-sum: 1\r\n\r\n');
        }
      }
    });
  });
});
afterAll(() => origin.close());

interface Outcome {
  readonly calls: Callback[];
  readonly error: unknown;
}

/** One request with `act` inside each call of `callback`; resolves when it has settled. */
function exchange(
  client: Client,
  callback: Callback,
  act: (controller: any) => unknown,
): Promise<Outcome> {
  const calls: Callback[] = [];
  const path =
    callback === 'onRequestUpgrade'
      ? '/upgrade'
      : callback === 'onResponseError'
        ? '/broken'
        : '/ok';
  const options =
    path === '/upgrade'
      ? { path, method: 'GET', upgrade: 'x' }
      : { path, method: 'POST', body: 'hello' };
  return new Promise((resolve) => {
    let controller: any = null;
    let error: unknown;
    const settle = () => setImmediate(() => resolve({ calls, error }));
    const handler = Object.fromEntries(
      CALLBACKS.map((name) => [
        name,
        (...values: any[]) => {
          calls.push(name);
          if (name === 'onRequestStart') controller = values[0];
          if (name === 'onResponseError') error = values[1];
          if (name === 'onRequestUpgrade') {
            values[3].on('error', () => {});
            values[3].destroy();
          }
          if (['onResponseEnd', 'onResponseError', 'onRequestUpgrade'].includes(name)) settle();
          return name === callback ? act(controller) : undefined;
        },
      ]),
    );
    client.dispatch(options, handler);
  });
}

/** How a request ended; one that was upgraded may fail after that, once. */
function settlements({ calls }: Outcome): Callback[] {
  const all = calls.filter((name) =>
    ['onResponseEnd', 'onResponseError', 'onRequestUpgrade'].includes(name),
  );
  if (all[0] === 'onRequestUpgrade' && all[1] === 'onResponseError') all.shift();
  return all;
}

async function usable(client: Client): Promise<void> {
  const { body } = await client.request({ path: '/ok', method: 'GET' });
  expect(await body.text()).toBe('okay!');
}

describe.each(CALLBACKS)('S44: a handler that, in %s,', (callback) => {
  const own = new Error('from the handler');

  it('throws fails its own request only', async () => {
    const client = new Client(origin.url);
    const reported: unknown[] = [];
    (client as NodeJS.EventEmitter).on('error', (error) => reported.push(error));
    const others = Array.from({ length: 3 }, () => usable(client));
    const outcome = await exchange(client, callback, () => {
      throw own;
    });
    if (callback === 'onResponseError') {
      expect(outcome.calls.at(-1)).toBe('onResponseError');
      expect(reported).toEqual([own]);
    } else {
      expect(outcome.error).toBe(own);
      expect(outcome.calls.at(-1)).toBe('onResponseError');
      expect(reported).toEqual([]);
    }
    await Promise.all(others);
    await usable(client);
    await client.destroy();
  });

  it('rejects is not awaited', async () => {
    const client = new Client(origin.url);
    const outcome = await exchange(client, callback, () => {
      const rejected = Promise.reject(own);
      rejected.catch(() => {});
      return rejected;
    });
    expect(settlements(outcome)).toHaveLength(1);
    expect(outcome.error).not.toBe(own);
    await usable(client);
    await client.destroy();
  });

  it('aborts ends with its reason, once', async () => {
    const client = new Client(origin.url);
    const outcome = await exchange(client, callback, (controller) => {
      controller.abort(own);
      controller.abort(new Error('again'));
    });
    expect(settlements(outcome)).toHaveLength(1);
    const late = ['onResponseEnd', 'onResponseError'].includes(callback);
    if (!late && callback !== 'onRequestUpgrade') expect(outcome.error).toBe(own);
    if (late) expect(outcome.error).not.toBe(own);
    await usable(client);
    await client.destroy();
  });

  it('pauses and resumes, immediately and later, gets everything in order', async () => {
    const client = new Client(origin.url);
    const outcome = await exchange(client, callback, (controller) => {
      controller.pause();
      controller.resume();
      controller.pause();
      setImmediate(() => setImmediate(() => controller.resume()));
    });
    expect(settlements(outcome)).toHaveLength(1);
    if (callback.startsWith('onResponse') && callback !== 'onResponseError') {
      expect(outcome.calls.at(-1)).toBe('onResponseEnd');
      expect(outcome.calls.filter((name) => name === 'onResponseStart')).toHaveLength(2);
    }
    await usable(client);
    await client.destroy();
  });

  it('dispatches again is served', async () => {
    const client = new Client(origin.url);
    const inner: Promise<void>[] = [];
    const outcome = await exchange(client, callback, () => {
      for (let i = 0; i < 3; i++) inner.push(usable(client));
    });
    expect(settlements(outcome)).toHaveLength(1);
    expect(inner.length).toBeGreaterThan(0);
    await Promise.all(inner);
    await client.destroy();
  });

  it.each(['close', 'destroy'] as const)(
    'calls %s() settles once, and so does that',
    async (end) => {
      const client = new Client(origin.url);
      let ended: Promise<void> | undefined;
      const outcome = await exchange(client, callback, () => {
        ended ??= client[end]();
      });
      expect(settlements(outcome)).toHaveLength(1);
      await ended;
      expect(client.destroyed).toBe(true);
      if (callback === 'onRequestUpgrade') expect(outcome.calls.at(-1)).toBe(callback);
      if (end === 'close' && callback !== 'onResponseError' && callback !== 'onRequestUpgrade') {
        expect(settlements(outcome)).toEqual(['onResponseEnd']);
      }
    },
  );
});

it('S44: unreferenced handlers are called to the end, and are garbage afterwards', () => {
  const script = `
    const { Client } = require(${JSON.stringify(join(root, 'dist/index.js'))});
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const handlers = [];
    let ended = 0;
    function start() {
      for (let round = 0; round < 5; round++) {
        // The client is unreferenced, too.
        const client = new Client(${JSON.stringify(origin.url)});
        for (let i = 0; i < 20; i++) {
          const handler = {
            ballast: new Uint8Array(100_000),
            onRequestStart() {}, onResponseStart() {}, onResponseData() {},
            onResponseEnd() { ended++; }, onResponseError(_controller, error) { throw error; },
          };
          handlers.push(new WeakRef(handler));
          client.dispatch({ path: '/ok', method: 'GET' }, handler);
        }
      }
    }
    (async () => {
      start();
      while (ended < 100) { gc(); await turn(); }
      // What a turn still references is released after a few turns.
      let left;
      for (let i = 0; i < 50; i++) {
        gc();
        await turn();
        left = handlers.filter((handler) => handler.deref() !== undefined).length;
        if (left === 0) break;
      }
      console.log(JSON.stringify({ ended, left }));
    })();`;
  return new Promise<void>((resolve) => {
    // Not the synchronous form: the origin is in this process.
    execFile(process.execPath, ['--expose-gc', '-e', script], (error, stdout, stderr) => {
      expect.soft({ error, stderr }).toEqual({ error: null, stderr: '' });
      expect.soft(stdout).toBe('{"ended":100,"left":0}\n');
      resolve();
    });
  });
});

describe('S45: a body that changes while it is being sent', () => {
  const SIZE = 1_000_000;
  let echo: Origin;
  beforeAll(async () => {
    echo = await httpOrigin((request, response) => {
      const seen = new Set<number>();
      let length = 0;
      request.on('data', (chunk: Buffer) => {
        length += chunk.length;
        for (const byte of chunk) seen.add(byte);
      });
      request.on('error', () => {});
      request.on('end', () => {
        response.end(JSON.stringify({ length, bytes: [...seen].sort((a, b) => a - b) }));
      });
    });
  });
  afterAll(() => echo.close());

  /** Sends `body`; `change` runs after the first slice, or before the head if it is not `late`. */
  async function send(body: Uint8Array, change: () => void, late = true): Promise<any> {
    const client = new Client(echo.url);
    let changed = false;
    const once = () => {
      if (changed) return;
      changed = true;
      change();
    };
    try {
      return await new Promise((resolve, reject) => {
        let text = '';
        client.dispatch(
          { path: '/', method: 'POST', body },
          {
            onRequestStart() {
              if (!late) once();
              // The first slices are on their way, the last ones wait for a pull.
              else queueMicrotask(once);
            },
            onResponseStart() {},
            onResponseData: (_controller: unknown, chunk: Buffer) => (text += chunk.toString()),
            onResponseEnd: () => resolve(JSON.parse(text)),
            onResponseError: (_controller: unknown, error: Error) => reject(error),
          },
        );
      });
    } finally {
      const { body: after } = await client.request({ path: '/', method: 'POST', body: 'a' });
      expect(JSON.parse(await after.text())).toEqual({ length: 1, bytes: [97] });
      await client.destroy();
    }
  }

  for (const [when, late] of [
    ['before its head is written', false],
    ['while its slices leave', true],
  ] as const) {
    for (const size of [SIZE, 1_000]) {
      it(`${when}, mutated: the bytes of before and after (${size})`, async () => {
        const body = new Uint8Array(size).fill(98);
        const { length, bytes } = await send(body, () => body.fill(99), late);
        expect(length).toBe(size);
        expect(bytes.every((byte: number) => byte === 98 || byte === 99)).toBe(true);
      });
    }

    it(`${when}, detached: the request fails`, async () => {
      const body = new Uint8Array(SIZE).fill(98);
      const change = () => void structuredClone(body.buffer, { transfer: [body.buffer] });
      await expect(send(body, change, late)).rejects.toBeInstanceOf(
        errors.RequestContentLengthMismatchError,
      );
      expect(body.byteLength).toBe(0);
    });

    for (const [how, to] of [
      ['shrunk', 10],
      ['grown', 2 * SIZE],
    ] as const) {
      it(`${when}, ${how}: the request fails`, async () => {
        const memory = new (ArrayBuffer as any)(SIZE, { maxByteLength: 2 * SIZE });
        const body = new Uint8Array(memory as ArrayBuffer).fill(98);
        await expect(send(body, () => memory.resize(to), late)).rejects.toBeInstanceOf(
          errors.RequestContentLengthMismatchError,
        );
      });
    }

    it(`${when}, shrunk behind a view of fixed length: the request fails`, async () => {
      const memory = new (ArrayBuffer as any)(SIZE, { maxByteLength: SIZE });
      const body = new Uint8Array(memory as ArrayBuffer, 0, SIZE).fill(98);
      await expect(send(body, () => memory.resize(10), late)).rejects.toBeInstanceOf(
        errors.RequestContentLengthMismatchError,
      );
    });
  }

  it('small and detached before its head is written: the request fails', async () => {
    const body = new Uint8Array(1_000).fill(98);
    const change = () => void structuredClone(body.buffer, { transfer: [body.buffer] });
    await expect(send(body, change, false)).rejects.toBeInstanceOf(
      errors.RequestContentLengthMismatchError,
    );
  });

  it('in shared memory that another thread writes arrives complete, whatever it holds', async () => {
    const body = new Uint8Array(new SharedArrayBuffer(SIZE)).fill(98);
    const { length, bytes } = await send(body, () => body.fill(99));
    expect(length).toBe(SIZE);
    expect(bytes.every((byte: number) => byte === 98 || byte === 99)).toBe(true);
  });
});
