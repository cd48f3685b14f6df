// A separate process that terminates many workers in every phase of a request, and checks what is
// left. `node workers.mjs <workers> <main thread uses the package: yes or no>`

import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import { openTargets } from './targets.mjs';

/** Workers at a time. */
const SLOTS = 6;
/** After this long without progress, leftovers are considered permanent. */
const LEFT_MS = 60_000;

if (isMainThread) await main(Number(process.argv[2]), process.argv[3] === 'yes');
else await work(workerData);

async function work({ phase, place, spin }) {
  const { enter } = await import('./phases.mjs');
  enter(phase, place, () => {
    parentPort.postMessage('reached');
    // Some are terminated while they run JavaScript called by a batch.
    if (spin) for (;;);
  });
}

async function main(count, uses) {
  const waiting = new Map();
  const targets = await openTargets((id) => waiting.get(id)?.(), SLOTS);
  const names = [
    'before connect',
    'connecting',
    'TLS handshake',
    'waiting for headers',
    'body streaming',
    'uploading',
    'paused',
    'upgraded',
    'idle',
    'closing',
  ];
  const package_ = uses ? await import('./phases.mjs') : undefined;
  const agent = package_ && new package_.dodici.Agent({ origin: targets.urls.origin });
  async function unharmed() {
    if (agent === undefined) return;
    const { request } = package_.dodici;
    const { body } = await request(`${targets.urls.origin}/ok/0`, { dispatcher: agent });
    if ((await body.text()) !== 'ok') throw new Error('the main thread was harmed');
  }

  const terminated = {};
  async function terminate(index, slot) {
    const phase = names[index % names.length];
    // The handshake's server reports its own number.
    const id = phase === 'TLS handshake' ? String(slot) : String(SLOTS + index);
    const seen = new Promise((resolve) => waiting.set(id, resolve));
    const worker = new Worker(new URL(import.meta.url), {
      workerData: {
        phase,
        place: { ...targets.urls, id, slot },
        spin: Math.floor(index / names.length) % 5 === 4,
      },
    });
    const failed = once(worker, 'exit').then(() =>
      Promise.reject(new Error(`${phase}: no worker`)),
    );
    failed.catch(() => {});
    await Promise.race([seen, once(worker, 'message'), failed]);
    waiting.delete(id);
    const code = await worker.terminate();
    if (code !== 1) throw new Error(`${phase}: a terminated worker ended with ${code}`);
    terminated[phase] = (terminated[phase] ?? 0) + 1;
  }

  let next = 0;
  let ended = 0;
  const run = async (slot, until) => {
    while (next < until) {
      await terminate(next++, slot);
      if (++ended % 100 === 0) process.send?.(`${ended} of ${until} workers`);
      if (slot === 0) await unharmed();
    }
  };
  // One of each phase first, so that everything created once exists; then the others.
  await run(0, names.length);
  const first = await settled(targets, agent === undefined ? 0 : 1, () => true);
  await Promise.all(Array.from({ length: SLOTS }, (_, slot) => run(slot, count)));
  await unharmed();
  await settled(
    targets,
    agent === undefined ? 0 : 1,
    (now) => now.threads <= first.threads && now.files <= first.files,
  );
  await agent?.close();
  await targets.close();
  console.log(JSON.stringify(terminated));
}

/** Waits, turn by turn, until no worker's connection is left and `enough` accepts what else is. */
async function settled(targets, connections, enough) {
  for (const ends = performance.now() + LEFT_MS; ;) {
    const now = remains();
    const open = await targets.connections();
    if (open === connections && enough(now)) return now;
    if (performance.now() > ends) {
      const left = { connections: open - connections, ...now };
      throw new Error(`terminated workers left something: ${JSON.stringify(left)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Threads and open files of this process, if they can be counted. */
function remains() {
  if (process.platform !== 'linux') return { threads: 0, files: 0 };
  return {
    threads: Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]),
    files: readdirSync('/proc/self/fd').length,
  };
}
