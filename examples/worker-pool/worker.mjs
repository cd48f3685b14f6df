// One worker of the pool: a client of its own, and work for a processor. pool.mjs starts it.

import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

import { Client } from 'dodici';

const client = new Client(workerData.origin);
let requests = 0;

parentPort.on('message', async ({ path, port }) => {
  if (path === undefined) {
    await client.close(); // after the requests in flight
    port.postMessage({ requests });
    parentPort.close(); // nothing is left: the worker ends
    return;
  }
  try {
    const { body } = await client.request({ path, method: 'GET' });
    const bytes = Buffer.from(await body.arrayBuffer());
    const digest = createHash('sha256').update(bytes).digest('hex');
    requests++;
    port.postMessage({ digest });
  } catch (error) {
    // Of an error, only its name, message and stack go to another thread.
    port.postMessage({ error: { message: error.message, code: error.code, phase: error.phase } });
  }
});
