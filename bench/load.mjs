// Load generator: keeps requests in flight through one client and measures their cost.
//
// bench/lib/compare.mjs and the demo start it as a separate process for each measurement, so
// that no client inherits another's heap or compiled code. It knows clients through
// lib/clients.mjs only. It prints one line of JSON; as a worker of workers.mjs, it posts its result.
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';
import { APIS, KIND_NAMES, openClient } from './lib/clients.mjs';
import { parseOptions, target } from './lib/target.mjs';
import { threadCpuClock } from './lib/thread-cpu.mjs';

/** One request in SAMPLE is timed: enough for percentiles, too few to slow down any client. */
const SAMPLE = 8;

const HELP = `Usage: node bench/load.mjs --module PATH --origin URL [options]

  --module PATH       the client's module: CommonJS or ES
  --kind KIND         ${KIND_NAMES.join(', ')} (default pool: it exports undici's Pool)
  --api API           ${APIS.join(', ')} (default dispatch)
  --concurrency N     requests in flight (default connections × pipelining)
  --seconds S         measured time (default 3)
  --warmup S          time before that, once as many requests as may be in flight, and one for each
                      origin, have been answered (default 1)
  --requests N        measure this many requests instead, starting with the first
  --busy MS           keep the JavaScript thread busy this long in every TURN
  --turn MS           length of a turn (default 25)
  --burst N           start this many requests per turn, instead of keeping some in flight
  --time-each         time every request, not one in ${SAMPLE}
  --bytes N           expected size of every body; anything else is an error
`;

/** Maximum number of timed requests; newer ones replace older ones. */
const SAMPLES = 1 << 18;

const options = parseOptions(HELP, {
  api: { type: 'string', default: 'dispatch' },
  concurrency: { type: 'string' },
  seconds: { type: 'string', default: '3' },
  warmup: { type: 'string', default: '1' },
  requests: { type: 'string' },
  busy: { type: 'string' },
  turn: { type: 'string', default: '25' },
  burst: { type: 'string' },
  'time-each': { type: 'boolean', default: false },
  bytes: { type: 'string' },
});

const aim = target(options);
const file = options.module && createRequire(import.meta.url).resolve(options.module);
const client = await openClient(options.kind, file, aim, options.api);
const concurrency = Number(options.concurrency ?? aim.connections * aim.pipelining);
const expectedBytes = options.bytes === undefined ? undefined : Number(options.bytes);
const limit = options.requests === undefined ? Infinity : Number(options.requests);
const timeEach = concurrency === 1 || options['time-each'] ? 1 : SAMPLE;
const threadCpu = threadCpuClock();

let running = true;
let started = 0;
let inFlight = 0;
let completed = 0;
let bytes = 0;
let samples = 0;
let failure;
let allDone;
/** Called when every connection must be open: after so many answers. */
let opened;
const opening = Math.max(concurrency, aim.origins.length);
const latencies = new Float64Array(SAMPLES);

/**
 * A sender of one request after another.
 *
 * @param {(next: () => void) => void} then called when one has finished and more are to be sent
 */
function lane(then) {
  let sentAt = 0;
  const send = client.lane((error, received) => {
    if (error !== undefined) {
      failure ??= error;
      running = false;
    } else if (expectedBytes !== undefined && received !== expectedBytes) {
      failure ??= new Error(`a body of ${received} bytes instead of ${expectedBytes}`);
      running = false;
    }
    if (sentAt !== 0) latencies[samples++ % SAMPLES] = performance.now() - sentAt;
    if (++completed === opening || failure) opened?.();
    bytes += received;
    inFlight--;
    if (running && started < limit) then(next);
    else if (inFlight === 0 && (!running || started >= limit)) allDone?.();
  });
  const next = () => {
    sentAt = started++ % timeEach === 0 ? performance.now() : 0;
    inFlight++;
    send();
  };
  return next;
}

/** @param {() => void} next */
const again = (next) => next();

/** A program with other work: it starts requests, and then keeps the thread busy. */
function turns() {
  const [turn, busy, burst] = [options.turn, options.busy ?? 0, options.burst].map(Number);
  const free = [];
  let due = performance.now();
  const begin = () => {
    if (!running) return;
    due += turn;
    for (let i = 0; i < burst; i++) (free.pop() ?? lane((next) => free.push(next)))();
    // In a separate task, so that both clients get to write first.
    setImmediate(() => {
      for (const until = performance.now() + busy; performance.now() < until;);
      setTimeout(begin, Math.max(0, due - performance.now()));
    });
  };
  begin();
}

/** A snapshot of everything that is measured as a difference. */
function snapshot() {
  const cpu = process.cpuUsage();
  return {
    at: performance.now(),
    started,
    completed,
    bytes,
    threadCpu: threadCpu(),
    processCpu: cpu.user + cpu.system,
    loop: performance.eventLoopUtilization(),
    counters: client.counters?.(),
  };
}

const delay = monitorEventLoopDelay({ resolution: 5 });
let before;
if (limit === Infinity) {
  if (options.burst === undefined) {
    const open = new Promise((resolve) => (opened = resolve));
    for (let i = 0; i < concurrency; i++) lane(again)();
    await open;
  } else {
    turns();
  }
  await sleep(Number(options.warmup));
  await others('warm');
  delay.enable();
  samples = 0;
  before = snapshot();
  await sleep(Number(options.seconds));
} else {
  delay.enable();
  before = snapshot();
  const done = new Promise((resolve) => (allDone = resolve));
  for (let i = 0; i < Math.min(concurrency, limit); i++) lane(again)();
  await done;
}
const after = snapshot();
delay.disable();
const rss = process.memoryUsage.rss();
await others('measured');

running = false;
if (inFlight > 0) await new Promise((resolve) => (allDone = resolve));
await client.close();
if (failure) {
  process.stderr.write(`load: ${failure.stack ?? failure}\n`);
  process.exit(1);
}

const requests = after.completed - before.completed;
const seconds = (after.at - before.at) / 1e3;
if (requests === 0) {
  process.stderr.write('load: no request was answered in the measured time\n');
  process.exit(1);
}
// With a fixed rate of requests, the program's work depends on the requests started: a client that
// catches up with delayed ones would look cheaper, and one that falls behind more expensive.
const offered = options.burst === undefined ? requests : after.started - before.started;
const timed = latencies.subarray(0, Math.min(samples, SAMPLES)).sort();
const sent = requests * (aim.body ?? 0);
const result = {
  node: process.version,
  requests,
  total: completed,
  seconds,
  throughput: requests / seconds,
  megabytesPerSecond: (after.bytes - before.bytes + sent) / 1e6 / seconds,
  jsCpu: (after.threadCpu - before.threadCpu) / offered,
  processCpu: (after.processCpu - before.processCpu) / offered,
  p50: percentile(timed, 0.5),
  p95: percentile(timed, 0.95),
  p99: percentile(timed, 0.99),
  // The mean is NaN if the loop has not turned once.
  loopDelay: (delay.mean || 0) / 1e6,
  loopUtilization: performance.eventLoopUtilization(after.loop, before.loop).utilization,
  rss: rss / 1e6,
};
if (before.counters) {
  const grown = (name) => after.counters[name] - before.counters[name];
  result.completionsPerDoorbell = grown('completions') / grown('doorbells');
  result.requestsPerSubmit = requests / grown('submitCalls');
}
if (parentPort !== null) {
  parentPort.postMessage({ result, timed });
  process.exit(0);
}
// Some clients keep the process alive with connections that cannot be closed.
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));

/** @param {Float64Array} sorted @param {number} share */
function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Of several workers, each waits here until all are there. @param {string} where */
async function others(where) {
  if (parentPort === null) return;
  parentPort.postMessage(where);
  await once(parentPort, 'message');
}

/** @param {number} seconds */
function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1e3));
}
