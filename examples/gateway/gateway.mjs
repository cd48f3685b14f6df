// A reverse proxy: node:http towards the clients, dodici towards the upstreams. main.mjs starts it.

import { createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';

/** Fields that belong to one connection (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = [
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade'],
];
const TIMEOUTS = new Set([
  ...['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'],
  'ERR_DODICI_TOTAL_TIMEOUT',
]);

/** `routes`: origins by the first segment of a path. `log` gets a line for each failure. */
export function createGateway(routes, agent, log) {
  return createServer(async (incoming, outgoing) => {
    const [, name, rest] = /^\/([^/?]*)(.*)$/.exec(incoming.url) ?? [];
    const origin = routes[name];
    if (origin === undefined) return respond(outgoing, 404);
    // A client that has gone does not want its response any more: the upstream may stop.
    const gone = new AbortController();
    outgoing.once('close', () => outgoing.writableFinished || gone.abort());
    try {
      const { statusCode, headers, body } = await agent.request({
        origin,
        path: rest.startsWith('/') ? rest : `/${rest}`,
        method: incoming.method,
        headers: {
          ...withoutHopByHop(incoming.headers),
          'x-forwarded-for': incoming.socket.remoteAddress,
          'x-forwarded-host': incoming.headers.host,
        },
        body: hasBody(incoming) ? incoming : null,
        signal: gone.signal,
      });
      outgoing.writeHead(statusCode, withoutHopByHop(headers));
      await pipeline(body, outgoing);
    } catch (error) {
      log(`${name}: ${hasGone(error) ? 'the client has gone' : `${error.code} (${error.phase})`}`);
      // Half a response must not look like a whole one.
      if (outgoing.headersSent) outgoing.destroy();
      else respond(outgoing, TIMEOUTS.has(error.code) ? 504 : 502);
    }
  });
}

/** Without the fields of one connection, and those that `Connection` names. */
function withoutHopByHop({ host, ...headers }) {
  const named = String(headers.connection ?? '')
    .toLowerCase()
    .split(/\s*,\s*/);
  for (const name of [...HOP_BY_HOP, ...named]) delete headers[name];
  return headers;
}

/** Before the response, and within it. */
function hasGone({ name, code }) {
  return name === 'AbortError' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}

function hasBody({ headers }) {
  return 'content-length' in headers || 'transfer-encoding' in headers;
}

function respond(outgoing, status) {
  outgoing.writeHead(status, { 'content-type': 'text/plain' }).end(`${status}\n`);
}
