// Servers that call other servers, as programs have them: a gateway, a renderer of pages, a relay of
// uploads. lib/compare.mjs starts it as a separate process for each measurement; it starts load.mjs as
// its visitors, with the same client for every program that is measured. It prints one line of JSON.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { load } from './lib/clients.mjs';
import { measure } from './lib/compare.mjs';
import { ours } from './lib/paths.mjs';
import { parseOptions } from './lib/target.mjs';
import { threadCpuClock } from './lib/thread-cpu.mjs';

const HELP = `Usage: node bench/work.mjs --work NAME --module PATH --origin URL [options]

  --work NAME      gateway: Fastify with reply-from
                   renderer: a page of 20 fetches
                   relay: the body of a POST is piped to another
  --module PATH    the client that is measured: it exports undici's API
  --visitors N     requests in flight to this server (default 50)
  --visitor PATH   the client that sends them (default node/dist)
  --seconds S      measured time (default 3)
  --warmup S       time before that (default 1)
  --body N         visitors POST bodies of N bytes
`;

const options = parseOptions(HELP, {
  work: { type: 'string' },
  visitors: { type: 'string', default: '50' },
  visitor: { type: 'string', default: ours() },
  seconds: { type: 'string', default: '3' },
  warmup: { type: 'string', default: '1' },
});
/** Fetches of one page. */
const FETCHES = 20;

const module = await load(options.module);
const [origin] = options.origin;
const url = origin + options.path;
const dispatcher = new module.Agent({ connections: Number(options.connections), allowH2: false });

/** Starts each server; resolves to it once it listens, and to the requests it makes for one visitor. */
const WORKS = {
  async gateway() {
    const [{ default: fastify }, { default: replyFrom }] = await Promise.all([
      import('fastify'),
      import('@fastify/reply-from'),
    ]);
    const app = fastify();
    app.register(replyFrom, { base: origin, undici: dispatcher });
    app.all('/*', (_request, reply) => reply.from(options.path));
    await app.listen({ host: '127.0.0.1', port: 0 });
    return { server: app.server, requests: 1 };
  },
  async renderer() {
    const part = async () => {
      const rows = await (await module.fetch(url, { dispatcher })).json();
      return rows.map(({ id, name, email }) => `<li id="${id}">${name}, ${email}</li>`).join('');
    };
    return listen(async (_request, response) => {
      const parts = await Promise.all(Array.from({ length: FETCHES }, part));
      response.setHeader('content-type', 'text/html');
      response.end(`<!doctype html><ul>${parts.join('</ul><ul>')}</ul>`);
    }, FETCHES);
  },
  async relay() {
    return listen(async (request, response) => {
      const headers = { 'content-length': request.headers['content-length'] };
      const given = { method: 'POST', headers, body: request, dispatcher };
      const { statusCode, body } = await module.request(url, given);
      await body.dump();
      response.statusCode = statusCode;
      response.end();
    }, 1);
  },
};

/** @param {(request: any, response: any) => Promise<void>} answer */
async function listen(answer, requests) {
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      process.stderr.write(`work: ${error.stack}\n`);
      process.exit(1);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, requests };
}

const { server, requests } = await WORKS[options.work]();
let arrived = 0;
server.on('request', () => arrived++);
const { seconds, warmup, visitors, body } = options;
const visits = measure({
  node: process.execPath,
  module: options.visitor,
  args: [
    ...['--origin', `http://127.0.0.1:${server.address().port}`],
    ...['--connections', visitors, '--seconds', seconds, '--warmup', warmup],
    ...(body === undefined ? [] : ['--body', body]),
  ],
});
const threadCpu = threadCpuClock();
const delay = monitorEventLoopDelay({ resolution: 5 });
await Promise.race([once(server, 'request'), visits]);
await sleep(warmup);
delay.enable();
const before = snapshot();
await sleep(seconds);
const after = snapshot();
delay.disable();
const rss = process.memoryUsage.rss() / 1e6;
const { total, throughput, megabytesPerSecond, p50, p95, p99 } = await visits;

const answered = after.arrived - before.arrived;
const result = {
  node: process.version,
  total: total * requests,
  ...{ throughput, megabytesPerSecond, p50, p95, p99 },
  jsCpu: (after.threadCpu - before.threadCpu) / answered,
  processCpu: (after.processCpu - before.processCpu) / answered,
  loopDelay: (delay.mean || 0) / 1e6,
  rss,
};
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));

function snapshot() {
  const { user, system } = process.cpuUsage();
  return { arrived, threadCpu: threadCpu(), processCpu: user + system };
}

/** @param {string} time in seconds */
function sleep(time) {
  return new Promise((resolve) => setTimeout(resolve, Number(time) * 1e3));
}
