// A user's program: the same in a worker thread.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

await once(new Worker(new URL('request.mjs', import.meta.url)), 'exit');
