// `just demo`: real requests through the engine against real servers, with everything that happens
// on the way, and then the same load through undici. Every step checks what it prints; the first
// that is wrong ends the demo with exit code 1.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Readable, Transform, Writable } from 'node:stream';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Agent, errors, install, pipeline, request, stream } from 'dodici';
import { executable } from '../../bench/lib/paths.mjs';
import { compareWithUndici } from './compare.mjs';
import { commandLine } from '../../scripts/command-line.mjs';

const HELP = `Usage: just demo [options]

  --seconds S    length of the comparison with undici at the end (default 5; 0 leaves it out)
`;

const { values: options } = commandLine(HELP, {
  options: {
    seconds: { type: 'string', default: '5' },
  },
});

const started = performance.now();
const directory = mkdtempSync(join(tmpdir(), 'dodici-demo-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
execFileSync(executable('dodici-bench-certs'), [directory]);
const socketPath = process.platform === 'win32' ? undefined : join(directory, 'demo.sock');
const servers = new Worker(new URL('origins.mjs', import.meta.url), {
  workerData: { certificates: directory, socketPath },
});
const [origins] = await once(servers, 'message');
// Node has no server of HTTP/3 either.
const http3 = spawn(executable('dodici-bench-h3'), ['--tls', directory], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
const [line] = await once(createInterface({ input: http3.stdout }), 'line');
const HTTP3_ORIGIN = `https://127.0.0.1:${JSON.parse(line).port}`;
// From here on only requests keep this process alive.
for (const helper of [servers, http3, http3.stdout]) helper.unref();

/** An origin that exists only as a unix socket; the pool for it is configured below. */
const UNIX_ORIGIN = 'http://unix.demo.test';
/** Connections that the limited origin's pool may have. */
const LIMIT = 3;

const ca = readFileSync(join(directory, 'ca.pem'));
const agent = new Agent({
  connections: 10,
  origins: {
    [origins.secure]: { connect: { ca } },
    [HTTP3_ORIGIN]: { connect: { ca }, h3: 'prior-knowledge' },
    [origins.limited]: { connections: LIMIT },
    ...(socketPath && { [UNIX_ORIGIN]: { connect: { socketPath } } }),
  },
});
install(agent);
const seen = { connect: 0, disconnect: 0 };
agent.on('connect', (origin, _targets, info) => {
  seen.connect++;
  event('connect', origin, connected(info));
});
agent.on('disconnect', (origin, _targets, error, info) => {
  seen.disconnect++;
  event('disconnect', origin, disconnected(error, info));
});
agent.on('connectionError', (origin, _targets, error) => {
  event('connectionError', origin, error.code ?? error.message);
});

console.log(`dodici on Node ${process.version}: install() has replaced the dispatcher of fetch`);

await step("Node's own fetch()", async () => {
  const response = await fetch(`${origins.plain}/json`);
  const body = await response.json();
  assert.deepEqual(body, { hello: 'from the demo' });
  return `${response.status} ${response.headers.get('content-type')} ${JSON.stringify(body)}`;
});

await step('fetch() over TLS, trust given to this one origin', async () => {
  const response = await fetch(`${origins.secure}/json`);
  assert.equal(response.status, 200);
  return `${response.status} ${await response.text()}`;
});

await step('fetch() over HTTP/3, which Node does not have', async () => {
  const response = await fetch(HTTP3_ORIGIN);
  assert.equal(response.status, 200);
  assert.match(await response.text(), /^.{13}$/s);
  const connections = await agent.connections();
  const connection = connections.find(({ origin }) => origin === HTTP3_ORIGIN);
  assert.equal(connection.protocol, 'h3');
  return `${response.status} over ${connection.protocol}, from ${connection.remoteAddress}`;
});

if (socketPath) {
  await step('request() over a unix socket', async () => {
    const { statusCode, body } = await request(`${UNIX_ORIGIN}/json`);
    assert.equal(statusCode, 200);
    return `${statusCode} ${await body.text()}`;
  });
}

await step('request() with a JSON body, twice', async () => {
  const post = async (value) => {
    const { body } = await request(`${origins.plain}/echo`, {
      method: 'POST',
      body: JSON.stringify(value),
    });
    return body.json();
  };
  assert.deepEqual(await post({ ciao: 11 }), { ciao: 11 });
  // One turn of the event loop, as between two real requests.
  await setImmediate();
  const before = seen.connect;
  assert.deepEqual(await post({ ciao: 12 }), { ciao: 12 });
  assert.equal(seen.connect, before, 'the second request uses the connection of the first');
  return '{"ciao":11} {"ciao":12}, the second without a new connection';
});

await step('stream() of a slow, chunked response', async () => {
  const pieces = [];
  await stream(
    `${origins.plain}/slow`,
    { method: 'GET' },
    () =>
      new Writable({
        write(chunk, _encoding, done) {
          pieces.push({ text: chunk.toString().trim(), at: performance.now() });
          done();
        },
      }),
  );
  assert.match(pieces.at(-1).text, /piece 5 of 5$/);
  const spread = pieces.at(-1).at - pieces[0].at;
  return `${pieces.length} chunks, the last ${ms(spread)} after the first`;
});

await step('pipeline() through a transform', async () => {
  const shout = new Transform({
    transform(chunk, _encoding, done) {
      done(null, chunk.toString().toUpperCase());
    },
  });
  const duplex = pipeline(`${origins.plain}/echo`, { method: 'POST' }, ({ body }) =>
    body.pipe(shout),
  );
  const answer = await text(Readable.from(['undici, ', 'dodici']).pipe(duplex));
  assert.equal(answer, 'UNDICI, DODICI');
  return `sent "undici, dodici", got "${answer}"`;
});

await step('dispatch() with an informational response and trailers', async () => {
  const exchange = await new Promise((resolve, reject) => {
    const found = { lines: [], body: '' };
    agent.dispatch(
      { origin: origins.plain, path: '/hints', method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart(_controller, status, headers) {
          if (status < 200) found.lines.push(`${status} informational, link: ${headers.link}`);
          else found.lines.push(`${status} content-type: ${headers['content-type']}`);
        },
        onResponseData(_controller, chunk) {
          found.body += chunk;
        },
        onResponseEnd(controller, trailers) {
          found.trailers = trailers;
          found.raw = controller.rawTrailers;
          resolve(found);
        },
        onResponseError(_controller, error) {
          reject(error);
        },
      },
    );
  });
  assert.equal(exchange.body, 'body in two chunks');
  assert.deepEqual(
    { ...exchange.trailers },
    { 'x-checksum': 'b10a8db1', 'server-timing': 'app;dur=3' },
  );
  assert.match(exchange.lines[0], /^103 informational, link: <\/style.css>/);
  const raw = exchange.raw.map(String);
  assert.deepEqual(raw, ['X-Checksum', 'b10a8db1', 'Server-Timing', 'app;dur=3']);
  return [...exchange.lines, `trailers as they came: ${raw.join(' ')}`];
});

await step('an upload from a generator', async () => {
  async function* generate() {
    for (let i = 0; i < 64; i++) yield Buffer.alloc(16 * 1024, i);
  }
  const { statusCode, body } = await request(`${origins.plain}/upload`, {
    method: 'POST',
    body: generate(),
  });
  const account = await body.json();
  assert.deepEqual(account, { bytes: 1024 * 1024, framing: 'chunked' });
  return `${statusCode}, the server got ${account.bytes} bytes, ${account.framing}`;
});

await step('an abort in the middle of a response', async () => {
  const abort = new globalThis.AbortController();
  const { statusCode, body } = await request(`${origins.plain}/endless`, { signal: abort.signal });
  body.once('data', () => abort.abort());
  const [[error]] = await Promise.all([once(body, 'error'), once(agent, 'disconnect')]);
  assert.ok(error instanceof errors.RequestAbortedError || error.name === 'AbortError');
  return `${statusCode}, a first piece, then ${error.name}: ${error.message}`;
});

await step(`twelve requests at once to an origin limited to ${LIMIT} connections`, async () => {
  const answers = await Promise.all(
    Array.from({ length: 12 }, async () => {
      const { body } = await request(`${origins.limited}/work`);
      return body.text();
    }),
  );
  assert.deepEqual(answers, Array(12).fill('done'));
  const { body } = await request(`${origins.limited}/peak`);
  const peak = Number(await body.text());
  assert.equal(peak, LIMIT);
  return `12 answers; the server saw at most ${peak} connections`;
});

await step('two connections ahead of time, and what all of them are doing', async () => {
  const ready = await agent.preconnect(origins.plain, 2);
  assert.ok(ready >= 2);
  const connections = await agent.connections();
  assert.ok(connections.filter(({ origin }) => origin === origins.plain).length >= ready);
  return connections.map(
    ({ id, origin, activity, protocol, requests, bytesRead, age }) =>
      `${id} ${protocol} ${new URL(origin).host}: ${activity}, ${requests} requests, ${bytesRead} bytes read, open for ${ms(age)}`,
  );
});

await step('close()', async () => {
  await agent.close();
  assert.equal(seen.disconnect, seen.connect, 'one disconnect for each connect');
  return `${seen.connect} connects, ${seen.disconnect} disconnects`;
});
await servers.terminate();
http3.stdin.end();

if (Number(options.seconds) > 0) await compareWithUndici(Number(options.seconds));
console.log(`\nDone in ${((performance.now() - started) / 1e3).toFixed(1)} s.`);

/** Runs one step and prints what it returns, and how long it took. */
async function step(title, run) {
  console.log(`\n${title}`);
  const from = performance.now();
  // A step may wait for an event of an idle connection, and those keep no process alive.
  const alive = setInterval(() => {}, 1000);
  const lines = [await run()].flat();
  clearInterval(alive);
  const took = ms(performance.now() - from);
  for (const [index, line] of lines.entries()) {
    console.log(`  ${line}${index === lines.length - 1 ? `  (${took})` : ''}`);
  }
}

function event(name, origin, detail) {
  console.log(`  · ${name} ${origin.origin ?? origin}: ${detail}`);
}

/** One line about a new connection. */
function connected(info) {
  const { timings, tls, path, protocol } = info;
  const legs = ['dns', 'tcp', 'tls']
    .filter((leg) => timings[leg] !== undefined)
    .map((leg) => `${leg} ${ms(timings[leg])}`);
  const where = path ?? `${info.remoteAddress}:${info.remotePort}`;
  // Over QUIC, the cipher is unknown.
  const secured =
    tls && [tls.version, tls.cipher, tls.resumed && 'resumed'].filter(Boolean).join(' ');
  return [where, protocol, secured, ...legs].filter(Boolean).join(', ');
}

/** One line about a connection that ended. */
function disconnected(error, { reason, requests, bytesRead, bytesWritten, age }) {
  return `${reason} (${error.message}); ${requests} requests, ${bytesWritten} bytes out, ${bytesRead} in, lived ${ms(age)}`;
}

function ms(value) {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}
