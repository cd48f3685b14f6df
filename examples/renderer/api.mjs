// The service that the renderer fetches from, in a thread of its own. main.mjs starts it.

import { createServer } from 'node:http';
import { parentPort } from 'node:worker_threads';

const counts = { requests: 0, connections: 0 };
const server = createServer(({ url }, response) => {
  counts.requests++;
  const [, , id, part] = url.split('/');
  if (part === '19' && Number(id) % 10 === 0) return response.writeHead(503).end();
  const items = Array.from({ length: 20 }, (_, index) => `item ${id}.${part}.${index}`);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ title: `Part ${part}`, items }));
});
server.on('connection', () => counts.connections++);
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
parentPort.on('message', () => {
  parentPort.postMessage(counts);
  Object.assign(counts, { requests: 0, connections: 0 });
});
