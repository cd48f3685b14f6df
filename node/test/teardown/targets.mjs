// Servers that keep a request in the phase that its path names, for the teardown tests.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';

if (!isMainThread && process.argv.includes('--deaf')) listenDeafly();

/**
 * Opens them. `reached(id)` is called when a request has reached a phase that only a server can
 * see: its path is `/<phase>/<id>`, or it is the `id`th connection's TLS handshake.
 *
 * @param {(id: string) => void} reached
 * @param {number} silent how many servers that accept and say nothing
 */
export async function openTargets(reached, silent) {
  const server = createServer((request, response) => {
    const [, phase, id] = request.url.split('/');
    response.on('error', () => {});
    if (phase === 'hold') return reached(id);
    if (phase === 'upload') return request.once('data', () => reached(id)).resume();
    if (phase === 'stream') {
      const more = () => response.write('x'.repeat(200_000));
      // In a separate turn: with a fast reader, drain follows drain without end.
      response.on('drain', () => setImmediate(more));
      return more();
    }
    response.end('ok');
  });
  server.keepAliveTimeout = 600_000;
  server.requestTimeout = 0;
  const echo = (head) => (_request, socket) => {
    socket.on('error', () => {});
    socket.write(`HTTP/1.1 ${head}\r\n\r\n`);
    socket.pipe(socket);
  };
  server.on('upgrade', echo('101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo'));
  server.on('connect', echo('200 Connected'));

  const mute = Array.from({ length: silent }, (_, index) =>
    createTcpServer((socket) => {
      socket.on('error', () => {});
      // The ClientHello: the handshake has begun.
      socket.once('data', () => reached(String(index)));
    }),
  );
  const ports = await Promise.all(
    [server, ...mute].map(async (each) => {
      each.listen(0, '127.0.0.1');
      await once(each, 'listening');
      return each.address().port;
    }),
  );

  const deaf = new Worker(new URL(import.meta.url), { argv: ['--deaf'] });
  const [deafPort] = await once(deaf, 'message');
  // More than its backlog holds: from now on, a SYN gets no answer.
  const waiting = Array.from({ length: 4 }, () => connect(deafPort, '127.0.0.1'));
  for (const socket of waiting) socket.on('error', () => {}).unref();
  await once(waiting[0], 'connect');

  return {
    urls: {
      origin: `http://127.0.0.1:${ports[0]}`,
      deaf: `http://127.0.0.1:${deafPort}`,
      silent: ports.slice(1).map((port) => `https://127.0.0.1:${port}`),
    },
    /** The servers' connections. */
    async connections() {
      const counts = await Promise.all(
        [server, ...mute].map(
          (each) =>
            new Promise((resolve, reject) =>
              each.getConnections((error, count) => (error ? reject(error) : resolve(count))),
            ),
        ),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    },
    async close() {
      for (const socket of waiting) socket.destroy();
      for (const each of [server, ...mute]) each.close();
      server.closeAllConnections();
      await deaf.terminate();
    },
  };
}

/** Listens but never accepts: its event loop is blocked. */
function listenDeafly() {
  const server = createTcpServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
}
