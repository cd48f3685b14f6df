// What programs and libraries do with a Response, each with the real thing.

import { once } from 'node:events';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { MessageChannel, Worker } from 'node:worker_threads';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { Agent, caches, fetch, Headers, Request, Response } from '../../src/index';
import { peer } from '../../src/undici/undici';

const LARGE = 1 << 20;

let url: string;
let server: http.Server;
const dispatcher = new Agent();

beforeAll(async () => {
  server = http.createServer((request, response) => {
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.setHeader('set-cookie', ['a=1', 'b=2']);
    if (request.url === '/large') response.end(Buffer.alloc(LARGE, 'x'));
    else if (request.url === '/empty') response.writeHead(204).end();
    else if (request.url?.startsWith('/redirect')) response.writeHead(302, { location: '/' }).end();
    else if (request.url === '/parts') {
      response.write('one,');
      setImmediate(() => response.end('two'));
    } else response.end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  await dispatcher.destroy();
  server.close();
});

const get = (path = '/', init: RequestInit = {}) =>
  fetch(url + path, { ...init, dispatcher } as Parameters<typeof fetch>[1]);

/** A body that arrives in one turn, and one that does not. */
for (const [name, path, text] of [
  ['a short body', '/', 'hello'],
  ['a body in parts', '/parts', 'one,two'],
] as const) {
  describe(name, () => {
    it('belongs to a Response that is an instance of its class, and is inspected like undici’s', async () => {
      const response = await get(path);
      expect(response).toBeInstanceOf(Response);
      expect(response.constructor).toBe(Response);
      expect(Object.prototype.toString.call(response)).toBe('[object Response]');
      expect(Reflect.ownKeys(response)).toEqual([]);
      expect(inspect(response)).toMatch(/^Response \{\n {2}status: 200,[^]* url: 'http/);
      expect(response.headers).toBeInstanceOf(Headers);
      await response.text();
    });

    it('is read as text, JSON error, bytes, ArrayBuffer and Blob, once', async () => {
      expect(await (await get(path)).text()).toBe(text);
      await expect((await get(path)).json()).rejects.toBeInstanceOf(SyntaxError);
      expect(Buffer.from(await (await get(path)).bytes()).toString()).toBe(text);
      const buffer = await (await get(path)).arrayBuffer();
      expect(buffer).toBeInstanceOf(ArrayBuffer);
      expect(buffer.byteLength).toBe(text.length);
      const blob = await (await get(path)).blob();
      expect([blob.type, await blob.text()]).toEqual(['text/plain;charset=utf-8', text]);

      const response = await get(path);
      expect([response.bodyUsed, response.body!.locked]).toEqual([false, false]);
      await response.text();
      expect([response.bodyUsed, response.body!.locked]).toEqual([true, true]);
      await expect(response.text()).rejects.toThrow(
        new TypeError('Body is unusable: Body has already been read'),
      );
      expect(() => response.clone()).toThrow(TypeError);
    });

    it('becomes the body of another Response', async () => {
      const response = await get(path);
      const copy = new Response(response.body, response);
      expect([copy.status, copy.headers.get('content-type')]).toEqual([
        200,
        'text/plain; charset=utf-8',
      ]);
      expect(copy.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
      expect(await copy.text()).toBe(text);
      expect(response.bodyUsed).toBe(true);
    });

    it.each(['text', 'json', 'arrayBuffer', 'bytes', 'clone'] as const)(
      'calls what a program has put in the place of `Response.prototype.%s`',
      async (name) => {
        const spy = vi.spyOn(Response.prototype, name);
        try {
          const response = await get(path);
          // Not every path is JSON.
          await Promise.allSettled([response[name]()]);
          expect(spy.mock.contexts).toEqual([response]);
        } finally {
          spy.mockRestore();
        }
      },
    );

    it('is read through `Response.prototype`', async () => {
      expect(await Response.prototype.text.call(await get(path))).toBe(text);
      const used = await get(path);
      await used.text();
      await expect(Response.prototype.text.call(used)).rejects.toBeInstanceOf(TypeError);
      const cloned = await get(path);
      const clone = Response.prototype.clone.call(cloned);
      expect([await clone.text(), await cloned.text()]).toEqual([text, text]);
      expect([clone.status, clone.url, clone.headers.get('content-type')]).toEqual([
        200,
        cloned.url,
        'text/plain; charset=utf-8',
      ]);
    });

    it('is read with `for await`, a BYOB reader, and as a Node stream', async () => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of (await get(path)).body!) chunks.push(chunk as Uint8Array);
      expect(Buffer.concat(chunks).toString()).toBe(text);

      const reader = (await get(path)).body!.getReader({ mode: 'byob' });
      let read = '';
      for (;;) {
        const { done, value } = await reader.read(new Uint8Array(3));
        if (done) break;
        read += Buffer.from(value).toString();
      }
      expect(read).toBe(text);
      await reader.closed;

      const response = await get(path);
      const stream = Readable.fromWeb(response.body as import('node:stream/web').ReadableStream);
      expect(Buffer.concat(await stream.toArray()).toString()).toBe(text);
    });

    it('can be stored in undici’s CacheStorage and read back', async () => {
      const cache = await caches.open(`interop ${name}`);
      const request = new Request(`${url}${path}`);
      await cache.put(request, await get(path));
      const cached = await cache.match(request);
      expect([await cached!.text(), cached!.status]).toEqual([text, 200]);
      await caches.delete(`interop ${name}`);
    });

    it('can be transferred to another thread', async () => {
      const worker = new Worker(
        `const { parentPort } = require('node:worker_threads');
         parentPort.once('message', async (stream) => {
           let text = '';
           for await (const chunk of stream) text += Buffer.from(chunk);
           parentPort.postMessage(text);
         });`,
        { eval: true },
      );
      const { body } = await get(path);
      worker.postMessage(body, [body as never]);
      const [received] = await once(worker, 'message');
      expect(received).toBe(text);
      await worker.terminate();
    });

    it('is read after `body` was accessed', async () => {
      const response = await get(path);
      expect(response.body).toBe(response.body);
      expect(await response.text()).toBe(text);
    });

    it('cannot be passed to structuredClone', async () => {
      const response = await get(path);
      // Node 20 cannot mark objects as uncloneable; there it is cloned to an empty one, as undici's is.
      if (typeof process.versions.node === 'string' && !process.versions.node.startsWith('20.')) {
        expect(() => structuredClone(response)).toThrow(
          expect.objectContaining({ name: 'DataCloneError' }),
        );
      }
      const { port1 } = new MessageChannel();
      port1.close();
      await response.text();
    });
  });
}

it('both halves of a clone are read, at different speeds', async () => {
  const response = await get('/large');
  const clone = response.clone();
  const reader = response.body!.getReader();
  const first = await reader.read();
  expect(first.done).toBe(false);
  const whole = await clone.text();
  expect(whole).toHaveLength(LARGE);
  let rest = (first.value as Uint8Array).byteLength;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest += (value as Uint8Array).byteLength;
  }
  expect(rest).toBe(LARGE);
});

it('a clone of a clone has the same bytes', async () => {
  const response = await get('/');
  const second = response.clone();
  const third = second.clone();
  expect(await Promise.all([response, second, third].map((one) => one.text()))).toEqual([
    'hello',
    'hello',
    'hello',
  ]);
  const large = await get('/large');
  const copies = [large, large.clone()];
  copies.push(copies[1]!.clone());
  const sizes = await Promise.all(copies.map(async (one) => (await one.arrayBuffer()).byteLength));
  expect(sizes).toEqual([LARGE, LARGE, LARGE]);
});

it('a framework can copy a Response and give it a URL', async () => {
  const response = await get('/parts');
  const [one, other] = response.body!.tee();
  const copies = [one, other].map((body) => {
    const copy = new Response(body, {
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
    });
    Object.defineProperty(copy, 'url', { value: response.url });
    return copy;
  });
  expect(copies.map((copy) => copy.url)).toEqual([response.url, response.url]);
  expect(await Promise.all(copies.map((copy) => copy.text()))).toEqual(['one,two', 'one,two']);
});

it('a response without a body has `body` null, and reads as empty', async () => {
  const response = await get('/empty');
  expect([response.status, response.body, response.bodyUsed]).toEqual([204, null, false]);
  expect([await response.text(), await response.text(), response.bodyUsed]).toEqual([
    '',
    '',
    false,
  ]);
  expect((await response.clone().arrayBuffer()).byteLength).toBe(0);
  await expect(response.json()).rejects.toBeInstanceOf(SyntaxError);
});

it('headers are immutable, and can be copied', async () => {
  const response = await get('/');
  expect(() => response.headers.set('x', '1')).toThrow(new TypeError('immutable'));
  const copy = new Headers(response.headers);
  copy.set('x', '1');
  expect([...copy.keys()]).toContain('x');
  expect([...response.headers.keys()]).not.toContain('x');
  expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  expect(Object.fromEntries(response.headers)).toMatchObject({ 'set-cookie': 'b=2' });
  await response.text();
});

it('bytes are not shared', async () => {
  const one = await get('/');
  const other = one.clone();
  const bytes = await one.bytes();
  bytes.fill(0);
  expect(await other.text()).toBe('hello');
  expect(bytes.buffer.byteLength).toBe(5);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] });
  expect(bytes.byteLength).toBe(0);
});

it('a member called on another object is rejected like undici’s', () => {
  const methods = Response.prototype;
  expect(() => Reflect.get(methods, 'status', {})).toThrow(TypeError);
});

it('members of a fetched Response work with any other, and reject the rest like undici’s', async () => {
  const members = Object.getPrototypeOf(await get('/')) as Response;
  const made = () => new Response('own', { status: 201 });
  expect(await members.text.call(made())).toBe('own');
  expect(await members.clone.call(made()).text()).toBe('own');
  for (const name of ['status', 'ok', 'url', 'redirected', 'bodyUsed'] as const) {
    const response = made();
    expect(Reflect.get(members, name, response)).toBe(response[name]);
    expect(() => Reflect.get(members, name, {})).toThrow(TypeError);
  }
  const text = members.text;
  await expect(text.call({})).rejects.toThrow(TypeError);
});

describe('a `resource` entry', () => {
  const entries: { url: string; size: number }[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { decodedBodySize } = entry as unknown as { decodedBodySize: number };
      entries.push({ url: entry.name, size: decodedBodySize });
    }
  });

  beforeAll(() => observer.observe({ entryTypes: ['resource'] }));
  afterAll(() => observer.disconnect());

  it.each(['ours', 'undici'])('is reported for a response and for a failure: %s', async (whose) => {
    const call = whose === 'ours' ? fetch : peer.fetch;
    const at = (path: string) => `${url}${path}?${whose}`;
    await (await call(at('/'))).text();
    await expect(call(at('/redirect'), { redirect: 'error' })).rejects.toThrow(TypeError);
    await expect(call(at('/'), { signal: AbortSignal.abort() })).rejects.toThrow();
    const mine = () => entries.filter((entry) => entry.url.endsWith(whose));
    await vi.waitUntil(() => mine().length >= 2);
    expect(mine()).toEqual([
      { url: at('/'), size: 5 },
      { url: at('/redirect'), size: 0 },
    ]);
  });
});
