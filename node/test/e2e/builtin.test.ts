// Node's built-in fetch, WebSocket and EventSource, of whatever Node runs the tests, over our
// dispatchers: through install(), and as the `dispatcher` of one call. Each in a separate process,
// where nothing has touched the globals.

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';

import { inChild } from '../support/child';
import { httpOrigin, type Origin } from '../support/servers';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

/** Ways to put one of our dispatchers under a built-in; each defines the variable `init`. */
const WAYS: Record<string, string> = {
  'install() of an Agent': `dodici.install(new dodici.Agent()); const init = {};`,
  'install() of options': `dodici.install({ connections: 2 }); const init = {};`,
  'install() of an agent with interceptors.retry()': `
    dodici.install(new dodici.Agent().compose(dodici.interceptors.retry())); const init = {};`,
  'install() of an agent with two layers of interceptors': `
    dodici.install(new dodici.Agent()
      .compose(dodici.interceptors.retry({ maxRetries: 1 }))
      .compose([dodici.interceptors.redirect({ maxRedirections: 1 }), dodici.interceptors.responseError()]));
    const init = {};`,
  'an Agent as dispatcher': `const init = { dispatcher: new dodici.Agent() };`,
  'a Pool as dispatcher': `const init = { dispatcher: new dodici.Pool(values.url) };`,
  'a Client as dispatcher': `const init = { dispatcher: new dodici.Client(values.url) };`,
  'an Agent with interceptors.retry() as dispatcher': `
    const init = { dispatcher: new dodici.Agent().compose(dodici.interceptors.retry()) };`,
  'a Pool with interceptors.retry() as dispatcher': `
    const init = { dispatcher: new dodici.Pool(values.url).compose([dodici.interceptors.retry()]) };`,
};

describe('Node’s fetch', () => {
  let origin: Origin;
  /** Number of requests per path. */
  const seen = new Map<string, number>();

  let refused: string;

  beforeAll(async () => {
    const gone = await httpOrigin(() => {});
    refused = gone.url;
    await gone.close();
    origin = await httpOrigin((request, response) => {
      const url = request.url ?? '';
      const times = (seen.get(url) ?? 0) + 1;
      seen.set(url, times);
      if (url.startsWith('/unwell') && times === 1) {
        response.writeHead(503, { 'retry-after': '0' }).end('not yet');
        return;
      }
      if (url === '/redirect') {
        response.writeHead(307, { location: '/target' }).end();
        return;
      }
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.setHeader('X-Custom', `${request.method} ${String(request.headers['x-mine'])}`);
        response.setHeader('Set-Cookie', ['a=1', 'b=2']);
        response.end(`${url} ${Buffer.concat(chunks).toString()}`);
      });
    });
  });
  afterAll(() => origin.close());

  it.each(Object.keys(WAYS))('works with %s', async (way) => {
    const result = await inChild(
      `${WAYS[way]}
      const plain = await fetch(values.url + '/plain', { ...init, headers: { 'X-Mine': 'yes' } });
      const posted = await fetch(values.url + '/post', { ...init, method: 'POST', body: 'text' });
      const streamed = await fetch(values.url + '/stream', {
        ...init, method: 'PUT', duplex: 'half', body: new Blob(['str', 'eam']).stream(),
      });
      const redirected = await fetch(values.url + '/redirect', { ...init, method: 'POST', body: 'kept' });
      const many = await Promise.all(Array.from({ length: 8 }, async (_, index) =>
        (await fetch(values.url + '/' + index, init)).text()));
      const cloned = await fetch(values.url + '/cloned', init);
      const copy = cloned.clone();
      return [
        plain.status, plain.headers.get('x-custom'), plain.headers.getSetCookie(), await plain.text(),
        await posted.text(), await streamed.text(), redirected.redirected, await redirected.text(),
        many, await cloned.text(), await copy.text(),
      ];`,
      { values: { url: origin.url } },
    );
    expect(result).toEqual([
      200,
      'GET yes',
      ['a=1', 'b=2'],
      '/plain ',
      '/post text',
      '/stream stream',
      // Also where an interceptor could: fetch asks dispatchers not to follow.
      true,
      '/target kept',
      Array.from({ length: 8 }, (_, index) => `/${index} `),
      '/cloned ',
      '/cloned ',
    ]);
  });

  it('has its request retried by interceptors.retry() on our Agent', async () => {
    const result = await inChild(
      `const retry = dodici.interceptors.retry({ minTimeout: 1, maxTimeout: 1 });
      const dispatcher = new dodici.Agent().compose(retry);
      const texts = [await (await fetch(values.url + '/unwell/1', { dispatcher })).text()];
      dodici.install(dispatcher);
      texts.push(await (await fetch(values.url + '/unwell/2')).text());
      return texts;`,
      { values: { url: origin.url } },
    );
    expect(result).toEqual(['/unwell/1 ', '/unwell/2 ']);
    expect([seen.get('/unwell/1'), seen.get('/unwell/2')]).toEqual([2, 2]);
  });

  it.each([
    ['an Agent as dispatcher', 'new dodici.Agent()'],
    [
      'an Agent with interceptors.retry() as dispatcher',
      'new dodici.Agent().compose(dodici.interceptors.retry({ maxRetries: 1, minTimeout: 1 }))',
    ],
  ])('fails once, and for the reason, with %s', async (_way, dispatcher) => {
    const result = await inChild(
      `const init = { dispatcher: ${dispatcher} };
        const aborted = await fetch(values.url, { ...init, signal: AbortSignal.abort(new Error('no')) })
          .catch((error) => error.message);
        const refused = await fetch(values.refused, init).catch((error) => error.cause.code);
        const after = await (await fetch(values.url + '/after', init)).text();
        return [aborted, refused, after];`,
      { values: { url: origin.url, refused } },
    );
    expect(result).toEqual(['no', 'ECONNREFUSED', '/after ']);
  });
});

const webSocketFlags =
  major >= 22 ? [] : major === 20 && minor >= 10 ? ['--experimental-websocket'] : null;

describe.skipIf(webSocketFlags === null)('Node’s WebSocket', () => {
  let server: WebSocketServer;
  let url: string;
  const connections: { protocol: string; headers: Record<string, unknown> }[] = [];

  beforeAll(async () => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true });
    server.on('connection', (socket, request) => {
      connections.push({ protocol: socket.protocol, headers: request.headers });
      socket.on('message', (data, isBinary) => {
        if (!isBinary && String(data) === 'close me') socket.close(4001, 'as you wish');
        else socket.send(data, { binary: isBinary });
      });
    });
    await once(server, 'listening');
    url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  const ways = [
    'install() of an Agent',
    'install() of an agent with interceptors.retry()',
    'an Agent as dispatcher',
    'a Client as dispatcher',
    'a Pool with interceptors.retry() as dispatcher',
  ];

  it.each(ways)('echoes text and bytes, small and large, with %s', async (way) => {
    const before = connections.length;
    const result = await inChild(
      `${WAYS[way]!.replaceAll('values.url', 'values.http')}
      const socket = new WebSocket(values.url, { protocols: ['chat', 'superchat'], ...init });
      socket.binaryType = 'arraybuffer';
      const event = (name) => new Promise((resolve, reject) => {
        socket.addEventListener(name, resolve, { once: true });
        socket.addEventListener('error', (event) => reject(event.error ?? new Error('error event')), { once: true });
      });
      await event('open');
      const echo = async (data) => { socket.send(data); return (await event('message')).data; };
      const text = await echo('grüße');
      const empty = await echo('');
      const large = await echo('x'.repeat(300_000));
      const bytes = Buffer.from(await echo(Buffer.alloc(2_000_000, 7)));
      const closed = event('close');
      socket.send('close me');
      const { code, reason, wasClean } = await closed;
      return [text, empty, large === 'x'.repeat(300_000), bytes.equals(Buffer.alloc(2_000_000, 7)),
        socket.protocol, code, reason, wasClean];`,
      {
        flags: webSocketFlags as string[],
        values: { url, http: url.replace('ws', 'http') },
      },
    );
    expect(result).toEqual(['grüße', '', true, true, 'chat', 4001, 'as you wish', true]);
    expect(connections.length - before).toBe(1);
    expect(connections.at(-1)?.headers).toMatchObject({ upgrade: 'websocket' });
  });

  it('closes from its side, and the process ends', async () => {
    const closed = new Promise((resolve) =>
      server.once('connection', (socket) =>
        socket.once('close', (code, reason) => resolve([code, String(reason)])),
      ),
    );
    const result = await inChild(
      `dodici.install();
      const socket = new WebSocket(values.url);
      await new Promise((resolve) => (socket.onopen = resolve));
      const closed = new Promise((resolve) => (socket.onclose = resolve));
      socket.close(3000, 'bye');
      const { code, reason } = await closed;
      return [code, reason];`,
      { flags: webSocketFlags as string[], values: { url } },
    );
    expect(result).toEqual([3000, 'bye']);
    expect(await closed).toEqual([3000, 'bye']);
  });

  it('reports an error where there is no WebSocket server', async () => {
    const origin = await httpOrigin((_request, response) => response.end('no socket here'));
    const result = await inChild(
      `dodici.install();
      const socket = new WebSocket(values.url);
      // Up to Node 22, no close event follows and the state stays.
      await new Promise((resolve) => (socket.onerror = resolve));
      return socket.readyState === WebSocket.OPEN;`,
      { flags: webSocketFlags as string[], values: { url: origin.url.replace('http', 'ws') } },
    );
    expect(result).toBe(false);
    await origin.close();
  });
});

// Node 20.18 and 22.3 brought it, behind a flag.
describe('Node’s EventSource', () => {
  it.each(['install()', 'an agent with interceptors.retry()'])(
    'gets its events and connects anew through %s',
    async (way) => {
      const ids: unknown[] = [];
      const origin = await httpOrigin((request, response) => {
        ids.push(request.headers['last-event-id']);
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end(`retry: 1\nid: ${ids.length}\ndata: event ${ids.length}\n\n`);
      });
      const result = await inChild(
        `dodici.install(${way === 'install()' ? '' : 'new dodici.Agent().compose(dodici.interceptors.retry())'});
        const source = new EventSource(values.url);
        // Waiting for the next try does not keep a process alive.
        const holding = setInterval(() => {}, 1000);
        const events = [];
        await new Promise((resolve) => {
          source.onmessage = ({ data, lastEventId }) => {
            events.push([data, lastEventId]);
            if (events.length === 3) resolve();
          };
        });
        source.close();
        clearInterval(holding);
        return events;`,
        { flags: ['--experimental-eventsource'], values: { url: origin.url } },
      );
      expect(result).toEqual([
        ['event 1', '1'],
        ['event 2', '2'],
        ['event 3', '3'],
      ]);
      expect(ids.slice(0, 3)).toEqual([undefined, '1', '2']);
      await origin.close();
    },
  );
});
