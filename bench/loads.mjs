// All loads: server, requests, clients and targets. run.mjs and driver.mjs
// run them; this file is the table.
import {
  hasNghttpd,
  hasNginx,
  minimalServer,
  nghttpd,
  nginxFetch,
  nginxTls,
} from './lib/origins.mjs';
import { ALL, ALL_FETCHES, BESIDE_PLAIN, BOTH, BOTH_FETCHES, BUN } from './lib/peers.mjs';

/**
 * @typedef {object} Load
 * @property {string} id
 * @property {string} group the recipe: `just bench-<group>`
 * @property {string} title
 * @property {() => Promise<import('./lib/origins.mjs').Origin>} origin
 * @property {() => boolean} [available] whether its server is installed
 * @property {string} [server] that server's name
 * @property {string[]} args of the program, besides those of the origin
 * @property {string} [program] of bench/ (default load.mjs)
 * @property {string[]} [nodeArgs]
 * @property {string[]} [clients] names of lib/peers.mjs (default undici and dodici)
 * @property {string[]} [figures] in its table (default: those of most loads)
 * @property {boolean} [timed] whether it lasts as long as --seconds says (default true)
 * @property {number} [rounds] share of --rounds (default 1)
 * @property {boolean} [paced] whether memory is also compared at undici's rate
 * @property {Target[]} targets
 */
/**
 * @typedef {object} Target what a figure of ours must reach
 * @property {string} figure
 * @property {'atLeast' | 'atMost' | 'plus' | 'below'} kind ratio to undici's at least or at most;
 *   undici's plus this; an absolute number
 * @property {number} limit
 * @property {string} [than] another client that ours is compared with
 */

const target = (kind) => (figure, limit, than) => ({ figure, kind, limit, than });
const atLeast = target('atLeast');
const atMost = target('atMost');
const plus = target('plus');
const below = target('below');
/**
 * The usual ones: minimum throughput, maximum time of the JavaScript thread per request, and for
 * fetch, minimum throughput compared with Bun's.
 */
const pace = (throughput, jsCpu, toBun) => [
  atLeast('throughput', throughput),
  atMost('jsCpu', jsCpu),
  ...(toBun === undefined ? [] : [atLeast('throughput', toBun, BUN)]),
];

const KIB = 1024;
const GIB = KIB ** 3;
const SMALL = 13;
const FIFTY = ['--connections', '50'];
const size = (bytes) => ['--bytes', String(bytes)];

const plain =
  (bytes, more = {}) =>
  () =>
    minimalServer({ bytes, ...more });
const nginx = (bytes) => () => nginxTls({ bytes });

/** A load of 50 connections. */
const fifty = (group, id, title, bytes, { args = [], origin, ...more }) => ({
  group,
  id,
  title,
  origin: origin ?? plain(bytes),
  args: [...FIFTY, ...size(bytes), ...args],
  ...more,
});

/** A load of one large body. */
const large = (id, title, args, origin, targets) => ({
  group: 'bodies',
  id,
  title,
  origin,
  args: ['--connections', '1', '--requests', '1', ...args],
  timed: false,
  figures: ['megabytesPerSecond', 'jsCpu', 'processCpu', 'loopDelay', 'rss'],
  targets,
});

const upload = ['--body', String(GIB), '--streamed', ...size(SMALL)];
const download = size(GIB);

/** A load over HTTP/2. */
const h2 = (id, title, bytes, args, targets) => ({
  group: 'h2',
  id,
  title,
  origin: () => nghttpd({ bytes }),
  available: hasNghttpd,
  server: 'nghttpd',
  args: ['--http2', '--concurrency', '100', ...size(bytes), ...args],
  targets,
});
const oneByHundred = ['--connections', '1'];

/** A comparison with all clients, in fewer rounds: there are many. */
const peers = (id, title, bytes, more) => ({
  ...fifty('peers', id, title, bytes, { targets: [], ...more }),
  clients: more.clients ?? ALL,
  rounds: 0.6,
});
/** All but undici's Agents, which over one origin are equal to its Pool. */
const WITHOUT_AGENTS = ALL.filter((name) => !name.endsWith('Agent'));

/** Figures in the tables of the fetch loads. */
const FETCH_FIGURES = ['throughput', 'jsCpu', 'processCpu', 'p50', 'p99', 'rss'];
/** Memory at undici's rate: with many more responses per second, more of them wait to be collected. */
const PACED_FIGURES = ['rssAtRate', 'peakAtRate'];

/** A fetch load: 50 calls in flight, read by `read`, against all clients over HTTP/1.1. */
const fetches = (id, title, path, read, targets, { server = {}, args = [], ...more } = {}) => ({
  group: 'fetch',
  id: `fetch-${id}`,
  title,
  origin: () => nginxFetch({ path, ...server }),
  available: hasNginx,
  server: 'nginx',
  program: 'fetch.mjs',
  args: ['--read', read, ...args],
  figures: more.paced === false ? FETCH_FIGURES : [...FETCH_FIGURES, ...PACED_FIGURES],
  paced: true,
  clients: server.tls || read === 'stream' ? [...BOTH_FETCHES, BUN] : ALL_FETCHES,
  targets: more.paced === false ? targets : [...targets, plus('rssAtRate', 15)],
  ...more,
});
const overTls = { server: { tls: true } };
const overH2 = { server: { tls: true, http2: true } };
const withLarge = { server: { large: true } };

/** A program that serves others, and calls servers itself. */
const work = (id, title, origin, args, targets, more = {}) => ({
  group: 'work',
  id,
  title,
  origin,
  program: 'work.mjs',
  args: ['--work', id, ...args],
  figures: ['throughput', 'jsCpu', 'processCpu', 'p50', 'p99', 'loopDelay', 'rss'],
  targets,
  ...more,
});

const COLD = ['import', 'firstRequest', 'firstByte', 'firstCpu', 'rss'];

/** @type {Load[]} */
export const LOADS = [
  {
    group: 'h1',
    id: 'h1-1',
    title: 'HTTP/1.1, 1 connection, small response',
    origin: plain(SMALL),
    // More than one in flight; otherwise it would be the load of `latency`.
    args: ['--connections', '1', '--concurrency', '10', ...size(SMALL)],
    targets: [],
  },
  fifty('h1', 'h1-50', 'HTTP/1.1, 50 connections, small response', SMALL, {
    targets: pace(2.2, 0.15),
  }),
  fifty('h1', 'h1-pipelined', 'HTTP/1.1, 50 connections × pipelining 10, small response', SMALL, {
    args: ['--pipelining', '10'],
    targets: pace(3, 0.15),
  }),
  fifty('h1', 'h1-pipelined-each', 'The same, each response a write of its own', SMALL, {
    origin: plain(SMALL, { each: true }),
    args: ['--pipelining', '10'],
    targets: [atLeast('throughput', 3)],
  }),
  ...[
    ['tcp', 'TCP', false],
    ['unix', 'unix socket', true],
  ].map(([id, over, unix]) =>
    fifty(
      'h1',
      `undici-${id}`,
      `undici's own benchmark: 50 × pipelining 10, 100 in flight, 64 KiB after 1 ms, ${over}`,
      64 * KIB,
      {
        args: ['--pipelining', '10', '--concurrency', '100'],
        origin: plain(64 * KIB, { delay: 1, unix }),
        targets: [],
      },
    ),
  ),

  fifty('tls', 'tls-small', 'HTTP/1.1 over TLS 1.3, 50 connections, small response', SMALL, {
    origin: nginx(SMALL),
    targets: pace(1.6, 0.2),
  }),
  fifty('tls', 'tls-64k', 'HTTP/1.1 over TLS 1.3, 50 connections, 64 KiB bodies', 64 * KIB, {
    origin: nginx(64 * KIB),
    targets: pace(1.6, 0.25),
  }),

  h2(
    'h2-small',
    'HTTP/2, 1 connection, 100 streams, small response',
    SMALL,
    oneByHundred,
    pace(3.3, 0.12),
  ),
  h2(
    'h2-64k',
    'HTTP/2, 1 connection, 100 streams, 64 KiB bodies',
    64 * KIB,
    oneByHundred,
    pace(3, 0.2),
  ),
  h2(
    'h2-4x25',
    'HTTP/2, 4 connections, 25 streams each, small response',
    SMALL,
    ['--connections', '4', '--streams', '25'],
    [],
  ),
  h2(
    'h2-post-1k',
    'HTTP/2, 1 connection, 100 streams, POST of 1 KiB',
    SMALL,
    [...oneByHundred, '--body', String(KIB)],
    pace(3, 0.15),
  ),
  h2(
    'h2-post-64k',
    'HTTP/2, 1 connection, 100 streams, POST of 64 KiB',
    SMALL,
    [...oneByHundred, '--body', String(64 * KIB)],
    [],
  ),

  fifty('bodies', 'h1-16k', 'HTTP/1.1, 50 connections, 16 KiB bodies', 16 * KIB, { targets: [] }),
  fifty('bodies', 'h1-64k', 'HTTP/1.1, 50 connections, 64 KiB bodies', 64 * KIB, {
    targets: pace(1.5, 0.25),
  }),
  fifty('bodies', 'post-1k', 'HTTP/1.1, 50 connections, POST of 1 KiB', SMALL, {
    args: ['--body', String(KIB)],
    targets: pace(1.4, 0.3),
  }),
  fifty('bodies', 'post-64k', 'HTTP/1.1, 50 connections, POST of 64 KiB', SMALL, {
    args: ['--body', String(64 * KIB)],
    targets: [atLeast('throughput', 1.3)],
  }),
  large('download', '1 GiB download, HTTP/1.1', download, plain(GIB), []),
  large('upload', '1 GiB streamed upload, HTTP/1.1', upload, plain(SMALL), []),
  large(
    'download-tls',
    '1 GiB download, HTTP/1.1 over TLS 1.3',
    download,
    plain(GIB, { tls: true }),
    [atLeast('megabytesPerSecond', 1.3), atMost('jsCpu', 0.2)],
  ),
  large(
    'upload-tls',
    '1 GiB streamed upload, HTTP/1.1 over TLS 1.3',
    upload,
    plain(SMALL, { tls: true }),
    [atLeast('megabytesPerSecond', 1.2), atMost('jsCpu', 0.2)],
  ),

  ...[
    ['request', 'request() + body.text()', pace(2.6, 0.22)],
    ['stream', 'stream()', []],
    ['pipeline', 'pipeline()', []],
    ['fetch', 'fetch() + text()', pace(5, 0.15)],
  ].map(([api, title, targets]) =>
    fifty('apis', api, `${title}, HTTP/1.1, 50 connections, small response`, SMALL, {
      args: ['--api', api],
      targets,
    }),
  ),

  fetches('json', 'fetch: small JSON, json()', '/small', 'json', pace(6, 0.12, 0.8)),
  fetches('json-tls', 'fetch: small JSON over TLS', '/small', 'json', pace(5, 0.15, 1), overTls),
  fetches('json-h2', 'fetch: small JSON over HTTP/2', '/small', 'json', pace(8, 0.15, 1), overH2),
  fetches('post', 'fetch: POST of JSON, small answer', '/small', 'post', pace(5, 0.15)),
  fetches('20k-text', 'fetch: 20 KiB of JSON, text()', '/20k', 'text', pace(4, 0.2, 0.8)),
  fetches('20k-json', 'fetch: 20 KiB of JSON, json()', '/20k', 'json', pace(1.8, 0.5)),
  fetches(
    'gzip-text',
    'fetch: the same with gzip, text()',
    '/20k-gzip',
    'text',
    pace(7, 0.12, 0.7),
  ),
  fetches('gzip-json', 'fetch: the same with gzip, json()', '/20k-gzip', 'json', pace(3.2, 0.3)),
  fetches('br-json', 'fetch: the same with br, json()', '/20k-br', 'json', []),
  fetches('64k', 'fetch: 64 KiB, arrayBuffer()', '/64k', 'arrayBuffer', pace(3, 0.2)),
  fetches('stream', 'fetch: 1 MiB, body as a stream', '/1m', 'stream', pace(2, 0.4)),
  fetches('gzip-1m', 'fetch: 1 MiB with gzip, text()', '/1m-gzip', 'text', []),
  fetches('gzip-100m', 'fetch: 100 MiB with gzip, body as a stream', '/100m-gzip', 'stream', [], {
    ...withLarge,
    args: ['--concurrency', '2'],
  }),
  fetches(
    'beside',
    'fetch: 1,000 small JSON per second beside 100 MiB with gzip',
    '/small',
    'json',
    [atMost('p99', 2, BESIDE_PLAIN)],
    {
      ...withLarge,
      args: ['--concurrency', '4', '--rate', '1000', '--beside', '/100m-gzip'],
      clients: [...BOTH_FETCHES, BESIDE_PLAIN],
      paced: false,
    },
  ),
  fetches('redirects', 'fetch: ten redirects to small JSON', '/redirect/1', 'json', [], {
    clients: [...BOTH_FETCHES, 'Node fetch', 'Bun fetch', 'Deno fetch', 'axios over HTTP', 'ky'],
  }),
  fetches('one', 'fetch: one after the other, small JSON', '/small', 'json', [atMost('p50', 0.8)], {
    args: ['--concurrency', '1', '--microtasks'],
    figures: [...FETCH_FIGURES, ...PACED_FIGURES, 'microtasks'],
  }),

  {
    group: 'latency',
    id: 'latency',
    title: 'One request after the other, 1 connection',
    origin: plain(SMALL),
    args: ['--connections', '1', ...size(SMALL)],
    targets: [atMost('p50', 1.1), atMost('processCpu', 1.1)],
  },
  {
    group: 'origins',
    id: 'origins',
    title: 'Agent, 1,000 origins in turn, 200 in flight, small response',
    origin: plain(SMALL, { ports: 1000 }),
    args: ['--connections', '1', '--concurrency', '200', ...size(SMALL)],
    clients: ['undici Agent', 'dodici Agent'],
    targets: [],
  },
  {
    group: 'busy',
    id: 'busy',
    title: 'JavaScript busy for 20 ms of every 25 ms, 100 requests a turn, 50 connections',
    origin: plain(SMALL, { waits: true }),
    args: [...FIFTY, '--stamp', '--busy', '20', '--turn', '25', '--burst', '100', ...size(SMALL)],
    figures: ['throughput', 'waitP50', 'waitP99', 'p50', 'p99', 'processCpu', 'rss'],
    targets: [atMost('waitP99', 0.5)],
  },
  work(
    'gateway',
    'Gateway: Fastify with reply-from, 1 KiB',
    plain(KIB),
    [],
    [...pace(1.4, 0.6), atMost('p99', 0.7)],
  ),
  work(
    'renderer',
    'Server-side renderer: 20 fetches of JSON a page',
    () => nginxFetch({ path: '/1k' }),
    [],
    pace(2, 0.2),
    { available: hasNginx, server: 'nginx' },
  ),
  work(
    'relay',
    'Upload relay: POST of 1 MiB piped to another origin',
    plain(SMALL),
    ['--body', String(KIB * KIB), '--visitors', '20'],
    pace(1, 1),
  ),
  {
    group: 'work',
    id: 'crawler',
    title: 'Crawler: 1,000 origins in turn, a redirect each, 20 KiB with gzip',
    origin: () => nginxFetch({ path: '/moved', origins: 1000 }),
    available: hasNginx,
    server: 'nginx',
    program: 'fetch.mjs',
    args: ['--read', 'text', '--concurrency', '200'],
    clients: BOTH_FETCHES,
    figures: FETCH_FIGURES,
    targets: pace(5, 0.12),
  },
  {
    group: 'closing',
    id: 'closing',
    title: 'Closing 5,000 connections: the longest turn of the event loop',
    // Long enough for all connections to be opened before the first is free again.
    origin: plain(SMALL, { delay: 3000 }),
    program: 'closing.mjs',
    args: ['--connections', '5000'],
    figures: ['heldCpu', 'held', 'closing', 'processCpu'],
    timed: false,
    targets: [atMost('heldCpu', 0.1)],
  },
  {
    group: 'start',
    id: 'start',
    title: 'Cold start: from import to the first answer',
    origin: plain(SMALL),
    program: 'start.mjs',
    args: [],
    clients: WITHOUT_AGENTS,
    figures: COLD,
    timed: false,
    rounds: 2,
    targets: [plus('import', 10)],
  },
  ...[
    ['memory', 'Memory of a connection at rest (of 1,000), HTTP/1.1', false, 1000],
    ['memory-tls', 'Memory of a connection at rest (of 1,000), HTTP/1.1 over TLS 1.3', true, 2000],
  ].map(([id, title, tls, delay]) => ({
    group: 'memory',
    id,
    title,
    // Long enough for all connections to be opened before the first is free again.
    origin: plain(SMALL, { delay, tls }),
    program: 'idle.mjs',
    nodeArgs: ['--expose-gc'],
    args: ['--count', '1000'],
    figures: ['perConnection', 'rss'],
    timed: false,
    rounds: 0.6,
    targets: [below('perConnection', 20)],
  })),

  peers('peers-small', 'All clients: HTTP/1.1, 50 connections, small response', SMALL, {}),
  peers('peers-64k', 'All clients: HTTP/1.1, 50 connections, 64 KiB bodies', 64 * KIB, {
    clients: WITHOUT_AGENTS,
  }),
  peers('peers-tls', 'All clients: HTTP/1.1 over TLS 1.3, 50 connections, small response', SMALL, {
    clients: WITHOUT_AGENTS,
    origin: nginx(SMALL),
  }),
  {
    ...h2(
      'peers-h2',
      'Clients with HTTP/2: 1 connection, 100 streams, small response',
      SMALL,
      oneByHundred,
      [],
    ),
    group: 'peers',
    clients: [...BOTH, 'undici 7', 'node', 'impit', 'wreq-js'],
    rounds: 0.6,
  },
];

/** Targets of every load that both clients run. */
export const EVERYWHERE = [atMost('processCpu', 1), plus('rss', 15)];

/** The recipes, in the order of the table. */
export const GROUPS = [...new Set(LOADS.map(({ group }) => group))];
