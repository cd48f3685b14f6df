// `just bench-compare`: compares a run's report with the baseline: ratios to undici in the same run,
// which are comparable across machines, unlike absolute figures. Fails if one is worse by more than
// the tolerance.
import { existsSync } from 'node:fs';
import { BASELINE, read, REPORT } from './lib/baseline.mjs';
import { table } from './lib/compare.mjs';
import { FIGURES, format } from './lib/figures.mjs';
import { commandLine } from '../scripts/command-line.mjs';

const HELP = `Usage: just bench-compare [REPORT.json] [options]

  REPORT.json         of a run (default bench/results/bench.json)
  --baseline FILE     (default bench/baseline.json)
  --tolerance SHARE   how much worse a ratio may be (default 0.15)
  --only A,B          only these loads or groups
  --complete          fail if the run lacks a load of the baseline
`;

/** Figures compared on every load that has them, besides those with targets. */
const ALWAYS = ['throughput', 'megabytesPerSecond', 'jsCpu', 'processCpu'];

const { values: options, positionals } = commandLine(HELP, {
  allowPositionals: true,
  options: {
    baseline: { type: 'string', default: BASELINE },
    tolerance: { type: 'string', default: '0.15' },
    only: { type: 'string' },
    complete: { type: 'boolean', default: false },
  },
});
const [file = REPORT] = positionals;
const tolerance = Number(options.tolerance);
if (!(tolerance >= 0)) fail('--tolerance must be a number, for example 0.15');
for (const needed of [file, options.baseline]) {
  if (!existsSync(needed)) fail(`${needed} is missing: run "just bench"`);
}

const report = read(file);
const baseline = read(options.baseline);
const only = options.only?.split(',');
const wanted = ({ id, group }) => only === undefined || only.includes(id) || only.includes(group);
const old = new Map(baseline.rows.filter(wanted).map((row) => [row.id, row]));

const lines = [['load', 'figure', 'baseline', 'now', 'change', '']];
let worse = 0;
let compared = 0;
for (const row of report.rows.filter(wanted)) {
  const before = old.get(row.id);
  old.delete(row.id);
  if (before === undefined) {
    lines.push([row.id, '', '–', '–', '–', 'no baseline']);
    continue;
  }
  const about = row.verdicts.map(({ figure }) => figure).filter((figure) => figure !== 'rss');
  for (const figure of new Set([...ALWAYS, ...about])) {
    const [then, now] = [before.ratios[figure], row.ratios[figure]];
    if (typeof then !== 'number' || typeof now !== 'number') continue;
    compared++;
    const change = now / then - 1;
    const isWorse = FIGURES[figure].more
      ? now < then * (1 - tolerance)
      : now > then * (1 + tolerance);
    if (isWorse) worse++;
    lines.push([
      row.id,
      FIGURES[figure].heading,
      `${format(then, 2)}×`,
      `${format(now, 2)}×`,
      `${change < 0 ? '' : '+'}${format(change * 100, 0)} %`,
      isWorse ? '✗ worse' : '✓',
    ]);
  }
}
console.log(`dodici relative to undici; baseline of ${baseline.taken.slice(0, 10)}\n`);
console.log(table(lines));
if (old.size > 0) console.log(`\nnot in this run: ${[...old.keys()].join(', ')}`);
console.log(
  `\n${compared} ratios compared; ${worse} worse by more than ${format(tolerance * 100, 0)} %.`,
);
if (compared === 0) fail('nothing was compared');
if (worse > 0 || (options.complete && old.size > 0)) process.exitCode = 1;

function fail(message) {
  console.error(`bench-compare: ${message}`);
  process.exit(2);
}
