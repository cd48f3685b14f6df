// Our fetch: what a comparison with undici's on generated requests does not cover.

import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import * as http from 'node:http';
import * as net from 'node:net';
import * as zlib from 'node:zlib';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  Agent,
  Client,
  counters,
  fetch,
  FormData,
  MockAgent,
  Request,
  Response,
} from '../../src/index';
import { peerMajor } from '../../src/undici/undici';
import { http2Origin, httpsOrigin } from '../support/servers';

let url: string;
let server: http.Server;
const seen: { method: string; url: string; headers: http.IncomingHttpHeaders; body: string }[] = [];
const sockets = new Set<net.Socket>();

/** The response to the next request; `null`: an echo. */
let answer: ((request: http.IncomingMessage, response: http.ServerResponse) => void) | null = null;

beforeAll(async () => {
  server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('latin1').on('data', (chunk: string) => (body += chunk));
    request.on('error', () => undefined);
    request.on('end', () => {
      seen.push({ method: request.method!, url: request.url!, headers: request.headers, body });
      if (answer === null) response.end(body);
      else answer(request, response);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
});

afterAll(() => {
  server.close();
  server.closeAllConnections();
});

/** The error of a promise that must reject. */
async function failureOf(promise: Promise<unknown>): Promise<Error & { cause: Error }> {
  try {
    await promise;
  } catch (error) {
    return error as Error & { cause: Error };
  }
  throw new Error('it did not fail');
}

/** The server's last request. */
const last = () => seen.at(-1)!;

async function withAnswer<T>(given: typeof answer, then: () => Promise<T>): Promise<T> {
  answer = given;
  try {
    return await then();
  } finally {
    answer = null;
  }
}

describe('left to the peer', () => {
  it('are other schemes, an integrity, no-cors, and a global origin; nothing else', async () => {
    const before = counters();
    expect(await (await fetch('data:text/plain,hello')).text()).toBe('hello');
    const blob = URL.createObjectURL(new Blob(['blob']));
    expect(await (await fetch(blob)).text()).toBe('blob');
    const integrity = 'sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=';
    const hello = (_: unknown, response: http.ServerResponse) => response.end('hello');
    await withAnswer(hello, async () => {
      expect(await (await fetch(url, { integrity })).text()).toBe('hello');
      await (await fetch(new Request(url, { integrity }))).text();
      await (await fetch(url, { mode: 'no-cors' })).text();
    });
    await expect(fetch('about:blank')).rejects.toThrow('fetch failed');
    expect(counters().fetchesByPeer - before.fetchesByPeer).toBe(6);
    await (await fetch(url)).text();
    await expect(fetch('not a url')).rejects.toThrow('Failed to parse URL from not a url');
    await expect(fetch(url, { method: 'GET', body: 'x' })).rejects.toThrow('cannot have body');
    const after = counters();
    expect(after.fetchesByPeer - before.fetchesByPeer).toBe(6);
    expect(after.fetches - before.fetches).toBe(9);
  });
});

describe('fetch accepts', () => {
  it('a URL, a Request, a Request with an init, and Node’s own Request', async () => {
    await (await fetch(new URL('/url', url))).text();
    expect(last().url).toBe('/url');
    const request = new Request(`${url}/request`, { method: 'PUT', body: 'one' });
    expect(await (await fetch(request)).text()).toBe('one');
    expect(request.bodyUsed).toBe(true);
    await expect(fetch(request)).rejects.toThrow('already been used');

    const other = new Request(`${url}/request`, { method: 'PUT', body: 'one' });
    expect(await (await fetch(other, { body: 'two', headers: { 'x-a': 'b' } })).text()).toBe('two');
    expect([last().method, last().headers['x-a']]).toEqual(['PUT', 'b']);

    const own = new globalThis.Request(`${url}/own`, {
      method: 'POST',
      body: 'node',
      headers: { 'X-Own': 'yes' },
    });
    expect(own).not.toBeInstanceOf(Request);
    expect(await (await fetch(own as unknown as Request)).text()).toBe('node');
    expect([last().method, last().url, last().headers['x-own']]).toEqual(['POST', '/own', 'yes']);
  });

  it('a dispatcher in the Request', async () => {
    let used = 0;
    const agent = new Agent().compose((dispatch) => (options, handler) => {
      used++;
      return dispatch(options, handler);
    });
    const request = new Request(url, { dispatcher: agent });
    await (await fetch(request)).text();
    await (await fetch(url, { dispatcher: agent })).text();
    expect(used).toBe(2);
    await agent.close();
  });

  it('forms of undici’s and of Node’s', async () => {
    for (const Form of [FormData, globalThis.FormData] as (typeof FormData)[]) {
      const form = new Form();
      form.set('text', 'a\nb');
      form.set('file', new Blob(['content'], { type: 'text/x' }), 'name.txt');
      const text = await (await fetch(url, { method: 'POST', body: form })).text();
      expect(last().headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
      expect(last().headers['content-length']).toBe(String(text.length));
      const headers = { 'content-type': last().headers['content-type']! };
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- the server is ours
      const parsed = await new Response(text, { headers }).formData();
      expect([parsed.get('text'), await (parsed.get('file') as File).text()]).toEqual([
        'a\r\nb',
        'content',
      ]);
      // undici's Request accepts its own only.
      if (Form !== FormData) continue;
      const request = new Request(url, { method: 'POST', body: form });
      const again = await (await fetch(request)).text();
      expect(again).toContain('content');
      expect(last().headers['content-type']).toContain(/--(.*)\r\n/.exec(again)![1]);
    }
  });

  it('bytes as they were when it was called', async () => {
    const bytes = new Uint8Array(300_000).fill(65);
    const sent = fetch(url, { method: 'POST', body: bytes });
    bytes.fill(66);
    expect(await (await sent).text()).toBe('A'.repeat(300_000));
    const given = new TextEncoder().encode('given away');
    structuredClone(given.buffer, { transfer: [given.buffer] });
    await (await fetch(url, { method: 'POST', body: given })).text();
    expect(last().headers['content-length']).toBe('0');
  });

  it('a stream, which is cancelled with the reason', async () => {
    const controller = new AbortController();
    let cancelled: unknown;
    const body = new ReadableStream({
      pull(stream) {
        stream.enqueue(new Uint8Array(10));
        return new Promise(() => {});
      },
      cancel(reason) {
        cancelled = reason;
      },
    });
    const init = { method: 'POST', body, duplex: 'half', signal: controller.signal } as const;
    const sent = fetch(url, init);
    const reason = new Error('changed my mind');
    setImmediate(() => controller.abort(reason));
    await expect(sent).rejects.toBe(reason);
    expect(cancelled).toBe(reason);
  });

  it('a stream that fails, with its error as the cause', async () => {
    const error = new Error('no more');
    const body = new ReadableStream({ pull: (stream) => stream.error(error) });
    const failed = await failureOf(fetch(url, { method: 'POST', body, duplex: 'half' }));
    expect([failed.constructor, failed.message, failed.cause]).toEqual([
      TypeError,
      'fetch failed',
      error,
    ]);
  });
});

describe('an encoded body', () => {
  const coders = {
    gzip: zlib.gzipSync,
    deflate: zlib.deflateSync,
    'raw deflate': zlib.deflateRawSync,
    br: zlib.brotliCompressSync,
  };
  for (const [name, code] of Object.entries(coders)) {
    const coding = name.replace('raw ', '');
    const send = (bytes: Buffer) => (_: unknown, response: http.ServerResponse) => {
      response.setHeader('content-encoding', coding);
      response.end(bytes);
    };

    it(`${name} is decoded, and the head is unchanged`, async () => {
      const text = 'coded '.repeat(50_000);
      await withAnswer(send(code(text)), async () => {
        const response = await fetch(url);
        expect(response.headers.get('content-encoding')).toBe(coding);
        expect(await response.text()).toBe(text);
        const stream = await fetch(url);
        let read = 0;
        for await (const chunk of stream.body!) read += (chunk as Uint8Array).byteLength;
        expect(read).toBe(text.length);
      });
    });

    it(`a truncated ${name} is an error, an empty one is not`, async () => {
      const bytes = code('something that is long enough to be cut');
      await withAnswer(send(bytes.subarray(0, -3)), async () => {
        const failed = await failureOf((await fetch(url)).text());
        expect([failed.constructor, failed.message]).toEqual([TypeError, 'terminated']);
        expect(failed.cause).toBeInstanceOf(Error);
      });
      await withAnswer(send(Buffer.alloc(0)), async () => {
        expect(await (await fetch(url)).text()).toBe('');
      });
    });
  }

  it('too many codings are an error', async () => {
    const many = (_: unknown, response: http.ServerResponse) => {
      response.setHeader('content-encoding', Array.from({ length: 6 }, () => 'gzip').join(','));
      response.end('x');
    };
    await withAnswer(many, async () => {
      const failed = await failureOf(fetch(url));
      expect(failed.cause.message).toBe(
        'too many content-encodings in response: 6, maximum allowed is 5',
      );
    });
  });
});

describe('over TLS', () => {
  const coded = zlib.brotliCompressSync('secret '.repeat(1000));

  it('with HTTP/1.1 and HTTP/2 it asks for more codings, and undoes them', async () => {
    const asked: unknown[] = [];
    const first = await httpsOrigin((request, response) => {
      asked.push(request.headers['accept-encoding'], request.headers['sec-fetch-mode']);
      response.setHeader('content-encoding', 'br').end(coded);
    });
    const second = await http2Origin((stream, headers) => {
      asked.push(headers['accept-encoding'], headers['sec-fetch-mode']);
      stream.respond({ ':status': 200, 'content-encoding': 'br', 'x-over': 'h2' });
      stream.end(coded);
    });
    for (const [origin, over] of [
      [first, null],
      [second, 'h2'],
    ] as const) {
      const agent = new Agent({ ...origin.options, allowH2: over !== null });
      const response = await fetch(origin.url, { dispatcher: agent });
      expect([response.headers.get('x-over'), response.statusText]).toEqual([
        over,
        over === null ? 'OK' : '',
      ]);
      expect(await response.text()).toBe('secret '.repeat(1000));
      await agent.destroy();
      await origin.close();
    }
    const codings = peerMajor === 7 ? 'br, gzip, deflate' : 'br, gzip, deflate, zstd';
    expect(asked).toEqual([codings, 'cors', codings, 'cors']);
  });
});

it.each([
  ['a spread', (handler: object) => ({ ...handler })],
  ['an heir', (handler: object) => Object.create(handler) as object],
])('an interceptor whose handler is %s sees what came over the wire', async (_name, derive) => {
  let seenBytes = 0;
  const agent = new Agent().compose((dispatch) => (options, handler) => {
    const watched = derive(handler) as typeof handler;
    watched.onResponseData = (controller, chunk) => {
      seenBytes += chunk.byteLength;
      handler.onResponseData?.(controller, chunk);
    };
    return dispatch(options, watched);
  });
  const coded = zlib.gzipSync('plain '.repeat(10_000));
  const send = (_: unknown, response: http.ServerResponse) => {
    response.setHeader('content-encoding', 'gzip').end(coded);
  };
  await withAnswer(send, async () => {
    expect(await (await fetch(url, { dispatcher: agent })).text()).toBe('plain '.repeat(10_000));
  });
  expect(seenBytes).toBe(coded.byteLength);
  await agent.close();
});

describe('redirects', () => {
  it('use the same connection, and send no credentials to another origin', async () => {
    const agent = new Agent();
    const ports = new Set<unknown>();
    const redirect = (request: http.IncomingMessage, response: http.ServerResponse) => {
      ports.add(request.socket.remotePort);
      const step = Number(request.url!.slice(1) || 0);
      if (step < 5) response.writeHead(307, { location: `/${step + 1}` });
      else if (step === 5) {
        response.writeHead(302, { location: `${url.replace('127.0.0.1', 'localhost')}/6` });
      }
      response.end('body');
    };
    await withAnswer(redirect, async () => {
      const headers = { authorization: 'secret', cookie: 'a=b', 'x-kept': 'yes' };
      const response = await fetch(url, { headers, dispatcher: agent });
      expect([response.redirected, new URL(response.url).pathname]).toEqual([true, '/6']);
      expect(response.type).toBe('cors');
      await response.text();
    });
    expect(last().headers).toMatchObject({ 'x-kept': 'yes' });
    expect(last().headers.authorization ?? last().headers.cookie).toBeUndefined();
    expect(ports.size).toBeLessThanOrEqual(2);
    await agent.close();
  });

  it('are limited to twenty', async () => {
    let hops = 0;
    const again = (_: unknown, response: http.ServerResponse) => {
      hops++;
      response.writeHead(302, { location: '/again' }).end();
    };
    await withAnswer(again, async () => {
      const failed = await failureOf(fetch(url));
      expect(failed.cause.message).toBe('redirect count exceeded');
    });
    expect(hops).toBe(21);
  });

  it('are not stopped by a body that never ends, with one connection', async () => {
    const client = new Client(url);
    const endless = (request: http.IncomingMessage, response: http.ServerResponse) => {
      if (request.url === '/there') response.end('arrived');
      else response.writeHead(302, { location: '/there' }).write('and so on');
    };
    await withAnswer(endless, async () => {
      expect(await (await fetch(url, { dispatcher: client })).text()).toBe('arrived');
    });
    await client.destroy();
  });

  it('send a Referer only as far as the policy allows', async () => {
    const init = { referrer: `${url}/from?secret#part`, referrerPolicy: 'same-origin' } as const;
    await (await fetch(`${url}/to`, init)).text();
    expect(last().headers.referer).toBe(`${url}/from?secret`);
    await (await fetch(`${url.replace('127.0.0.1', 'localhost')}/to`, init)).text();
    expect(last().headers.referer).toBeUndefined();
  });
});

describe('a signal', () => {
  it('that fires after the complete body, unread, fails it', async () => {
    const controller = new AbortController();
    const response = await fetch(url, { signal: controller.signal });
    await new Promise((resolve) => setTimeout(resolve, 20));
    controller.abort(new Error('too late'));
    await expect(response.text()).rejects.toThrow('too late');
  });

  it('that fires in the same turn as the body is read fails it', async () => {
    const controller = new AbortController();
    const response = await fetch(url, { signal: controller.signal });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const text = response.text();
    controller.abort(new Error('at once'));
    await expect(text).rejects.toThrow('at once');
  });

  it('followed by many fetches has one listener, and none when they are over', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    let most = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = function (...given: unknown[]) {
      most = Math.max(most, ++listeners);
      Reflect.apply(addEventListener, this, given);
    };
    signal.removeEventListener = function (...given: unknown[]) {
      listeners--;
      Reflect.apply(removeEventListener, this, given);
    };
    const all = Array.from({ length: 20 }, async () => (await fetch(url, { signal })).text());
    await Promise.all(all);
    expect([most, listeners]).toEqual([1, 0]);
  });

  it('that has timed out rejects with its TimeoutError', async () => {
    const silent = () => undefined;
    await withAnswer(silent, async () => {
      const failed = await failureOf(fetch(url, { signal: AbortSignal.timeout(20) }));
      expect([failed.constructor, failed.name]).toEqual([DOMException, 'TimeoutError']);
    });
  });
});

it('the stack of an error shows where fetch was awaited', async () => {
  async function somebodyWhoAwaits() {
    await fetch('http://127.0.0.1:1');
  }
  const { stack } = await failureOf(somebodyWhoAwaits());
  expect(stack).toContain('somebodyWhoAwaits');
});

it('the user’s streams are read in the caller’s context', async () => {
  const storage = new AsyncLocalStorage<string>();
  const contexts: unknown[] = [];
  await storage.run('caller', async () => {
    const body = (async function* () {
      contexts.push(storage.getStore());
      yield new Uint8Array(1);
      contexts.push(storage.getStore());
    })();
    const init = { method: 'POST', body, duplex: 'half' } as unknown as RequestInit;
    await (await fetch(url, init as Parameters<typeof fetch>[1])).text();
    contexts.push(storage.getStore());
  });
  expect(contexts).toEqual(['caller', 'caller', 'caller']);
});

it('MockAgent serves it, and gets the body’s source', async () => {
  const agent = new MockAgent();
  agent.disableNetConnect();
  const pool = agent.get('http://mock.test');
  pool
    .intercept({ path: '/p?q=1', method: 'POST', body: 'a=1' })
    .reply(201, { mocked: true }, { headers: { 'x-mock': 'yes', 'set-cookie': 'a=b' } });
  const before = counters().fetchesByPeer;
  const response = await fetch('http://mock.test/p?q=1', {
    method: 'POST',
    body: new URLSearchParams({ a: '1' }),
    dispatcher: agent,
  });
  expect([response.status, response.headers.get('x-mock')]).toEqual([201, 'yes']);
  expect(await response.json()).toEqual({ mocked: true });
  expect(counters().fetchesByPeer).toBe(before);
  await agent.close();
});
