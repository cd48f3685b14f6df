// Starts upstreams, a gateway before them and clients, and prints what happened. See README.md.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import { Agent, Pool } from 'dodici';

import { createGateway } from './gateway.mjs';

const { values: options } = parseArgs({
  options: {
    requests: { type: 'string', default: '5000' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(`Usage: node main.mjs [--requests N]

  --requests N   requests that 64 clients send through the gateway (5000)`);
  process.exit(0);
}

// Two upstreams that work, one that hangs, one that stops in the middle, and one that is not there.
const servers = [];
async function listen(answer) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}
let hanging = 0;
const routes = {
  users: await listen((_incoming, outgoing) => {
    outgoing.setHeader('content-type', 'application/json');
    outgoing.end('{"name":"Ada"}');
  }),
  upload: await listen((incoming, outgoing) => incoming.pipe(outgoing)),
  reports: await listen((incoming, outgoing) => {
    hanging++;
    outgoing.once('close', () => hanging--);
  }),
  broken: await listen((_incoming, outgoing) => {
    outgoing.write('half', () => outgoing.destroy());
  }),
  absent: 'http://127.0.0.1:9',
};

const agent = new Agent({
  connections: 16, // to each upstream: further requests wait in the pool
  keepAliveTimeout: 55_000, // below the upstreams' own
  clientTtl: 300_000, // new connections now and then: after a deployment they are spread again
  connect: { timeout: 1_000 },
  headersTimeout: 15_000,
  maxResponseSize: 50_000_000,
  origins: { [routes.reports]: { connections: 2, headersTimeout: 200 } },
});
const connections = new Map();
agent.on('connect', ({ origin }) => connections.set(origin, (connections.get(origin) ?? 0) + 1));

const gateway = createGateway(routes, agent, (line) => console.log('gateway |', line));
gateway.listen(0, '127.0.0.1');
await once(gateway, 'listening');
const clients = new Pool(`http://127.0.0.1:${gateway.address().port}`, { connections: 64 });
const send = (path, more) => clients.request({ path, method: 'GET', ...more });

const total = Number(options.requests);
const statuses = new Map();
await Promise.all(
  Array.from({ length: total }, async () => {
    const { statusCode, body } = await send('/users/1');
    await body.dump();
    statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1);
  }),
);
console.log(`${total} requests of 64 clients:`, Object.fromEntries(statuses));
console.log('connections to the upstream:', connections.get(routes.users));

const body = Buffer.alloc(1_000_000, 'x');
const uploaded = await send('/upload', { method: 'POST', body });
console.log('1 MB there and back:', body.equals(Buffer.from(await uploaded.body.arrayBuffer())));

for (const path of ['/nowhere', '/absent', '/reports']) {
  const { statusCode, body } = await send(path);
  await body.dump();
  console.log(path, statusCode);
}
const broken = await send('/broken');
console.log('/broken', await broken.body.text().catch(({ code }) => code));

// A client that goes takes its request to the upstream with it.
const impatient = new AbortController();
const request = send('/reports', { signal: impatient.signal }).catch(({ name }) => name);
while (hanging === 0) await new Promise(setImmediate);
impatient.abort();
console.log('client:', await request);
while (hanging > 0) await new Promise(setImmediate);
console.log('requests that hang at the upstream:', hanging);

await clients.close();
await agent.close();
for (const server of [gateway, ...servers]) server.close();
