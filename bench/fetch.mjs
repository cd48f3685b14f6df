// Load generator for fetch: calls fetch() and reads the response, on Node, Bun or Deno.
//
// lib/compare.mjs starts it as a separate process for each measurement. It uses only what all three
// runtimes have, and prints one line of JSON with the same figures as load.mjs.
import { performance } from 'node:perf_hooks';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const HELP = `Usage: node bench/fetch.mjs --kind KIND --origin URL --path PATH [options]

  --kind KIND      fetch (the module's), request (the module's), global, axios, ky
  --module PATH    the client's module
  --read HOW       json, text, arrayBuffer, stream, post (JSON both ways) (default json)
  --origin URL     several are used in rotation
  --concurrency N  calls in flight (default 50)
  --seconds S      measured time (default 3)
  --warmup S       time before that (default 1)
  --rate N         calls per second at most (default: the next one when one ends)
  --beside PATH    keep reading this as a stream meanwhile, one call after the other
  --microtasks     also count the microtasks of a call (Node only)
  --http2          let TLS negotiate HTTP/2
  --ca FILE        certificate authority, PEM
`;

const { values: options } = parseArgs({
  options: {
    kind: { type: 'string', default: 'fetch' },
    module: { type: 'string' },
    origin: { type: 'string', multiple: true },
    path: { type: 'string', default: '/' },
    read: { type: 'string', default: 'json' },
    concurrency: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1' },
    rate: { type: 'string' },
    beside: { type: 'string' },
    microtasks: { type: 'boolean', default: false },
    http2: { type: 'boolean', default: false },
    ca: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help || options.origin === undefined) {
  process.stdout.write(HELP);
  process.exit(options.help ? 0 : 2);
}

/** Maximum number of timed calls; newer ones replace older ones. */
const SAMPLES = 1 << 18;
/** The body of a POST. */
const POSTED = { id: 7, name: 'posted', tags: ['a', 'b'] };
const JSON_TYPE = { 'content-type': 'application/json' };

const urls = options.origin.map((origin) => origin + options.path);
let turns = 0;
/** The next one. */
const url = () => urls[turns++ % urls.length];
const concurrency = Number(options.concurrency);
const rate = options.rate === undefined ? Infinity : Number(options.rate);
const ca = options.ca && readFileSync(options.ca, 'utf8');
const { call, beside, counters } = await open();

/**
 * `call` makes one call and resolves when it has read the response; `beside` does so for `--beside`.
 */
async function open() {
  const { kind, module: file, read } = options;
  if (kind === 'global') return overFetch(globalThis.fetch, {});
  const resolved = createRequire(import.meta.url).resolve(file);
  const loaded = await import(pathToFileURL(resolved).href);
  const module = { ...(typeof loaded.default === 'object' ? loaded.default : {}), ...loaded };
  if (kind === 'axios') {
    const { default: axios } = loaded;
    const { Agent } = await import('node:http');
    const httpAgent = new Agent({ keepAlive: true, maxSockets: concurrency });
    const types = { arrayBuffer: 'arraybuffer', text: 'text' };
    const responseType = types[read] ?? 'json';
    const config = { httpAgent, responseType, proxy: false };
    return {
      call: () => (read === 'post' ? axios.post(url(), POSTED, config) : axios.get(url(), config)),
    };
  }
  if (kind === 'ky') {
    const ky = loaded.default.create({ retry: 0 });
    return {
      call:
        read === 'post' ? () => ky.post(url(), { json: POSTED }).json() : () => ky(url())[read](),
    };
  }
  const connect = ca && { ca, servername: 'localhost' };
  // undici 8 offers HTTP/2 by default, undici 7 does not.
  const allowH2 = options.http2;
  const streams = allowH2 ? { connections: 1, maxConcurrentStreams: 100 } : {};
  const connections = options.beside === undefined ? concurrency : concurrency + 1;
  const dispatcher = new module.Agent({ connections, connect, allowH2, ...streams });
  if (kind === 'request') {
    // fetch decodes by itself. For request(), it is an option of ours and an interceptor of undici's.
    const isOurs = module.counters !== undefined;
    const request = isOurs
      ? { dispatcher, decompress: true }
      : { dispatcher: dispatcher.compose(module.interceptors.decompress()) };
    const post = { ...request, method: 'POST', headers: JSON_TYPE };
    return {
      call: async () => {
        if (read === 'post') {
          return (
            await module.request(url(), { ...post, body: JSON.stringify(POSTED) })
          ).body.json();
        }
        const { body } = await module.request(url(), request);
        return read === 'stream' ? drain(body) : body[read]();
      },
      counters: module.counters,
    };
  }
  return { ...overFetch(module.fetch, { dispatcher }), counters: module.counters };
}

function overFetch(fetch, init) {
  const { read } = options;
  const stream = (from) => async () => drain((await fetch(from(), init)).body);
  const beside = stream(() => options.origin[0] + options.beside);
  if (read === 'stream') return { call: stream(url), beside };
  if (read === 'post') {
    const post = { ...init, method: 'POST', headers: JSON_TYPE };
    const call = async () => (await fetch(url(), { ...post, body: JSON.stringify(POSTED) })).json();
    return { call, beside };
  }
  const call = async () => {
    const response = await fetch(url(), init);
    if (!response.ok) throw new Error(`status ${response.status}`);
    return response[read]();
  };
  return { call, beside };
}

async function drain(body) {
  let bytes = 0;
  for await (const chunk of body) bytes += chunk.length;
  return bytes;
}

let running = true;
let completed = 0;
let samples = 0;
const latencies = new Float64Array(SAMPLES);

/** When the next call is due. */
let due = performance.now();

/** With `--rate`, waits until the next call is due. One that is late does not wait. */
async function turn() {
  due += 1e3 / rate;
  const early = due - performance.now();
  if (early > 0) await sleep(early / 1e3);
}

async function lane() {
  while (running) {
    if (rate < Infinity) await turn();
    const began = performance.now();
    await call();
    latencies[samples++ % SAMPLES] = performance.now() - began;
    completed++;
  }
}

function snapshot() {
  const { user, system } = process.cpuUsage();
  const thread = process.threadCpuUsage?.();
  return {
    at: performance.now(),
    completed,
    processCpu: user + system,
    threadCpu: thread && thread.user + thread.system,
    counters: counters?.(),
  };
}

async function besides() {
  while (running) await beside();
}

const lanes = Array.from({ length: concurrency }, lane);
if (options.beside !== undefined) lanes.push(besides());
const failed = Promise.all(lanes);
await Promise.race([sleep(Number(options.warmup)), failed]);
samples = 0;
const before = snapshot();
await Promise.race([sleep(Number(options.seconds)), failed]);
const after = snapshot();
const rss = process.memoryUsage().rss;
const peakRss = process.resourceUsage?.().maxRSS * 1024;
running = false;
await failed;

const calls = after.completed - before.completed;
const seconds = (after.at - before.at) / 1e3;
const timed = latencies.subarray(0, Math.min(samples, SAMPLES)).sort();
const result = {
  total: completed,
  throughput: calls / seconds,
  jsCpu: after.threadCpu === undefined ? undefined : (after.threadCpu - before.threadCpu) / calls,
  processCpu: (after.processCpu - before.processCpu) / calls,
  p50: timed[Math.floor(timed.length * 0.5)],
  p99: timed[Math.floor(timed.length * 0.99)],
  rss: rss / 1e6,
  peakRss: peakRss / 1e6,
  microtasks: options.microtasks ? await microtasks() : undefined,
};
if (before.counters?.fetches !== undefined) {
  result.byPeer = after.counters.fetchesByPeer - before.counters.fetchesByPeer;
}
console.log(JSON.stringify(result));
process.exit(0);

/** How many microtasks a call takes, with no other in flight. */
async function microtasks() {
  const { createHook } = await import('node:async_hooks').catch(() => ({}));
  if (createHook === undefined || process.versions.bun || process.versions.deno) return undefined;
  const queued = new Set();
  let ran = 0;
  const hook = createHook({
    init(id, type) {
      if (type === 'PROMISE' || type === 'Microtask') queued.add(id);
    },
    before(id) {
      if (queued.has(id)) ran++;
    },
  });
  hook.enable();
  const calls = 100;
  for (let i = 0; i < calls; i++) await call();
  hook.disable();
  return ran / calls;
}

function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1e3));
}
