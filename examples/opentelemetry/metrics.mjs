// OpenTelemetry's metrics of HTTP clients, and one of our own: how long each stage of a request took.
//
// https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#http-client

import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { stagesOf } from './stages.mjs';

/** The buckets that the conventions advise, in seconds. */
const explicitBucketBoundaries = [
  ...[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25],
  ...[0.5, 0.75, 1, 2.5, 5, 7.5, 10],
];

/** Measures all requests of this process, and the connections of `agent`. Returns what ends that. */
export function measure(meter, agent) {
  const histogram = (name, description) =>
    meter.createHistogram(name, { description, unit: 's', advice: { explicitBucketBoundaries } });
  const requestDuration = histogram(
    'http.client.request.duration',
    'Duration of HTTP client requests.',
  );
  const connectionDuration = histogram(
    'http.client.connection.duration',
    'Duration of the successfully established outbound HTTP connections.',
  );
  const stageDuration = histogram(
    'dodici.client.request.stage.duration',
    'Duration of each stage of a request.',
  );
  const activeRequests = meter.createUpDownCounter('http.client.active_requests', {
    description: 'Number of active HTTP requests.',
    unit: '{request}',
  });
  const openConnections = meter.createObservableUpDownCounter('http.client.open_connections', {
    description: 'Number of outbound HTTP connections that are active or idle on the client.',
    unit: '{connection}',
  });

  const onTimings = ({ request, timings, statusCode, error }) => {
    const { protocol, remoteAddress } = timings.connection ?? {};
    const attributes = {
      ...serverOf(request.origin),
      'http.request.method': request.method,
      ...(statusCode !== null && { 'http.response.status_code': statusCode }),
      ...(protocol && { 'network.protocol.version': protocol === 'h2' ? '2' : '1.1' }),
      ...(error !== null && { 'error.type': error.code ?? error.name }),
    };
    requestDuration.record((timings.end - timings.start) / 1000, attributes);
    for (const [stage, milliseconds] of Object.entries(stagesOf(timings))) {
      const peer = remoteAddress && { 'network.peer.address': remoteAddress };
      stageDuration.record(milliseconds / 1000, { ...serverOf(request.origin), ...peer, stage });
    }
  };
  const count = (by) => (message) => {
    const { origin, method } = message.request;
    activeRequests.add(by, { ...serverOf(origin), 'http.request.method': method });
  };
  const [begins, ends] = [count(1), count(-1)];
  const onDisconnect = (origin, _targets, _error, info) => {
    if (info) connectionDuration.record(info.age / 1000, serverOf(origin));
  };
  const observe = (result) => {
    for (const [origin, { connected, free }] of Object.entries(agent.stats)) {
      const server = serverOf(origin);
      // `connected` of a client is a boolean.
      const idle = Number(free ?? 0);
      result.observe(idle, { ...server, 'http.connection.state': 'idle' });
      result.observe(Number(connected) - idle, { ...server, 'http.connection.state': 'active' });
    }
  };

  const subscriptions = [
    ['dodici:request:timings', onTimings],
    ['undici:request:create', begins],
    ['undici:request:trailers', ends],
    ['undici:request:error', ends],
  ];
  for (const [name, listener] of subscriptions) subscribe(name, listener);
  agent.on('disconnect', onDisconnect);
  openConnections.addCallback(observe);
  return () => {
    for (const [name, listener] of subscriptions) unsubscribe(name, listener);
    agent.off('disconnect', onDisconnect);
    openConnections.removeCallback(observe);
  };
}

function serverOf(origin) {
  const { hostname, port, protocol } = new URL(origin);
  return {
    'server.address': hostname,
    'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
    'url.scheme': protocol.slice(0, -1),
  };
}
