// Starts workers with requests in every phase and terminates them; run by addon.test.mjs.

import { once } from 'node:events';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import { Raw, get } from './raw.mjs';

const ROUNDS = 30;
const PATHS = ['/', '/hold', '/stream'];

if (isMainThread) {
  await main(process.argv[2]);
} else {
  work(workerData);
}

async function main(url) {
  const raw = new Raw({ ioThreads: 2 });
  raw.pool(0, url);
  for (let round = 0; round < ROUNDS; round++) {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { url, spin: round % 3 === 2 },
    });
    await once(worker, 'message');
    // Rounds end in different phases: at once, or after some round trips of this thread's own.
    for (let trip = 1; trip <= round % 10; trip++) await exchange(raw, 100 * round + trip);
    await worker.terminate();
  }
  await exchange(raw, 100 * ROUNDS);
  console.log('unharmed');
}

async function exchange(raw, generation) {
  raw.dispatch(0, 1, get(), { generation });
  await raw.wait((record) => record.kind === 'End' && record.generation === generation);
}

function work({ url, spin }) {
  const raw = new Raw({
    onRecord({ kind, slot, generation, payload }) {
      const pool = slot % 2;
      if (kind === 'Data') raw.credit(pool, slot, payload.length, generation);
      if (kind === 'End') raw.dispatch(pool, slot, get(), { generation: generation + 1 });
      // Some workers are terminated while they run JavaScript that a batch has called.
      if (spin) for (const end = Date.now() + 3; Date.now() < end; );
    },
  });
  raw.pool(0, url);
  raw.pool(1, url);
  setInterval(() => {}, 1 << 30);
  parentPort.postMessage('open');
  for (let slot = 0; slot < 30; slot++) raw.dispatch(slot % 2, slot, get(PATHS[slot % 3]));
}
