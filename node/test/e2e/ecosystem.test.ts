// What others build on undici works over our Agent: OpenTelemetry's instrumentation, the peer's
// interceptors and mocks.

import { gzipSync } from 'node:zlib';

import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Agent, type Dispatcher, fetch, interceptors, MockAgent, Pool } from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';

let origin: Origin;
/** Requests as the origin saw them. */
const seen: { url: string; headers: Record<string, unknown> }[] = [];
let failures = 0;

beforeAll(async () => {
  origin = await httpOrigin((request, response) => {
    seen.push({ url: request.url ?? '', headers: request.headers });
    switch (request.url) {
      case '/gzip':
        response.setHeader('content-encoding', 'gzip');
        response.end(gzipSync('compressed'));
        return;
      case '/cached':
        response.setHeader('cache-control', 'max-age=60');
        response.end(`answer ${seen.length}`);
        return;
      case '/moved':
        response.writeHead(302, { location: '/target' }).end();
        return;
      case '/flaky':
        if (failures-- > 0) response.writeHead(503, { 'retry-after': '0' });
        response.end('at last');
        return;
      default:
        response.end(`got ${request.url}`);
    }
  });
});
afterAll(() => origin.close());
beforeEach(() => {
  seen.length = 0;
});

async function textOf(dispatcher: Dispatcher, path: string): Promise<string> {
  const { body } = await dispatcher.request({ origin: origin.url, path, method: 'GET' });
  return body.text();
}

describe('interceptors of the peer over our Agent', () => {
  let agent: Agent;
  beforeEach(() => {
    agent = new Agent();
  });
  afterEach(() => agent.close());

  it('cache answers the second request without the server', async () => {
    const composed = agent.compose(interceptors.cache());
    const first = await textOf(composed, '/cached');
    expect(await textOf(composed, '/cached')).toBe(first);
    expect(seen).toHaveLength(1);
  });

  it('decompress decodes what the server has encoded', async () => {
    const composed = agent.compose(interceptors.decompress());
    expect(await textOf(composed, '/gzip')).toBe('compressed');
  });

  it('dns looks a name up once and connects to its address, under the name', async () => {
    const lookups: string[] = [];
    const composed = agent.compose(
      interceptors.dns({
        lookup: (named, _options, callback) => {
          lookups.push(named.hostname);
          callback(null, [{ address: '127.0.0.1', family: 4, ttl: 60_000 }] as never);
        },
      }),
    );
    const { port } = new URL(origin.url);
    for (const path of ['/1', '/2']) {
      const { body } = await composed.request({
        origin: `http://dodici.invalid:${port}`,
        path,
        method: 'GET',
      });
      expect(await body.text()).toBe(`got ${path}`);
    }
    expect(lookups).toEqual(['dodici.invalid']);
    expect(seen.map(({ headers }) => headers['host'])).toEqual(
      Array(2).fill(`dodici.invalid:${port}`),
    );
  });

  it('redirect follows', async () => {
    const composed = agent.compose(interceptors.redirect({ maxRedirections: 3 }));
    expect(await textOf(composed, '/moved')).toBe('got /target');
  });

  it.each([
    ['request()', (dispatcher: Dispatcher) => textOf(dispatcher, '/flaky')],
    [
      'the peer’s fetch()',
      async (dispatcher: Dispatcher) => (await fetch(`${origin.url}/flaky`, { dispatcher })).text(),
    ],
    [
      'Node’s fetch()',
      async (dispatcher: Dispatcher) => {
        const options = { dispatcher } as unknown as RequestInit;
        return (await globalThis.fetch(`${origin.url}/flaky`, options)).text();
      },
    ],
  ])('retry repeats a failed request of %s', async (_who, send) => {
    failures = 2;
    const composed = agent.compose(interceptors.retry({ maxRetries: 3, minTimeout: 1 }));
    expect(await send(composed)).toBe('at last');
    expect(seen).toHaveLength(3);
  });

  it('all of them at once', async () => {
    failures = 1;
    const composed = agent.compose(
      interceptors.retry({ minTimeout: 1 }),
      interceptors.redirect({ maxRedirections: 1 }),
      interceptors.decompress(),
      interceptors.dump({ maxSize: 1024 }),
    );
    expect(await textOf(composed, '/flaky')).toBe('');
    expect(seen).toHaveLength(2);
  });
});

describe('MockAgent of the peer', () => {
  it('answers what is mocked and passes the rest to our Agent', async () => {
    const agent = new Agent({ factory: (url, options) => new Pool(url, options) });
    const mock = new MockAgent({ agent });
    mock.disableNetConnect();
    mock.enableNetConnect(new URL(origin.url).host);
    mock
      .get(origin.url)
      .intercept({ path: '/mocked', method: 'GET' })
      .reply(200, { mocked: true }, { headers: { 'x-mock': 'yes' } })
      .times(2);
    for (let i = 0; i < 2; i++) {
      const { headers, body } = await mock.request({
        origin: origin.url,
        path: '/mocked',
        method: 'GET',
      });
      expect([headers['x-mock'], await body.json()]).toEqual(['yes', { mocked: true }]);
    }
    expect(await textOf(mock, '/real')).toBe('got /real');
    expect(seen.map(({ url }) => url)).toEqual(['/real']);
    mock.assertNoPendingInterceptors();
    await expect(
      mock.request({ origin: 'http://unknown.invalid', path: '/', method: 'GET' }),
    ).rejects.toThrow(/Mock dispatch not matched|net\.connect disabled/i);
    await mock.close();
  });
});

describe('OpenTelemetry’s instrumentation of undici', () => {
  const exporter = new InMemorySpanExporter();
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const instrumentation = new UndiciInstrumentation();

  beforeAll(() => {
    provider.register();
    instrumentation.setTracerProvider(provider);
    instrumentation.enable();
  });
  afterAll(async () => {
    instrumentation.disable();
    await provider.shutdown();
    trace.disable();
    context.disable();
    propagation.disable();
  });
  beforeEach(() => exporter.reset());

  it.each([
    ['request()', (agent: Agent, path: string) => textOf(agent, path)],
    [
      'fetch()',
      async (dispatcher: Agent, path: string) =>
        (await fetch(`${origin.url}${path}`, { dispatcher })).text(),
    ],
  ])('makes a span for each %s and sends its context along', async (_who, send) => {
    const agent = new Agent();
    expect(await send(agent, '/traced?q=1')).toBe('got /traced?q=1');
    const spans = exporter.getFinishedSpans();
    expect(spans).toHaveLength(1);
    const [span] = spans;
    expect(span!.kind).toBe(SpanKind.CLIENT);
    const url = new URL(`${origin.url}/traced?q=1`);
    expect(span!.attributes).toMatchObject({
      'http.request.method': 'GET',
      'http.response.status_code': 200,
      'server.address': 'localhost',
      'server.port': Number(url.port),
      'network.peer.port': Number(url.port),
      'url.full': url.href,
      'url.path': '/traced',
      'url.query': '?q=1',
    });
    const { traceId, spanId } = span!.spanContext();
    expect(seen[0]!.headers['traceparent']).toBe(`00-${traceId}-${spanId}-01`);
    await agent.close();
  });

  it('marks the span of a failed request', async () => {
    const agent = new Agent();
    await expect(
      agent.request({ origin: 'http://127.0.0.1:1', path: '/', method: 'GET' }),
    ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const [span] = exporter.getFinishedSpans();
    expect(span!.status.code).toBe(SpanStatusCode.ERROR);
    await agent.close();
  });
});
