// `just bench-publish`: makes a run's report the published one: bench/baseline.json, the plots in
// docs/, and the section of docs/benchmarks.md between two markers. Reports of `just bench-scale` and
// `just bench-h3` have sections of their own, and no baseline.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BASELINE, merged, read, REPORT, write } from './lib/baseline.mjs';
import { FIGURES, format } from './lib/figures.mjs';
import { amount } from './lib/growth.mjs';
import { ROOT } from './lib/paths.mjs';
import { growthPlot, plots } from './plot.mjs';
import { commandLine } from '../scripts/command-line.mjs';

const HELP = `Usage: just bench-publish [REPORT.json …]

  REPORT.json   of a run on an idle machine (default bench/results/bench.json); loads that it
                lacks keep their place in the baseline, the plots and docs/benchmarks.md.
                Those of "just bench-scale", which may have its ranges between them, and of
                "just bench-h3" are published beside it
`;
const DOCS = join(ROOT, 'docs');
const PAGE = join(DOCS, 'benchmarks.md');
/** Markers around a section in it. @param {string} name */
const marks = (name) => [
  `<!-- ${name}: written by \`just bench-publish\` -->`,
  `<!-- ${name}: end -->`,
];
/** Alternative text for each plot. */
const DRAWINGS = {
  'ratios.svg': 'dodici relative to undici on each load: throughput, JS thread, process',
  'peers.svg': 'requests per second and CPU time per request for every client compared',
};

const { values: options, positionals } = commandLine(HELP, {
  allowPositionals: true,
});
const files = positionals.length > 0 ? positionals : [REPORT];
for (const file of files) {
  if (!existsSync(file)) fail(`${file} is missing: run "just bench"`);
}

const reports = files.map(read);
const ranges = reports.flatMap((report) => report.ranges ?? []);
if (files.length > 1 && !reports.every((report) => report.ranges)) fail('one report at a time');
const [first] = reports;
const publish = first.of === 'h3' ? publishHttp3 : publishLoads;
const written =
  ranges.length > 0 ? await publishGrowth({ ...first, ranges }) : await publish(first);
console.log(['docs/benchmarks.md', ...written].join('\n'));

async function publishLoads(run) {
  const baseline = merged(run, existsSync(BASELINE) ? read(BASELINE) : undefined);
  const drawn = await plots(baseline);
  const images = Object.keys(drawn).map((name) => `![${DRAWINGS[name]}](bench-${name})`);
  write(baseline);
  writeSection('bench', [resultsTable(baseline), ...images]);
  for (const [name, svg] of Object.entries(drawn)) writeFileSync(join(DOCS, `bench-${name}`), svg);
  return ['bench/baseline.json', ...Object.keys(drawn).map((name) => `docs/bench-${name}`)];
}

async function publishGrowth(run) {
  const image = '![what a request costs as things grow, undici and dodici](bench-scale.svg)';
  writeFileSync(join(DOCS, 'bench-scale.svg'), await growthPlot(run));
  writeSection('bench-scale', [growthTable(run), image, pointsTable(run)]);
  return ['docs/bench-scale.svg'];
}

function publishHttp3(run) {
  writeSection('bench-h3', [http3Table(run)]);
  return [];
}

/** @param {string} name @param {string[]} paragraphs */
function writeSection(name, paragraphs) {
  const [begin, end] = marks(name);
  const text = readFileSync(PAGE, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) fail(`docs/benchmarks.md lacks the lines ${begin} and ${end}`);
  const section = paragraphs.join('\n\n');
  writeFileSync(PAGE, `${text.slice(0, from + begin.length)}\n\n${section}\n\n${text.slice(to)}`);
}

/** @param {string[]} heading @param {string[][]} lines */
function markdown(heading, lines) {
  const all = [heading, heading.map((_, column) => (column === 0 ? '---' : '---:')), ...lines];
  return all.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** How much each range's costs grow. */
function growthTable({ ranges, versions, node, machine, rounds }) {
  const times = ({ times: most, from, to }) =>
    most > 1 ? `${format(most, 2)}× (${amount(from)} to ${amount(to)})` : '1.00×';
  const kib = (memory) => (memory.length > 0 ? format(memory.at(-1).kib, 1) : '–');
  const lines = ranges.map(({ title, growth, memory }) => [
    title,
    ...['undici', 'dodici'].map((name) => times(growth[name])),
    ...['undici', 'dodici'].map((name) => kib(memory[name])),
  ]);
  const heading = ['what grows', 'undici', 'dodici', 'KiB for one more: undici', 'dodici'];
  return `undici ${versions.undici} and dodici alternating, Node ${node}, ${machine}, ${rounds > 1 ? `medians of ${rounds} rounds` : 'one round'}. The most that the process's CPU time per request (of responses that grow, per byte) grows from a point of the range to a larger one, and the memory that one more takes between its two largest points:\n\n${markdown(heading, lines)}`;
}

/** All points of all ranges. */
function pointsTable({ ranges }) {
  const figures = ['throughput', 'processCpu', 'jsCpu', 'p99', 'loopDelay', 'rss'];
  const digits = { throughput: 0, rss: 0 };
  const lines = ranges.flatMap(({ what, points }) =>
    points.map(({ at, bytes, clients: { undici, dodici } }) => [
      bytes === undefined ? `${amount(at)} ${what}` : `response of ${amount(at)}`,
      ...figures.flatMap((key) =>
        [undici, dodici].map((one) => format(one[key], digits[key] ?? 1)),
      ),
    ]),
  );
  const names = ['requests/s', 'process µs', 'JS thread µs', 'p99 ms', 'loop ms', 'RSS MB'];
  const heading = ['', ...names.flatMap((name) => [`${name}: undici`, 'dodici'])];
  return markdown(heading, lines);
}

/** Every client of every load of `just bench-h3`. */
function http3Table({ rows, versions, node, machine, rounds }) {
  const costs = ['jsCpu', 'processCpu', 'p50', 'p95', 'p99'];
  const lines = rows.flatMap(({ title, clients, failed, figures }) => {
    const large = figures.includes('megabytesPerSecond');
    const [pace, unit] = large ? ['megabytesPerSecond', ' MB/s'] : ['throughput', '/s'];
    const cost = (median, key) => {
      if (!figures.includes(key)) return '';
      return large ? `${format(median[key] / 1e3, 0)} ms` : format(median[key], 1);
    };
    const measured = Object.entries(clients).map(([name, { median }]) => [
      name,
      `${format(median[pace], 0)}${unit}`,
      ...costs.map((key) => cost(median, key)),
    ]);
    const missing = Object.keys(failed).map((name) => [name, 'failed', ...costs.map(() => '')]);
    return [...measured, ...missing].map((line, place) => [place === 0 ? title : '', ...line]);
  });
  const heading = ['', '', 'pace', ...costs.map((key) => FIGURES[key].heading)];
  return `Medians of ${rounds} alternating rounds, Node ${node}, Bun ${versions.bun}, impit ${versions.impit}, ${machine}. CPU time is per request:\n\n${markdown(heading, lines)}`;
}

/** The loads with their own targets, one line each: requests per second, and cost per request. */
function resultsTable({ rows, versions, node, machine }) {
  const lines = rows
    .filter(({ figures, verdicts }) => {
      return figures.includes('jsCpu') && verdicts.some(({ everywhere }) => !everywhere);
    })
    .map((row) => {
      const { clients, ratios } = row;
      const large = ratios.megabytesPerSecond !== undefined;
      const pace = large ? 'megabytesPerSecond' : 'throughput';
      const [theirs, mine] = ['undici', 'dodici'].map(
        (name) => Object.entries(clients).find(([client]) => client.startsWith(name))[1].median,
      );
      const unit = large ? ' MB/s' : '/s';
      const cost = (value) => (large ? `${format(value / 1e3, 0)} ms` : `${format(value, 1)} µs`);
      return [
        row.title,
        `${format(theirs[pace], 0)}${unit}`,
        `${format(mine[pace], 0)}${unit}`,
        `**${format(ratios[pace], 2)}×**`,
        cost(theirs.jsCpu),
        cost(mine.jsCpu),
        `**${format(ratios.jsCpu, 2)}×**`,
      ];
    });
  const heading = ['load', 'undici', 'dodici', '', 'JS thread: undici', 'dodici', ''];
  return `undici ${versions.undici} and dodici alternating in one run, Node ${node}, ${machine}. Requests (or MB) per second, and CPU time of the JavaScript thread per request:\n\n${markdown(heading, lines)}`;
}

function fail(message) {
  console.error(`bench-publish: ${message}`);
  process.exit(2);
}
