// Downloads through a pool of workers, and prints what each of them did. See README.md.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

import { WorkerPool } from './pool.mjs';

const { values: options } = parseArgs({
  options: {
    workers: { type: 'string', default: String(Math.max(2, availableParallelism())) },
    requests: { type: 'string', default: '2000' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(`Usage: node main.mjs [--workers N] [--requests N]

  --workers N    worker threads, one client each (processors, at least 2)
  --requests N   requests in all (2000)`);
  process.exit(0);
}
const [size, total] = [Number(options.workers), Number(options.requests)];

let connections = 0;
const body = Buffer.alloc(64 * 1024, 'dodici ');
const server = createServer(({ url }, response) => {
  if (url === '/cut') response.write('half', () => response.destroy());
  else response.end(body);
});
server.on('connection', () => connections++);
server.listen(0, '127.0.0.1');
await once(server, 'listening');

const pool = new WorkerPool(size, { origin: `http://127.0.0.1:${server.address().port}` });
const digests = await Promise.all(Array.from({ length: total }, (_, id) => pool.digest(`/${id}`)));
console.log('responses:', digests.length, 'different:', new Set(digests).size);

const failure = await pool.digest('/cut').catch((error) => error);
console.log(`a failure: ${failure.message} (${failure.code}, ${failure.phase})`);

const requests = await pool.close();
console.log('workers:', size, 'connections:', connections);
console.log(
  'in all',
  requests.reduce((a, b) => a + b),
  'requests, each worker had some:',
  !requests.includes(0),
);
server.close();
