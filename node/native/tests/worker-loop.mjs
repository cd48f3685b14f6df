// Starts workers with requests in every phase and terminates them, without the package around the
// addon; run by addon.test.mjs. `node worker-loop.mjs <url> <workers>`

import { once } from 'node:events';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import { Raw, fields, get, pieceCost, schema } from './raw.mjs';

/** Workers at a time. */
const PARALLEL = 4;
const { DispatchFlag, WireBody } = schema;
const upgrade = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n';
const upload = 'POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n';
const REQUESTS = [
  [get('/')],
  [get('/hold')],
  [get('/stream')],
  [upload, { aux: WireBody.Chunked }],
  [upgrade, { flags: DispatchFlag.Upgrade }],
];

if (isMainThread) {
  await main(process.argv[2], Number(process.argv[3]));
} else {
  work(workerData);
}

async function main(url, count) {
  /** Callbacks for the end of this thread's exchanges, by slot. */
  const ended = [];
  const onRecord = ({ kind, slot, payload }) => {
    if (kind === 'End') ended[slot].resolve();
    if (kind === 'Error') ended[slot].reject(new Error(JSON.stringify(fields(payload))));
  };
  const raw = new Raw({ ioThreads: 2, onRecord });
  raw.pool(0, url);
  const exchange = (slot, generation) => {
    raw.dispatch(0, slot, get(), { generation });
    return new Promise((resolve, reject) => (ended[slot] = { resolve, reject }));
  };
  const alive = setInterval(() => {}, 1 << 30);
  let next = 0;
  const rounds = async (slot) => {
    let generation = 0;
    for (let round = next++; round < count; round = next++) {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { url, spin: round % 3 === 2 },
      });
      await once(worker, 'message');
      // Rounds end in different phases: immediately, or after some round trips of this thread.
      for (let trip = 0; trip < round % 10; trip++) await exchange(slot, ++generation);
      await worker.terminate();
    }
    await exchange(slot, ++generation);
  };
  await Promise.all(Array.from({ length: PARALLEL }, (_, slot) => rounds(slot)));
  clearInterval(alive);
  console.log('unharmed');
}

function work({ url, spin }) {
  const raw = new Raw({
    onRecord({ kind, slot, generation, payload }) {
      const pool = slot % 2;
      // Slots from 20 on are paused: they return no credit.
      if (kind === 'Data' && slot < 20) raw.credit(pool, slot, pieceCost(payload.length), generation);
      if (kind === 'End') raw.dispatch(pool, slot, get(), { generation: generation + 1 });
      if (kind === 'Pull') {
        raw.tell('BodyChunk', pool, slot, generation, Buffer.alloc(payload.readUInt32LE(), 'x'));
      }
      // Some workers are terminated while they run JavaScript called by a batch.
      if (spin) for (const end = Date.now() + 3; Date.now() < end; );
    },
  });
  raw.pool(0, url);
  raw.pool(1, url);
  setInterval(() => {}, 1 << 30);
  parentPort.postMessage('open');
  for (let slot = 0; slot < 30; slot++) raw.dispatch(slot % 2, slot, ...REQUESTS[slot % 5]);
  // Byte streams that have outlived their pools.
  setImmediate(() => raw.tell('PoolDestroy', 1));
}
