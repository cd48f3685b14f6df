// Load generator: keeps requests in flight through one dispatcher and measures what that costs.
//
// bench/lib/compare.mjs and the demo start it as a process of its own for each measurement, so
// that no client inherits another's heap or compiled code. It knows a client only as a module
// that exports Pool. It prints one line of JSON.
import { createRequire } from 'node:module';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { threadCpuClock } from './lib/thread-cpu.mjs';

const HELP = `Usage: node bench/load.mjs --module PATH --origin URL [options]

  --module PATH       CommonJS or ES module that exports Pool
  --origin URL        for example http://127.0.0.1:8080
  --path PATH         request target (default /)
  --connections N     connections of the pool (default 50)
  --pipelining N      pipelining of the pool (default 1)
  --concurrency N     requests in flight (default connections × pipelining)
  --seconds S         measured time (default 3)
  --warmup S          time before that (default 1)
  --bytes N           expected size of every body; anything else is an error
  --body N            POST bodies of N bytes
  --http2             let TLS negotiate HTTP/2
  --streams N         requests at a time on one HTTP/2 connection (default 100)
  --socket PATH       unix socket
  --ca FILE           certificate authority, PEM
`;

/** One request in SAMPLE is timed: enough for percentiles, too few to weigh on either client. */
const SAMPLE = 8;
/** Room for timed requests; the newest win. */
const SAMPLES = 1 << 18;

const { values: options } = parseArgs({
  options: {
    module: { type: 'string' },
    origin: { type: 'string' },
    path: { type: 'string', default: '/' },
    connections: { type: 'string', default: '50' },
    pipelining: { type: 'string', default: '1' },
    concurrency: { type: 'string' },
    seconds: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1' },
    bytes: { type: 'string' },
    body: { type: 'string' },
    http2: { type: 'boolean', default: false },
    streams: { type: 'string', default: '100' },
    socket: { type: 'string' },
    ca: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (options.help || !options.module || !options.origin) {
  process.stdout.write(HELP);
  process.exit(options.help ? 0 : 2);
}

const client = await loadClient(options.module);
const connections = Number(options.connections);
const pipelining = Number(options.pipelining);
const concurrency = Number(options.concurrency ?? connections * pipelining);
const expectedBytes = options.bytes === undefined ? undefined : Number(options.bytes);
const threadCpu = threadCpuClock();

const connect = {};
if (options.socket) connect.socketPath = options.socket;
if (options.ca) {
  connect.ca = readFileSync(options.ca, 'utf8');
  connect.servername = 'localhost';
}
// undici 7 and 8 differ in whether they offer HTTP/2 unasked.
const http2 = options.http2
  ? { allowH2: true, maxConcurrentStreams: Number(options.streams) }
  : { allowH2: false };
const pool = new client.Pool(options.origin, { connections, pipelining, connect, ...http2 });

/** Same object for every request, as a program that calls one endpoint would have it. */
const request = { path: options.path, method: 'GET', headers: { accept: '*/*' } };
// As in undici's own benchmark: by default each request waits for the head of the one before.
if (pipelining > 1) request.blocking = false;
if (options.body) {
  request.method = 'POST';
  request.body = Buffer.alloc(Number(options.body), 'x');
}

let running = true;
let inFlight = 0;
let completed = 0;
let bytes = 0;
let sequence = 0;
let samples = 0;
let failure;
let allDone;
const latencies = new Float64Array(SAMPLES);

class Handler {
  #bytes = 0;
  #started = 0;

  /** Starts the next request on this handler object. */
  send() {
    this.#bytes = 0;
    this.#started = sequence++ % SAMPLE === 0 ? performance.now() : 0;
    inFlight++;
    pool.dispatch(request, this);
  }

  onRequestStart() {}

  onResponseStart(_controller, status) {
    if (status !== 200) this.onResponseError(undefined, new Error(`status ${status}`));
  }

  onResponseData(_controller, chunk) {
    this.#bytes += chunk.length;
  }

  onResponseEnd() {
    if (expectedBytes !== undefined && this.#bytes !== expectedBytes) {
      failure ??= new Error(`a body of ${this.#bytes} bytes instead of ${expectedBytes}`);
      running = false;
    }
    if (this.#started !== 0) {
      latencies[samples++ % SAMPLES] = performance.now() - this.#started;
    }
    completed++;
    bytes += this.#bytes;
    this.#settled();
  }

  onResponseError(_controller, error) {
    failure ??= error;
    running = false;
    this.#settled();
  }

  #settled() {
    inFlight--;
    if (running) this.send();
    else if (inFlight === 0) allDone?.();
  }
}

/** A snapshot of everything that is measured as a difference. */
function snapshot() {
  const cpu = process.cpuUsage();
  return {
    at: performance.now(),
    completed,
    bytes,
    threadCpu: threadCpu(),
    processCpu: cpu.user + cpu.system,
    loop: performance.eventLoopUtilization(),
    counters: client.counters?.(),
  };
}

for (let i = 0; i < concurrency; i++) new Handler().send();
await sleep(Number(options.warmup));

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
samples = 0;
const before = snapshot();
await sleep(Number(options.seconds));
const after = snapshot();
delay.disable();
const rss = process.memoryUsage.rss();

running = false;
if (inFlight > 0) await new Promise((resolve) => (allDone = resolve));
await pool.destroy();
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
const timed = latencies.subarray(0, Math.min(samples, SAMPLES)).sort();
const result = {
  node: process.version,
  requests,
  total: completed,
  seconds,
  throughput: requests / seconds,
  megabytesPerSecond: (after.bytes - before.bytes) / 1e6 / seconds,
  jsCpu: (after.threadCpu - before.threadCpu) / requests,
  processCpu: (after.processCpu - before.processCpu) / requests,
  p50: percentile(timed, 0.5),
  p99: percentile(timed, 0.99),
  loopDelay: delay.mean / 1e6,
  loopUtilization: performance.eventLoopUtilization(after.loop, before.loop).utilization,
  rss: rss / 1e6,
};
if (before.counters) {
  const grown = (name) => after.counters[name] - before.counters[name];
  result.completionsPerDoorbell = grown('completions') / grown('doorbells');
  result.requestsPerSubmit = requests / grown('submitCalls');
}
process.stdout.write(`${JSON.stringify(result)}\n`);

/** @param {string} path */
async function loadClient(path) {
  const file = createRequire(import.meta.url).resolve(path);
  const loaded = await import(pathToFileURL(file).href);
  const found = loaded.Pool ? loaded : loaded.default;
  if (typeof found?.Pool !== 'function') throw new TypeError(`${path} exports no Pool`);
  return found;
}

/** @param {Float64Array} sorted @param {number} share */
function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** @param {number} seconds */
function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1e3));
}
