// A crawler that visits many hosts with few connections, and depends on none of them. See README.md.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { Agent, BodyRateError, request, TotalTimeoutError } from 'dodici';

// Hosts on this machine. The last two are bad: one says nothing, one sends a byte now and then.
let open = 0;
let most = 0;
const sockets = new Set();
const good = (_request, response) => response.end('a page');
const silent = () => {};
const slow = (_request, response) => {
  response.write('<');
  setInterval(() => response.write('.'), 500).unref();
};
const answers = [...Array(20).fill(good), silent, slow];
const servers = answers.map((answer) => createServer(answer).listen(0, '127.0.0.1'));
for (const server of servers) {
  await once(server, 'listening');
  server.on('connection', (socket) => {
    open++;
    // A socket that has ended is reported in the same turn at the latest.
    setImmediate(() => (most = Math.max(most, open)));
    socket.once('end', () => open--);
    sockets.add(socket);
  });
}
const urls = servers.map((server) => `http://127.0.0.1:${server.address().port}`);

const agent = new Agent({
  maxConnections: 4, // of all hosts together; they take turns
  totalTimeout: 60_000, // from the call to the end of the body
  minBodyRate: 1_000, // bytes per second, while we read
  origins: { [urls[20]]: { totalTimeout: 100 } },
});

async function visit(url) {
  try {
    const { body } = await request(url, { dispatcher: agent });
    return await body.text();
  } catch (error) {
    if (error instanceof TotalTimeoutError || error instanceof BodyRateError) return error.code;
    throw error;
  }
}

console.log('ready before the first page:', await agent.preconnect(urls[0], 2));
// For example on SIGUSR2, when a program hangs at night.
for (const { origin, activity, requests } of await agent.connections()) {
  console.log('server', urls.indexOf(origin), activity, 'after', requests, 'requests');
}

const pages = await Promise.all(urls.flatMap((url) => Array.from({ length: 3 }, () => visit(url))));
const counts = {};
for (const page of pages) counts[page] = (counts[page] ?? 0) + 1;
console.log(counts);
console.log('most connections at a time:', most);

await agent.close();
for (const socket of sockets) socket.destroy();
for (const server of servers) server.close();
