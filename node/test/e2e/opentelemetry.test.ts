// The real @opentelemetry/instrumentation-undici over our dispatchers: its spans, and the headers it
// injects.

import { propagation, SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { Agent, Client, fetch, interceptors, Pool, request } from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
let instrumentation: UndiciInstrumentation;
let origin: Origin;
let port: number;
/** `traceparent` of each request at the origin. */
let parents: unknown[] = [];
const hooked: unknown[] = [];

const kinds = {
  Agent: () => new Agent(),
  Pool: () => new Pool(origin.url),
  Client: () => new Client(origin.url),
  'composed Agent': () => new Agent().compose(interceptors.retry()),
};

beforeAll(async () => {
  origin = await httpOrigin((incoming, response) => {
    parents.push(incoming.headers['traceparent']);
    if (incoming.url === '/hook') hooked.push(incoming.headers['x-hook']);
    if (incoming.url === '/cut') response.destroy();
    else if (incoming.url === '/hang') response.writeHead(200).flushHeaders();
    else response.writeHead(incoming.url === '/missing' ? 404 : 200, { 'x-seen': 'yes' }).end('ok');
  });
  port = Number(new URL(origin.url).port);
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  instrumentation = new UndiciInstrumentation({
    headersToSpanAttributes: { requestHeaders: ['x-asked'], responseHeaders: ['x-seen'] },
  });
  instrumentation.setTracerProvider(provider);
});
afterAll(() => origin.close());
afterEach(async () => {
  await cleanup.run();
  instrumentation.enable();
  exporter.reset();
  parents = [];
});

const traceparent = (span: { spanContext: () => { traceId: string; spanId: string } }) =>
  `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`;

describe('OpenTelemetry', () => {
  it.each(Object.entries(kinds))('has a span for each request of our %s', async (_kind, make) => {
    const dispatcher = make();
    cleanup.add(() => dispatcher.destroy());
    for (const path of ['/first?query', '/missing']) {
      const { body } = await request(origin.url + path, {
        dispatcher,
        headers: { 'x-asked': 'for' },
      });
      await body.dump();
    }
    const response = await fetch(`${origin.url}/fetched`, {
      dispatcher,
      method: 'POST',
      body: 'x',
    });
    await response.text();

    const spans = exporter.getFinishedSpans();
    expect(spans.map(({ name, kind }) => [name, kind])).toEqual([
      ['GET', SpanKind.CLIENT],
      ['GET', SpanKind.CLIENT],
      ['POST', SpanKind.CLIENT],
    ]);
    expect(spans[0]!.attributes).toMatchObject({
      'http.request.method': 'GET',
      'url.full': `${origin.url}/first?query`,
      'server.address': 'localhost',
      'server.port': port,
      'network.peer.address': '127.0.0.1',
      'network.peer.port': port,
      'http.response.status_code': 200,
      'http.request.header.x-asked': ['for'],
      'http.response.header.x-seen': ['yes'],
    });
    expect(spans[1]!.attributes).toMatchObject({ 'http.response.status_code': 404 });
    expect(spans[1]!.status.code).toBe(SpanStatusCode.ERROR);
    expect(parents).toEqual(spans.map(traceparent));
  });

  it('reports failures, and does not count an abort as one', async () => {
    const agent = new Agent();
    cleanup.add(() => agent.destroy());
    await expect(request(`${origin.url}/cut`, { dispatcher: agent })).rejects.toThrow();
    const aborting = new AbortController();
    const { body } = await request(`${origin.url}/hang`, {
      dispatcher: agent,
      signal: aborting.signal,
    });
    aborting.abort();
    await expect(body.text()).rejects.toThrow();
    const gone = await httpOrigin(() => {});
    await gone.close();
    await expect(request(gone.url, { dispatcher: agent })).rejects.toThrow('ECONNREFUSED');

    const [cut, aborted, refused] = exporter.getFinishedSpans();
    expect(cut!.attributes).toMatchObject({ 'error.type': 'UND_ERR_SOCKET' });
    expect(cut!.status.code).toBe(SpanStatusCode.ERROR);
    expect(aborted!.status.code).toBe(SpanStatusCode.UNSET);
    expect(refused!.attributes).toMatchObject({ 'error.type': 'ECONNREFUSED' });
    expect(refused!.events.map(({ name }) => name)).toEqual(['exception']);
  });

  it('may be enabled when a connection already exists', async () => {
    instrumentation.disable();
    const client = new Client(origin.url);
    cleanup.add(() => client.destroy());
    await (await client.request({ path: '/before', method: 'GET' })).body.dump();
    instrumentation.enable();
    await (await client.request({ path: '/after', method: 'GET' })).body.dump();
    expect(exporter.getFinishedSpans().map(({ attributes }) => attributes)).toMatchObject([
      { 'url.path': '/after', 'network.peer.address': '127.0.0.1', 'network.peer.port': port },
    ]);
    expect(parents).toEqual([undefined, expect.stringMatching(/^00-/)]);
  });

  it('lets a hook inspect a request and add to it', async () => {
    const agent = new Agent();
    cleanup.add(() => agent.destroy());
    const seen: unknown[] = [];
    const before = instrumentation.getConfig();
    cleanup.add(() => instrumentation.setConfig(before));
    instrumentation.setConfig({
      ...before,
      requestHook(span, observed) {
        seen.push([observed.method, observed.path, observed.origin]);
        span.updateName('renamed');
        observed.addHeader('x-hook', 'added');
      },
    });
    await (await request(`${origin.url}/hook`, { dispatcher: agent })).body.dump();
    expect(seen).toEqual([['GET', '/hook', origin.url]]);
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['renamed']);
    expect(hooked).toEqual(['added']);
  });
});
