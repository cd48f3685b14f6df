// `just bench-publish`: makes a run's report the published one: bench/baseline.json, the plots in
// docs/, and the section of docs/benchmarks.md between two markers.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BASELINE, merged, read, REPORT, write } from './lib/baseline.mjs';
import { format } from './lib/figures.mjs';
import { ROOT } from './lib/paths.mjs';
import { plots } from './plot.mjs';
import { commandLine } from '../scripts/command-line.mjs';

const HELP = `Usage: just bench-publish [REPORT.json]

  REPORT.json   of a run on an idle machine (default bench/results/bench.json); loads that it
                lacks keep their place in the baseline, the plots and docs/benchmarks.md
`;
const DOCS = join(ROOT, 'docs');
const PAGE = join(DOCS, 'benchmarks.md');
/** Markers around the section in it. */
const MARKS = ['<!-- bench: written by `just bench-publish` -->', '<!-- bench: end -->'];
/** Alternative text for each plot. */
const DRAWINGS = {
  'ratios.svg': 'dodici relative to undici on each load: throughput, JS thread, process',
  'peers.svg': 'requests per second and CPU time per request for every client compared',
};

const { values: options, positionals } = commandLine(HELP, {
  allowPositionals: true,
});
const [file = REPORT] = positionals;
if (!existsSync(file)) fail(`${file} is missing: run "just bench"`);

const text = readFileSync(PAGE, 'utf8');
const [from, to] = MARKS.map((mark) => text.indexOf(mark));
if (from < 0 || to < from) fail(`docs/benchmarks.md lacks the lines ${MARKS.join(' and ')}`);

const baseline = merged(read(file), existsSync(BASELINE) ? read(BASELINE) : undefined);
const drawn = await plots(baseline);
const section = [
  resultsTable(baseline),
  ...Object.keys(drawn).map((name) => `![${DRAWINGS[name]}](bench-${name})`),
].join('\n\n');
write(baseline);
writeFileSync(PAGE, `${text.slice(0, from + MARKS[0].length)}\n\n${section}\n\n${text.slice(to)}`);
for (const [name, svg] of Object.entries(drawn)) {
  writeFileSync(join(DOCS, `bench-${name}`), svg);
}
console.log(
  [
    'bench/baseline.json',
    'docs/benchmarks.md',
    ...Object.keys(drawn).map((name) => `docs/bench-${name}`),
  ].join('\n'),
);

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
  const table = [heading, heading.map(() => '---'), ...lines].map(
    (cells) => `| ${cells.join(' | ')} |`,
  );
  return `undici ${versions.undici} and dodici alternating in one run, Node ${node}, ${machine}. Requests (or MB) per second, and CPU time of the JavaScript thread per request:\n\n${table.join('\n')}`;
}

function fail(message) {
  console.error(`bench-publish: ${message}`);
  process.exit(2);
}
