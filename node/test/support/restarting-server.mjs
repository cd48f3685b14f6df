// An origin in separate processes, for restarts. The first holds the listening socket, as a
// supervisor does; the others serve. A response is the request's id; each POST that is executed is
// reported to the test before the response is sent.
//
// `{ restart: signal }` starts another server and then sends the old one the signal. SIGTERM ends it
// gracefully: it accepts no more connections, and closes each after the response that is due.
import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { Server } from 'node:net';

if (cluster.isPrimary) {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const start = () =>
    new Promise((resolve) => {
      const worker = cluster.fork();
      worker.on('message', (message) => process.send(message));
      worker.once('listening', ({ port }) => resolve({ worker, port }));
    });
  let { worker: serving, port } = await start();
  process.send({ port });
  process.on('message', async ({ restart }) => {
    const old = serving;
    serving = (await start()).worker;
    old.once('exit', () => process.send({ restarted: true }));
    old.process.kill(restart);
  });
} else {
  let draining = false;
  const server = createServer((request, response) => {
    const answer = () => {
      if (draining) response.setHeader('connection', 'close');
      response.end(request.url.slice(1));
    };
    request.resume().once('end', () => {
      if (request.method !== 'POST') answer();
      else process.send({ executed: request.url.slice(1) }, answer);
    });
  });
  // All of them share the first one's.
  server.listen(0, '127.0.0.1');
  process.on('SIGTERM', () => {
    draining = true;
    // Not that of HTTP, which would close connections that a request is crossing.
    Server.prototype.close.call(server, () => process.exit());
  });
}
process.on('disconnect', () => process.exit());
