// The stream of a fetch that could not connect: nothing of it was read, so the caller can use it again.
import { once } from 'node:events';
import { createServer } from 'node:net';
import * as stream from 'node:stream';

import { afterEach, describe, expect, it } from 'vitest';

import { Agent, Client, fetch, Pool } from '../../src/index';
import { peer } from '../../src/undici/undici';
import { httpOrigin, httpsOrigin, listening } from '../support/servers';
import { Cleanup } from '../support/wire';

// Exists in Node, but not in its types.
const { isDisturbed } = stream as unknown as { isDisturbed(stream: unknown): boolean };

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

type Call = typeof peer.fetch;
const CALLS = { undici: peer.fetch, ours: fetch };

async function refused(): Promise<string> {
  const { port, close } = await listening(createServer());
  await close();
  return `http://127.0.0.1:${port}`;
}

async function untrusted(): Promise<string> {
  const origin = await httpsOrigin((_request, response) => response.end());
  cleanup.add(() => origin.close());
  return origin.url;
}

/** What is left of a stream after a fetch with it has failed. */
async function leftover(call: Call, url: string, init: object = {}): Promise<object> {
  const calls: string[] = [];
  const body = new ReadableStream(
    {
      pull(controller) {
        calls.push('pull');
        controller.enqueue(Buffer.from('body'));
        controller.close();
      },
      cancel: () => void calls.push('cancel'),
    },
    { highWaterMark: 0 },
  );
  const options = { method: 'POST', body, duplex: 'half', ...init } as object;
  await expect(call(url, options)).rejects.toThrow('fetch failed');
  return { calls: [...calls], locked: body.locked, disturbed: isDisturbed(body), body };
}

const PLACES: [string, () => Promise<string>][] = [
  ['a refused connection', refused],
  ['a certificate that is not trusted', untrusted],
  ['an unknown host', () => Promise.resolve('http://host.invalid')],
];

describe('the stream of a fetch that failed before it was sent', () => {
  it.each(PLACES)('is as undici leaves it, and can be sent: %s', async (_name, place) => {
    const url = await place();
    const seen: object[] = [];
    for (const call of Object.values(CALLS)) {
      const { body, ...facts } = (await leftover(call, url)) as { body: ReadableStream };
      seen.push(facts);
      const origin = await httpOrigin((request, response) => request.pipe(response));
      const init = { method: 'POST', body, duplex: 'half' } as object;
      expect(await (await call(origin.url, init)).text()).toBe('body');
      await origin.close();
    }
    const [theirs, ours] = seen;
    expect(ours).toEqual(theirs);
    expect(ours).toEqual({ calls: [], locked: false, disturbed: false });
  });

  const kinds: [string, (url: string) => object][] = [
    ['an Agent', () => new Agent()],
    ['a Pool', (url) => new Pool(url)],
    ['a Client', (url) => new Client(url)],
    ['a pipelining Client', (url) => new Client(url, { pipelining: 2 })],
  ];

  it.each(kinds)('is not read by %s', async (_name, make) => {
    const url = await refused();
    const dispatcher = make(url) as Agent;
    cleanup.add(() => dispatcher.destroy());
    const facts = await leftover(CALLS.ours, url, { dispatcher });
    expect(facts).toMatchObject({ calls: [], locked: false, disturbed: false });
  });

  it('is read although other requests were given up while it waited', async () => {
    const server = createServer();
    const { port, sockets } = await listening(server);
    cleanup.add(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const lookups: ((error: null, address: string, family: number) => void)[] = [];
    const dispatcher = new Agent({
      connect: { lookup: (_host: string, _options: object, done: any) => void lookups.push(done) },
    });
    cleanup.add(() => dispatcher.destroy());
    const url = `http://host.test:${port}`;
    const abort = new AbortController();
    const first = fetch(url, { dispatcher, signal: abort.signal });
    const body = new Blob(['body']).stream();
    const second = fetch(url, { dispatcher, method: 'POST', body, duplex: 'half' } as object);
    while (lookups.length === 0) await new Promise((resolve) => setImmediate(resolve));
    abort.abort();
    await expect(first).rejects.toThrow();
    const connected = once(server, 'connection');
    while (lookups.length > 0 || sockets.size === 0) {
      lookups.shift()?.(null, '127.0.0.1', 4);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [socket] = (await connected) as [import('node:net').Socket];
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));
    expect(await (await second).text()).toBe('ok');
  });
});
