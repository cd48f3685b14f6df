// A service that calls webhooks, whose URLs its users choose. See README.md.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { AddressNotAllowedError, Agent, isPublicAddress, request } from 'dodici';

// Stands for whatever listens on this machine and trusts it: a database's console, a cloud's metadata.
let connections = 0;
const internal = createServer((incoming, response) => response.end('the secrets'));
internal.on('connection', () => connections++);
internal.listen(0, '127.0.0.1');
await once(internal, 'listening');
const { port } = internal.address();

const guarded = new Agent({ connect: { allow: 'public' } });

async function call(url, dispatcher) {
  try {
    const { body } = await request(url, { dispatcher });
    return await body.text();
  } catch (error) {
    if (error instanceof AddressNotAllowedError) return `refused: ${error.address}`;
    throw error;
  }
}

for (const host of ['127.0.0.1', '127.0.0.1.', '0x7f.1', '１２７.０.０.１', '[::ffff:7f00:1]']) {
  console.log(host, '->', await call(`http://${host}:${port}/`, guarded));
}
console.log('connections:', connections);

// A rule of one's own: public addresses, and one service of ours.
const own = new Agent({
  connect: { allow: (address, host) => isPublicAddress(address) || host === 'localhost' },
});
console.log('localhost ->', await call(`http://localhost:${port}/`, own));

await Promise.all([guarded.close(), own.close()]);
internal.close();
