// A pool of workers, each with a client of its own. Tasks go to whoever has the fewest.

import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';

export class WorkerPool {
  #workers;

  constructor(size, workerData) {
    const file = new URL('worker.mjs', import.meta.url);
    this.#workers = Array.from({ length: size }, () => ({
      thread: new Worker(file, { workerData }),
      running: 0,
    }));
  }

  /** The digest of what `path` responds with. */
  async digest(path) {
    const worker = this.#workers.reduce((a, b) => (b.running < a.running ? b : a));
    worker.running++;
    try {
      const { digest, error } = await ask(worker.thread, { path });
      if (error) throw Object.assign(new Error(error.message), error);
      return digest;
    } finally {
      worker.running--;
    }
  }

  /** After all tasks. Returns how many requests each worker has sent. */
  async close() {
    return Promise.all(
      this.#workers.map(async ({ thread }) => {
        const exit = once(thread, 'exit');
        const { requests } = await ask(thread, {});
        await exit;
        return requests;
      }),
    );
  }
}

/** Sends a message with a port for the reply; a worker that ends first has closed its side of it. */
async function ask(thread, message) {
  const { port1, port2 } = new MessageChannel();
  thread.postMessage({ ...message, port: port2 }, [port2]);
  const [reply] = await Promise.race([once(port1, 'message'), once(port1, 'close')]);
  port1.close();
  if (reply === undefined) throw new Error('the worker has ended');
  return reply;
}
