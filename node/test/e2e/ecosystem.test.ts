// What users combine with undici, over our dispatchers: the peer's mocks and interceptors, its
// WebSocket and EventSource against real servers.

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';

import {
  Agent,
  Client,
  Dispatcher,
  EventSource,
  fetch,
  interceptors,
  MockAgent,
  Pool,
  request,
  RetryAgent,
  WebSocket,
} from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let origin: Origin;
let respond: (request: IncomingMessage, response: ServerResponse) => void;
/** Paths served by the origin. */
let served: string[];
/** Connections accepted by the origin. */
let accepted = 0;

beforeAll(async () => {
  origin = await httpOrigin((incoming, response) => {
    served.push(incoming.url as string);
    respond(incoming, response);
  });
  origin.server.on('connection', () => accepted++);
});
afterAll(() => origin.close());
beforeEach(() => {
  served = [];
  respond = (incoming, response) => response.end(`origin ${incoming.url}`);
});

const KINDS: Record<string, () => Agent | Pool | Client> = {
  Agent: () => new Agent(),
  Pool: () => new Pool(origin.url, { connections: 2 }),
  Client: () => new Client(origin.url),
};

function make(kind: string): Agent | Pool | Client {
  const dispatcher = KINDS[kind]!();
  cleanup.add(() => dispatcher.destroy());
  return dispatcher;
}

async function get(dispatcher: Dispatcher, path: string, options: object = {}) {
  const { statusCode, headers, body } = await request(origin.url + path, {
    dispatcher,
    ...options,
  });
  return { statusCode, headers, text: await body.text() };
}

describe.each(Object.keys(KINDS))('over our %s', (kind) => {
  it('interceptors.cache() responds from its store, and revalidates', async () => {
    respond = (incoming, response) => {
      if (incoming.headers['if-none-match'] === '"v1"') {
        response.writeHead(304, { etag: '"v1"', 'cache-control': 'max-age=0' }).end();
        return;
      }
      const fresh = incoming.url === '/fresh';
      response.setHeader('etag', '"v1"');
      response.setHeader('cache-control', fresh ? 'max-age=600' : 'max-age=0, stale-if-error=600');
      response.end(`body of ${incoming.url}`);
    };
    const cached = make(kind).compose(interceptors.cache());
    for (let i = 0; i < 3; i++) {
      expect((await get(cached, '/fresh')).text).toBe('body of /fresh');
      expect((await get(cached, '/stale')).text).toBe('body of /stale');
    }
    expect(served.filter((path) => path === '/fresh')).toHaveLength(1);
    expect(served.filter((path) => path === '/stale')).toHaveLength(3);
  });

  it('interceptors.cache() stores responses separately by their Vary header', async () => {
    respond = (incoming, response) => {
      response.setHeader('cache-control', 'max-age=600').setHeader('vary', 'x-kind');
      response.end(String(incoming.headers['x-kind']));
    };
    const cached = make(kind).compose(interceptors.cache());
    for (const value of ['a', 'b', 'a', 'b']) {
      expect((await get(cached, '/vary', { headers: { 'x-kind': value } })).text).toBe(value);
    }
    expect(served).toHaveLength(2);
  });

  it('interceptors.decompress() decodes the codings it supports', async () => {
    const text = 'compressed '.repeat(50_000);
    const codecs: Record<string, (text: string) => Buffer> = {
      gzip: gzipSync,
      deflate: deflateSync,
      br: brotliCompressSync,
    };
    respond = (incoming, response) => {
      const coding = (incoming.url as string).slice(1);
      response.setHeader('content-encoding', coding);
      response.end(codecs[coding]!(text));
    };
    const decoding = make(kind).compose(interceptors.decompress());
    for (const coding of Object.keys(codecs)) {
      const { text: decoded, headers } = await get(decoding, `/${coding}`);
      expect(decoded === text).toBe(true);
      expect(headers['content-encoding']).toBeUndefined();
    }
  });

  it('interceptors.redirect() follows, with the method that the status requires', async () => {
    respond = (incoming, response) => {
      const status = /^\/(3\d\d)$/.exec(incoming.url as string)?.[1];
      if (status) response.writeHead(Number(status), { location: '/target' }).end();
      else {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('end', () =>
          response.end(`${incoming.method} ${Buffer.concat(chunks).toString()}`),
        );
      }
    };
    const following = make(kind).compose(interceptors.redirect({ maxRedirections: 2 }));
    const post = { method: 'POST', body: 'sent' };
    expect((await get(following, '/302')).text).toBe('GET ');
    expect((await get(following, '/303', post)).text).toBe('GET ');
    expect((await get(following, '/307', post)).text).toBe('POST sent');
    expect((await get(following, '/308', post)).text).toBe('POST sent');
  });

  it('interceptors.dump() discards bodies, and the connection is reused', async () => {
    respond = (_incoming, response) => response.end('x'.repeat(200_000));
    const dumping = make(kind).compose(interceptors.dump({ maxSize: 1_000_000 }));
    const before = accepted;
    for (let i = 0; i < 3; i++) expect((await get(dumping, '/')).text).toBe('');
    expect(accepted - before).toBe(1);
  });

  it('interceptors.dump() aborts bodies beyond its limit', async () => {
    respond = (_incoming, response) => response.end('x'.repeat(200_000));
    const dumping = make(kind).compose(interceptors.dump({ maxSize: 1000 }));
    await expect(get(dumping, '/')).rejects.toMatchObject({ code: 'UND_ERR_ABORTED' });
  });

  it('interceptors.responseError() throws with the body that was received', async () => {
    respond = (_incoming, response) => {
      response.writeHead(418, { 'content-type': 'application/json' }).end('{"tea":true}');
    };
    const throwing = make(kind).compose(interceptors.responseError());
    await expect(get(throwing, '/')).rejects.toMatchObject({
      code: 'UND_ERR_RESPONSE',
      statusCode: 418,
      body: { tea: true },
    });
  });

  it('interceptors.retry() retries, and resumes an interrupted body', async () => {
    const whole = 'the whole body';
    let broken = false;
    respond = (incoming, response) => {
      const from = Number(/bytes=(\d+)-/.exec(incoming.headers.range ?? '')?.[1] ?? 0);
      const total = whole.length;
      response.setHeader('etag', '"one"');
      if (from > 0) {
        response.writeHead(206, { 'content-range': `bytes ${from}-${total - 1}/${total}` });
        response.end(whole.slice(from));
        return;
      }
      response.setHeader('content-length', total);
      if (broken) response.end(whole);
      else response.write(whole.slice(0, 6), () => setImmediate(() => response.destroy()));
      broken = true;
    };
    const retrying = make(kind).compose(
      interceptors.retry({ minTimeout: 1, maxTimeout: 1, maxRetries: 3 }),
    );
    expect((await get(retrying, '/')).text).toBe(whole);
    expect(served.length).toBeGreaterThan(1);
  });

  it('interceptors compose, and the composed dispatcher closes ours', async () => {
    respond = (incoming, response) => {
      if (incoming.url === '/from') response.writeHead(302, { location: '/to' }).end();
      else
        response
          .writeHead(200, { 'content-encoding': 'gzip', 'cache-control': 'max-age=600' })
          .end(gzipSync(`unpacked ${incoming.url}`));
    };
    const dispatcher = make(kind);
    const stacked = dispatcher
      .compose(interceptors.decompress(), interceptors.redirect({ maxRedirections: 1 }))
      .compose([interceptors.cache(), interceptors.retry()]);
    expect((await get(stacked, '/from')).text).toBe('unpacked /to');
    expect(await (await fetch(`${origin.url}/to`, { dispatcher: stacked })).text()).toBe(
      'unpacked /to',
    );
    expect(stacked).toBeInstanceOf(Dispatcher);
    await stacked.close();
    expect(dispatcher.closed).toBe(true);
  });

  it('a body under backpressure through an interceptor arrives complete', async () => {
    respond = (_incoming, response) => response.end('x'.repeat(3_000_000));
    const retrying = make(kind).compose(interceptors.retry());
    const { body } = await request(origin.url, { dispatcher: retrying });
    let length = 0;
    for await (const chunk of body) {
      length += (chunk as Buffer).length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(length).toBe(3_000_000);
  });

  it('a user’s interceptor gets new handlers, changes requests and responds itself', async () => {
    const seen: string[] = [];
    const composed = make(kind).compose((dispatch) => (options, handler) => {
      seen.push(typeof (handler as { onRequestStart?: unknown }).onRequestStart);
      const changed = { ...options, path: `${options.path}?changed` };
      return dispatch(changed, handler);
    });
    const legacy = await new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      composed.dispatch({ origin: origin.url, path: '/legacy', method: 'GET' }, {
        onConnect() {},
        onHeaders: () => true,
        onData: (chunk: Buffer) => chunks.push(chunk) > 0,
        onComplete: () => resolve(Buffer.concat(chunks).toString()),
        onError: reject,
      } as never);
    });
    expect(legacy).toBe('origin /legacy?changed');
    expect((await get(composed, '/new')).text).toBe('origin /new?changed');
    expect(seen).toEqual(['function', 'function']);
  });
});

it('interceptors.dns() resolves, and our Agent connects to the address with the name as host', async () => {
  const hosts: unknown[] = [];
  respond = (incoming, response) => {
    hosts.push(incoming.headers.host);
    response.end('by address');
  };
  const { port } = new URL(origin.url);
  const looked: string[] = [];
  const resolving = make('Agent').compose(
    interceptors.dns({
      affinity: 4,
      lookup: (named, _options, done) => {
        looked.push((named as unknown as { hostname: string }).hostname);
        done(null, [{ address: '127.0.0.1', family: 4, ttl: 60_000 }] as never);
      },
    }),
  );
  for (let i = 0; i < 2; i++) {
    const { body } = await request(`http://name.invalid:${port}/`, { dispatcher: resolving });
    expect(await body.text()).toBe('by address');
  }
  expect(looked).toEqual(['name.invalid']);
  expect(hosts).toEqual([`name.invalid:${port}`, `name.invalid:${port}`]);
});

describe('undici’s MockAgent', () => {
  it('replaces our Agent, and passes through what is allowed', async () => {
    const mock = new MockAgent({ agent: make('Agent') as never });
    mock.enableNetConnect(/localhost/);
    mock
      .get('http://mocked.invalid')
      .intercept({ path: '/once', method: 'POST', body: 'sent' })
      .reply(201, { mocked: true }, { headers: { 'x-mock': 'yes' } });
    mock
      .get('http://mocked.invalid')
      .intercept({ path: '/broken' })
      .replyWithError(new Error('mock'));
    const { statusCode, headers, body } = await request('http://mocked.invalid/once', {
      dispatcher: mock,
      method: 'POST',
      body: 'sent',
    });
    expect([statusCode, headers['x-mock'], await body.json()]).toEqual([
      201,
      'yes',
      { mocked: true },
    ]);
    await expect(request('http://mocked.invalid/broken', { dispatcher: mock })).rejects.toThrow(
      'mock',
    );
    await expect(request('http://other.invalid/', { dispatcher: mock })).rejects.toMatchObject({
      code: 'UND_MOCK_ERR_MOCK_NOT_MATCHED',
    });
    expect((await get(mock as never, '/real')).text).toBe('origin /real');
    mock.assertNoPendingInterceptors();
    await mock.close();
  });

  it('serves fetch, and its interceptors can be composed', async () => {
    const mock = new MockAgent({ agent: make('Agent') as never });
    mock.disableNetConnect();
    mock.get(origin.url).intercept({ path: '/f' }).reply(503, 'busy');
    mock.get(origin.url).intercept({ path: '/f' }).reply(200, 'fetched');
    const dispatcher = mock.compose(interceptors.retry({ minTimeout: 1, maxTimeout: 1 }));
    expect(await (await fetch(`${origin.url}/f`, { dispatcher })).text()).toBe('fetched');
    expect(served).toEqual([]);
    await mock.close();
  });
});

it('undici’s RetryAgent over our Agent retries failed requests', async () => {
  let calls = 0;
  respond = (_incoming, response) => {
    if (++calls < 3) response.writeHead(503).end();
    else response.end('third time');
  };
  const retrying = new RetryAgent(make('Agent'), { minTimeout: 1, maxTimeout: 1 });
  expect((await get(retrying, '/')).text).toBe('third time');
});

describe('undici’s WebSocket against ws', () => {
  let server: WebSocketServer;
  let url: string;
  beforeAll(async () => {
    server = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      perMessageDeflate: { threshold: 0 },
    });
    server.on('connection', (socket) => {
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
    await once(server, 'listening');
    url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  it.each(['Agent', 'Pool', 'Client', 'composed Agent'])('echoes over our %s', async (kind) => {
    const dispatchers: Record<string, () => Dispatcher> = {
      Agent: () => new Agent(),
      Pool: () => new Pool(url.replace('ws', 'http')),
      Client: () => new Client(url.replace('ws', 'http')),
      'composed Agent': () => new Agent().compose(interceptors.retry()),
    };
    const dispatcher = dispatchers[kind]!();
    cleanup.add(() => dispatcher.destroy());
    const socket = new WebSocket(url, { dispatcher });
    socket.binaryType = 'arraybuffer';
    const received: unknown[] = [];
    const sizes = [0, 1, 125, 126, 65_535, 65_536, 1_000_000];
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('error', (event) => reject(event.error));
      socket.addEventListener('open', () => {
        for (const size of sizes) socket.send(Buffer.alloc(size, size % 251));
        socket.send('the end');
      });
      socket.addEventListener('message', ({ data }) => {
        received.push(data);
        if (data === 'the end') resolve();
      });
    });
    expect(received.pop()).toBe('the end');
    expect(received.map((data) => (data as ArrayBuffer).byteLength)).toEqual(sizes);
    for (const [index, size] of sizes.entries()) {
      const bytes = Buffer.from(received[index] as ArrayBuffer);
      expect(bytes.equals(Buffer.alloc(size, size % 251))).toBe(true);
    }
    const closed = once(socket as never, 'close');
    socket.close(1000, 'done');
    expect(await closed).toMatchObject([{ code: 1000, reason: 'done', wasClean: true }]);
  });

  it('responds to pings, and notices a server that goes away', async () => {
    const agent = make('Agent');
    const ponged = new Promise((resolve) => {
      server.once('connection', (socket) => {
        socket.once('pong', (data) => {
          resolve(String(data));
          socket.terminate();
        });
        socket.ping('are you there');
      });
    });
    const socket = new WebSocket(url, { dispatcher: agent });
    const closed = new Promise<{ code: number; wasClean: boolean }>((resolve) =>
      socket.addEventListener('close', resolve),
    );
    expect(await ponged).toBe('are you there');
    expect(await closed).toMatchObject({ code: 1006, wasClean: false });
  });
});

it('undici’s EventSource over our Agent gets its events and reconnects', async () => {
  const ids: unknown[] = [];
  respond = (incoming, response) => {
    ids.push(incoming.headers['last-event-id']);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(`retry: 1\nid: ${ids.length}\nevent: tick\ndata: ${ids.length}\n\n`);
  };
  const source = new EventSource(origin.url, { node: { dispatcher: make('Agent') } });
  const events: unknown[] = [];
  await new Promise<void>((resolve) => {
    source.addEventListener('tick', (event) => {
      const { data, lastEventId } = event as MessageEvent;
      if (events.push([data, lastEventId]) === 3) resolve();
    });
  });
  source.close();
  expect(events).toEqual([
    ['1', '1'],
    ['2', '2'],
    ['3', '3'],
  ]);
  expect(ids.slice(0, 3)).toEqual([undefined, '1', '2']);
});
