// `just bench-h3`: ours over HTTP/3 against ours over HTTP/2, and others that speak HTTP/3, in turns.
//
// The servers are dodici-bench-h3 and nghttpd. The last loads run over a path of 50 ms that loses 1 %
// of the packets in each direction (lib/far.mjs); without root they are left out, by name. What clients
// send is compared with the bytes that the HTTP/3 server counts.
//
// Writes bench/results/h3.json, from which `just bench-publish` writes docs/benchmarks.md.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { join } from 'node:path';
import { commandLine } from '../scripts/command-line.mjs';
import { alternate, table } from './lib/compare.mjs';
import { far, HERE, impossible } from './lib/far.mjs';
import { FIGURES, format, judge } from './lib/figures.mjs';
import { h3Server, hasNghttpd, nghttpd } from './lib/origins.mjs';
import { benchNode, ours, RESULTS } from './lib/paths.mjs';
import { BUN, compared, versions } from './lib/peers.mjs';

const KIB = 1024;
const GIB = KIB ** 3;
const SMALL = 13;

const H3 = 'dodici over HTTP/3';
const H2 = 'dodici over HTTP/2';

/** Name → name of lib/peers.mjs, and the protocol. */
const CLIENTS = {
  [H2]: { peer: 'dodici', protocol: 'h2' },
  [H3]: { peer: 'dodici', protocol: 'h3' },
  'impit over HTTP/3': { peer: 'impit', protocol: 'h3' },
  'Bun over HTTP/3': { peer: BUN, kind: 'fetch', protocol: 'h3' },
};
const BOTH = [H2, H3];
const ALL = Object.keys(CLIENTS);

const hundred = ['--connections', '1', '--streams', '100', '--concurrency', '100'];
// 10: a response is a packet, and a window of TCP holds 12 of them where 1 % is lost (RFC 9438,
// section 5.1), so that a request waits for losses and not for room.
const ten = ['--connections', '1', '--streams', '100', '--concurrency', '10'];
const twenty = ['--connections', '1', '--streams', '100', '--concurrency', '20'];
const one = ['--connections', '1', '--concurrency', '1', '--requests', '1'];
const size = (bytes) => ['--bytes', String(bytes)];
const atMost = (figure, limit) => ({ figure, kind: 'atMost', limit, than: H2 });
const MANY = ['throughput', 'jsCpu', 'processCpu', 'p50', 'p95', 'p99', 'rss'];
const ONE = ['megabytesPerSecond', 'jsCpu', 'processCpu', 'rss'];

/**
 * @typedef {object} Load
 * @property {string} id
 * @property {string} title
 * @property {number} bytes of each response's body
 * @property {string[]} args of load.mjs
 * @property {number} [body] bytes of each request's body
 * @property {boolean} [far] over the path
 * @property {string[]} clients
 * @property {string[]} figures
 * @property {import('./loads.mjs').Target[]} [targets]
 */
/** @type {Load[]} */
const LOADS = [
  {
    id: 'small',
    title: '1 connection, 100 streams, small response',
    bytes: SMALL,
    args: hundred,
    clients: ALL,
    figures: MANY,
    targets: [atMost('processCpu', 2.5), atMost('jsCpu', 1)],
  },
  {
    id: '64k',
    title: '1 connection, 100 streams, 64 KiB bodies',
    bytes: 64 * KIB,
    args: hundred,
    clients: ALL,
    figures: MANY,
  },
  {
    id: 'post-1k',
    title: '1 connection, 100 streams, POST of 1 KiB',
    bytes: SMALL,
    args: [...hundred, '--body', String(KIB)],
    body: KIB,
    clients: ALL,
    figures: MANY,
  },
  {
    id: 'download',
    title: '1 GiB download',
    bytes: GIB,
    args: one,
    clients: ALL,
    figures: ONE,
  },
  {
    id: 'upload',
    title: '1 GiB streamed upload',
    bytes: SMALL,
    args: [...one, '--body', String(GIB), '--streamed'],
    body: GIB,
    clients: ALL,
    figures: ONE,
  },
  {
    id: 'far-small',
    title: '50 ms and 1 % loss: 1 connection, 10 streams, 1 KiB bodies',
    bytes: KIB,
    args: [...ten, '--time-each'],
    far: true,
    clients: ALL,
    figures: MANY,
    targets: [atMost('p95', 0.6)],
  },
  {
    id: 'far-4k',
    title: '50 ms and 1 % loss: 1 connection, 100 streams, 4 KiB bodies',
    bytes: 4 * KIB,
    args: [...hundred, '--time-each'],
    far: true,
    clients: BOTH,
    figures: MANY,
  },
  {
    id: 'far-64k',
    title: '50 ms and 1 % loss: 1 connection, 20 streams, 64 KiB bodies',
    bytes: 64 * KIB,
    args: [...twenty, '--time-each'],
    far: true,
    clients: BOTH,
    figures: MANY,
  },
];

/** Of the path. */
const RTT = 50;
const LOSS = 1;

const HELP = `Usage: just bench-h3 [options]

  --rounds N      alternating rounds per load (default 5; the report shows medians)
  --seconds S     measured seconds per process (default 1; over the path ten times as long)
  --warmup S      seconds before that (default 0.5)
  --only A,B      only these loads: ${LOADS.map(({ id }) => id).join(', ')}
  --clients A,B   only clients whose names begin with these (default all that a load names)
  --ours PATH     measure this module instead of node/dist
  --node PATH     run on this Node instead of Node 24 from npm
  --out NAME      name of the report in bench/results/ (default h3)
  --check         fail if a target is missed or a load was left out
`;

const { values: options } = commandLine(HELP, {
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    warmup: { type: 'string', default: '0.5' },
    only: { type: 'string' },
    clients: { type: 'string', default: '' },
    ours: { type: 'string', default: ours() },
    node: { type: 'string', default: benchNode() },
    out: { type: 'string', default: 'h3' },
    check: { type: 'boolean', default: false },
  },
});
const only = options.only?.split(',');
const loads = LOADS.filter(({ id }) => only === undefined || only.includes(id));
if (loads.length < (only?.length ?? 1)) {
  process.stderr.write(HELP);
  process.exit(2);
}
const chosen = options.clients.split(',');

const report = {
  of: 'h3',
  taken: new Date().toISOString(),
  machine: `${cpus().length} × ${cpus()[0].model.trim()}, ${platform()} ${arch()}`,
  node: execFileSync(options.node, ['--version'], { encoding: 'utf8' }).trim(),
  versions: {
    ...versions(),
    bun: execFileSync(compared(BUN).runtime, ['--version']).toString().trim(),
  },
  rounds: Number(options.rounds),
  seconds: Number(options.seconds),
  rows: [],
  leftOut: [],
};
mkdirSync(RESULTS, { recursive: true });
for (const load of loads) {
  console.log(`\n${load.id}: ${load.title}`);
  const reason = (load.far && impossible()) || (hasNghttpd() ? undefined : 'without nghttpd');
  if (reason !== undefined) {
    console.log(`  left out: ${reason}`);
    report.leftOut.push({ id: load.id, reason });
    continue;
  }
  report.rows.push(await measured(load));
  writeFileSync(join(RESULTS, `${options.out}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
}

const verdicts = report.rows.flatMap(({ id, verdicts: all }) =>
  all.map((verdict) => ({ id, ...verdict })),
);
const missed = verdicts.filter(({ met }) => !met);
if (verdicts.length > 0) {
  const lines = verdicts.map(({ id, heading, wanted, shown, met }) => {
    return [id, heading, wanted, shown, met ? '✓' : '✗ missed'];
  });
  console.log(`\n${table([['load', 'figure', 'target', 'measured', ''], ...lines])}`);
}
console.log(`\nFull figures: bench/results/${options.out}.json`);
if (options.check && (missed.length > 0 || report.leftOut.length > 0)) process.exitCode = 1;

/** Measures one load, prints its table, and returns its row. @param {Load} load */
async function measured(load) {
  const path = load.far ? await far({ rtt: RTT, loss: LOSS }) : undefined;
  const at = path?.server ?? HERE;
  const origins = {
    h2: await nghttpd({ bytes: load.bytes, at }),
    h3: await h3Server({ bytes: load.bytes, at }),
  };
  const names = load.clients.filter((name) => chosen.some((begin) => name.startsWith(begin)));
  const failed = {};
  let before = await origins.h3.account();
  try {
    const [node, ...nodeArgs] = [...(path?.client.enter ?? []), options.node];
    const times = { seconds: Number(options.seconds), warmup: Number(options.warmup) };
    if (load.far) times.seconds *= 10;
    const timed = ['--seconds', String(times.seconds), '--warmup', String(times.warmup)];
    const clients = names.map((name) => client(name, origins, path));
    const results = await alternate({
      clients,
      rounds: Number(options.rounds),
      node,
      nodeArgs,
      env: origins.h3.env,
      args: [...load.args, ...size(load.bytes), ...(load.args.includes('--requests') ? [] : timed)],
      async onRound(name, _round, figures) {
        process.stdout.write('.');
        if (CLIENTS[name].protocol !== 'h3') return;
        const after = await origins.h3.account();
        honest(name, load, figures, before, after);
        before = after;
      },
      onFailure(name, error) {
        if (BOTH.includes(name)) throw error;
        failed[name] = error.message.split('\n').slice(0, 2).join(' ');
      },
    });
    process.stdout.write('\n');
    const { id, title, figures } = load;
    const row = { id, title, figures, clients: results, failed };
    const base = results[H2]?.median;
    row.verdicts = (load.targets ?? []).flatMap((target) =>
      base && results[H3] ? [judge(target, results[H3].median, base)] : [],
    );
    console.log(shown(load, row, base));
    return row;
  } finally {
    for (const origin of Object.values(origins)) await origin.stop();
    const counts = await path?.stop();
    if (counts) console.log(`  the path carried ${counts.carried} packets and lost ${counts.lost}`);
  }
}

/** What compare.mjs runs. */
function client(name, origins, path) {
  const { peer, kind, protocol } = CLIENTS[name];
  const { runtime, ...how } = compared(peer, { ours: options.ours });
  const args = [...origins[protocol].args, ...(protocol === 'h2' ? ['--http2'] : [])];
  if (runtime === undefined) return { ...how, name, args };
  const [other, ...runtimeArgs] = [...(path?.client.enter ?? []), runtime];
  return { ...how, name, kind, args, runtime: other, runtimeArgs };
}

/** The server counts what arrived, so a client cannot invent responses, or bodies that it sent. */
function honest(name, load, { total }, before, after) {
  const requests = after.requests - before.requests;
  const received = after.received - before.received;
  if (requests !== total || received !== total * (load.body ?? 0)) {
    throw new Error(
      `${name} counted ${total} answers; the server ${requests} requests with ${received} bytes`,
    );
  }
}

/** @param {Load} load */
function shown(load, { clients, failed }, base) {
  const mine = clients[H3]?.median;
  const lines = [
    ['', ...load.figures.map((key) => FIGURES[key].heading)],
    ...Object.entries(clients).map(([name, { median }]) => [
      name,
      ...load.figures.map((key) => format(median[key], FIGURES[key].digits)),
    ]),
  ];
  if (base && mine) {
    const ratios = load.figures.map((key) => `${format(mine[key] / base[key], 2)}×`);
    lines.push(['HTTP/3 to HTTP/2', ...ratios]);
  }
  const notes = Object.entries(failed).map(([name, message]) => `${name} failed: ${message}`);
  return [table(lines), ...notes].join('\n').replaceAll(/^/gm, '  ');
}
