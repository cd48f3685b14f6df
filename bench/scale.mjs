// `just bench-scale`: what a request costs when there is more of something: connections, origins,
// waiting requests, workers, bytes, I/O threads. ranges.mjs is the table; each measurement is a separate
// process with a server of its own, and undici and dodici alternate.
//
// Writes bench/results/scale.json, and plots next to it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { alternate, table } from './lib/compare.mjs';
import { FIGURES, format } from './lib/figures.mjs';
import { amount, growth, memoryPerUnit, withCosts } from './lib/growth.mjs';
import { benchNode, ours, RESULTS } from './lib/paths.mjs';
import { BOTH, compared } from './lib/peers.mjs';
import { begun, saved } from './lib/report.mjs';
import { RANGES } from './ranges.mjs';
import { growthPlot } from './plot.mjs';
import { commandLine } from '../scripts/command-line.mjs';

/** What a request, or a byte, may cost more at any point of a range than at one before. */
const GOAL = 1.5;
/** Overhead of a process besides its measured time: start, connections, the server. */
const AROUND_SECONDS = 1;

const HELP = `Usage: just bench-scale [options]

  --rounds N      alternating rounds per point (default 3; the report shows medians)
  --seconds S     measured seconds per process (default 1)
  --warmup S      seconds before that (default 0.5)
  --only A,B      only these ranges: ${RANGES.map(({ id }) => id).join(', ')}
  --to N          only points up to this
  --list          list the ranges and how long each takes
  --ours PATH     measure this module instead of node/dist
  --theirs PATH   compare with this module instead of undici 8.13
  --node PATH     run on this Node instead of Node 24 from npm
  --out NAME      name of the report in bench/results/ (default scale)
  --check         fail if something of ours grows by more than ${GOAL} times
`;

const { values: options } = commandLine(HELP, {
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '1' },
    warmup: { type: 'string', default: '0.5' },
    only: { type: 'string' },
    to: { type: 'string', default: 'Infinity' },
    list: { type: 'boolean', default: false },
    ours: { type: 'string', default: ours() },
    theirs: { type: 'string' },
    node: { type: 'string', default: benchNode() },
    out: { type: 'string', default: 'scale' },
    check: { type: 'boolean', default: false },
  },
});
const only = options.only?.split(',');
const ranges = RANGES.filter(({ id }) => only === undefined || only.includes(id));
const [rounds, seconds, warmup] = [options.rounds, options.seconds, options.warmup].map(Number);
if (ranges.length < (only?.length ?? 1) || !(rounds > 0 && seconds > 0 && warmup >= 0)) {
  process.stderr.write(HELP);
  process.exit(2);
}
const pointsOf = ({ points }) => points.filter((at) => at <= Number(options.to));
if (options.list) {
  for (const range of ranges) {
    const each = (at) => {
      const { longer = 1, warmer = 1 } = range.load(at);
      return seconds * longer + warmup * warmer + AROUND_SECONDS;
    };
    const all = pointsOf(range).reduce((sum, at) => sum + each(at), 0) * rounds * BOTH.length;
    console.log(`${range.id.padEnd(12)} ${String(Math.ceil(all)).padStart(4)} s  ${range.title}`);
  }
  process.exit(0);
}

const report = { ...begun({ node: options.node, rounds, seconds }), ranges: [] };
console.log(`Node ${report.node}, ${report.machine}; undici ${report.versions.undici}`);
for (const range of ranges) {
  console.log(`\n${range.id}: ${range.title}`);
  const points = [];
  for (const at of pointsOf(range)) points.push(await measured(range, at));
  process.stdout.write('\n');
  const { id, title, what, memoryFrom } = range;
  const row = { id, title, what, memoryFrom, points };
  row.growth = Object.fromEntries(BOTH.map((name) => [name, growth(points, name)]));
  row.memory = Object.fromEntries(BOTH.map((name) => [name, memoryPerUnit(row, name)]));
  console.log(shown(row));
  report.ranges.push(row);
  // After each range, so that an interrupted run is not lost.
  saved(options.out, report);
}
const plot = join(RESULTS, `${options.out}.svg`);
writeFileSync(plot, await growthPlot(report));
console.log(
  `\nFull figures: bench/results/${options.out}.json\nPlot: bench/results/${options.out}.svg`,
);
const grown = report.ranges.filter((range) => range.growth.dodici.times > GOAL);
for (const range of grown) console.log(`${range.id}: the cost grows by more than ${GOAL} times`);
if (options.check && grown.length > 0) process.exitCode = 1;

/** One point of a range: both clients' medians. */
async function measured(range, at) {
  const { origin, args, bytes, longer = 1, warmer = 1 } = range.load(at);
  const results = await alternate({
    clients: BOTH.map((name) => ({
      ...compared(range.clients ? `${name} ${range.clients}` : name, options),
      name,
    })),
    rounds,
    node: options.node,
    program: range.program,
    origin,
    args: [...args, '--seconds', String(seconds * longer), '--warmup', String(warmup * warmer)],
    onRound: () => process.stdout.write('.'),
  });
  const clients = Object.entries(results).map(([name, { median }]) => [name, median]);
  return { at, bytes, clients: withCosts(Object.fromEntries(clients), bytes) };
}

/** A range's table, and how much its costs grow. */
function shown({ what, points, growth: grows, memory }) {
  const unit = points.some(({ bytes }) => bytes > 0) ? 'nanosecondsPerByte' : undefined;
  const figures = ['throughput', 'processCpu', 'jsCpu', unit, 'p99', 'loopDelay', 'rss'].filter(
    Boolean,
  );
  const lines = points.flatMap(({ at, clients }) =>
    Object.entries(clients).map(([name, median]) => [
      `${amount(at)} ${name}`,
      ...figures.map((key) => format(median[key], FIGURES[key].digits)),
    ]),
  );
  const notes = Object.entries(grows).map(([name, { times, from, to }]) => {
    const each = memory[name]
      ?.map(({ to: end, kib }) => `${format(kib, 1)} to ${amount(end)}`)
      .join(', ');
    const cost = `${name}: its CPU per ${unit ? 'byte' : 'request'} grows by ${format(times, 2)} times`;
    const where = times > 1 ? ` (${amount(from)} to ${amount(to)})` : '';
    return `${cost}${where}${each ? `; KiB for each more: ${each}` : ''}`;
  });
  return [table([[what, ...figures.map((key) => FIGURES[key].heading)], ...lines]), ...notes]
    .join('\n')
    .replaceAll(/^/gm, '  ');
}
