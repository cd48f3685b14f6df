// Load from several workers of one process: load.mjs in each, with a client of its own, all measured at
// the same time. lib/compare.mjs starts it as a separate process for each measurement. It prints one
// line of JSON with the figures of load.mjs, for all workers together.
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';

const HELP = `Usage: node bench/workers.mjs --workers N [options of load.mjs]
`;

const args = process.argv.slice(2);
const at = args.indexOf('--workers');
const [, count] = at < 0 ? [] : args.splice(at, 2);
if (!(Number(count) > 0)) {
  process.stdout.write(HELP);
  process.exit(args.includes('--help') ? 0 : 2);
}
const seconds = Number(args[args.lastIndexOf('--seconds') + 1]);

const program = new URL('load.mjs', import.meta.url);
const workers = Array.from({ length: Number(count) }, () => new Worker(program, { argv: args }));
for (const worker of workers) {
  worker.once('exit', (code) => {
    if (code !== 0) process.exit(code);
  });
}

// Each asked for before the worker can post it: nobody keeps a message that is not waited for.
await messages();
const measured = messages();
const before = snapshot();
release();
await new Promise((resolve) => setTimeout(resolve, seconds * 1e3));
const after = snapshot();
await measured;
const last = messages();
release();
const posted = await last;

const results = posted.map(({ result }) => result);
const sum = (of) => results.reduce((all, result) => all + of(result), 0);
const requests = sum((result) => result.requests);
const throughput = sum((result) => result.throughput);
const timed = Float64Array.from(posted.flatMap(({ timed: some }) => [...some])).sort();
const percentile = (share) => timed[Math.floor(timed.length * share)];
const result = {
  node: process.version,
  requests,
  total: sum(({ total }) => total),
  throughput,
  megabytesPerSecond: sum(({ megabytesPerSecond }) => megabytesPerSecond),
  jsCpu: sum(({ jsCpu, requests: own }) => jsCpu * own) / requests,
  processCpu: (after.cpu - before.cpu) / ((throughput * (after.at - before.at)) / 1e3),
  p50: percentile(0.5),
  p95: percentile(0.95),
  p99: percentile(0.99),
  loopDelay: sum(({ loopDelay }) => loopDelay) / results.length,
  rss: after.rss,
};
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));

/** The next message of every worker. */
function messages() {
  return Promise.all(
    workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))),
  );
}

/** Lets the workers go on. */
function release() {
  for (const worker of workers) worker.postMessage('on');
}

function snapshot() {
  const { user, system } = process.cpuUsage();
  return { at: performance.now(), cpu: user + system, rss: process.memoryUsage.rss() / 1e6 };
}
