// Sends a few requests to a server of its own, and prints what OpenTelemetry got to know of them.

import { once } from 'node:events';
import { createServer } from 'node:http';

import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { Agent, request } from 'dodici';

import { measure } from './metrics.mjs';
import { instrument } from './spans.mjs';

const server = createServer((incoming, response) => {
  const delay = incoming.url === '/slow' ? 100 : 0;
  setTimeout(() => response.end('hello'), delay);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${server.address().port}`;

// A program would export these instead of printing them.
const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: metrics });
const meterProvider = new MeterProvider({ readers: [reader] });
const spans = new InMemorySpanExporter();
const tracerProvider = new BasicTracerProvider({
  spanProcessors: [new SimpleSpanProcessor(spans)],
});

const agent = new Agent({ connections: 2 });
const stop = measure(meterProvider.getMeter('example'), agent);
const instrumentation = instrument(tracerProvider);

for (const path of ['/', '/', '/slow']) {
  const { body } = await request(url + path, { dispatcher: agent });
  await body.dump();
}
await reader.forceFlush();
print('open', metrics);
metrics.reset();

await agent.close();
await reader.forceFlush();
print('closed', metrics);

for (const { name, attributes } of spans.getFinishedSpans()) {
  const own = Object.entries(attributes).filter(([key]) => key.startsWith('dodici.'));
  console.log(
    JSON.stringify({ span: name, path: attributes['url.path'], ...Object.fromEntries(own) }),
  );
}
stop();
instrumentation.disable();
await meterProvider.shutdown();
server.close();

/** One line for each series. */
function print(when, exporter) {
  const scopes = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
  for (const { descriptor, dataPoints } of scopes.flatMap((scope) => scope.metrics)) {
    for (const { attributes, value } of dataPoints) {
      const { count, sum } = typeof value === 'number' ? { sum: value } : value;
      console.log(JSON.stringify({ when, metric: descriptor.name, count, sum, ...attributes }));
    }
  }
}
