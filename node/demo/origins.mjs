// The demo's own origins, in a worker thread so that serving does not weigh on the thread that
// asks. demo.mjs starts it and gets the addresses in one message; it knows nothing of clients.
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

/** Pause between the pieces of the slow stream. */
const SLOW_MS = 25;

const { certificates, socketPath } = workerData;
let open = 0;
let peak = 0;

const routes = {
  '/json': (_request, response) => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ hello: 'from the demo' }));
  },

  // Final headers after an informational response.
  '/hints': (_request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    setTimeout(() => trailers(response), SLOW_MS);
  },

  '/slow': (_request, response) => {
    let piece = 0;
    const next = () => {
      response.write(`piece ${++piece} of 5\n`);
      if (piece < 5) setTimeout(next, SLOW_MS);
      else response.end();
    };
    next();
  },

  // Never ends by itself: the one to abort.
  '/endless': (_request, response) => {
    response.write('a first piece');
  },

  '/echo': (request, response) => {
    request.pipe(response);
  },

  '/upload': async (request, response) => {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    const framing = request.headers['transfer-encoding'] ?? 'content-length';
    response.end(JSON.stringify({ bytes, framing }));
  },

  '/work': (_request, response) => {
    setTimeout(() => response.end('done'), SLOW_MS);
  },

  '/peak': (_request, response) => response.end(String(peak)),
};

/** A chunked body with trailers whose case and order matter. */
function trailers(response) {
  response.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Checksum, Server-Timing' });
  response.write('body in ');
  response.write('two chunks');
  response.addTrailers([
    ['X-Checksum', 'b10a8db1'],
    ['Server-Timing', 'app;dur=3'],
  ]);
  response.end();
}

function answer(request, response) {
  const route = routes[request.url];
  if (route === undefined) response.writeHead(404).end();
  else route(request, response);
}

const limited = createHttp(answer).on('connection', (socket) => {
  peak = Math.max(peak, ++open);
  socket.once('close', () => open--);
});
const servers = {
  plain: createHttp(answer).listen(0, '127.0.0.1'),
  limited: limited.listen(0, '127.0.0.1'),
  secure: createHttps(
    {
      cert: readFileSync(join(certificates, 'cert.pem')),
      key: readFileSync(join(certificates, 'key.pem')),
    },
    answer,
  ).listen(0, '127.0.0.1'),
};
if (socketPath) servers.unix = createHttp(answer).listen(socketPath);
await Promise.all(Object.values(servers).map((server) => once(server, 'listening')));
const port = (server) => server.address().port;
parentPort.postMessage({
  plain: `http://127.0.0.1:${port(servers.plain)}`,
  limited: `http://127.0.0.1:${port(servers.limited)}`,
  secure: `https://localhost:${port(servers.secure)}`,
});
