// The comparison of two clients over some loads: options, rounds, tables, verdicts, report. h1.mjs
// and h2.mjs call it with their loads; it knows clients as modules and servers as origins only.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { alternate, FIGURES, table } from './compare.mjs';
import { BENCH, benchNode, ours, peer, RESULTS, ROOT } from './paths.mjs';

/**
 * @typedef {object} Row one load, with what it must reach
 * @property {string} id
 * @property {string} title
 * @property {number} bytes of the response's body
 * @property {(options: { bytes: number }) => Promise<import('./origins.mjs').Origin>} origin
 * @property {() => boolean} [available] whether its server is installed
 * @property {string} [server] that server's name
 * @property {string[]} args of load.mjs, beside those of the origin
 * @property {Record<string, number>} target ratios: throughput at least, costs at most
 */

/** @param {{ name: string, rows: Row[], draw?: (report: object) => Promise<string> }} comparison */
const help = ({ name, rows, draw }) => `Usage: just bench-${name} [options]

  --rounds N      alternating rounds per load (default 5; the report shows medians)
  --seconds S     measured seconds per process (default 3)
  --warmup S      seconds before that (default 1)
  --rows A,B      only these loads: ${rows.map(({ id }) => id).join(', ')} (default all)
  --ours PATH     measure this module instead of node/dist
  --theirs PATH   compare with this module instead of undici 8.12
  --node PATH     run on this Node instead of Node 24 from npm
  --check         fail if a target is missed
  --baseline      also write bench/baseline${name === 'h1' ? '' : `-${name}`}.json
${draw ? `  --no-plot       leave docs/bench-${name}.svg as it is\n` : ''}`;

/**
 * Runs all of it and prints tables; writes bench/results/<name>.json and the plot.
 *
 * @param {{ name: string, rows: Row[], draw?: (report: object) => Promise<string> }} comparison
 */
export async function compareOver(comparison) {
  const { name, draw } = comparison;
  const { values: options } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      warmup: { type: 'string', default: '1' },
      rows: { type: 'string' },
      ours: { type: 'string', default: ours() },
      theirs: { type: 'string' },
      node: { type: 'string', default: benchNode() },
      check: { type: 'boolean', default: false },
      baseline: { type: 'boolean', default: false },
      plot: { type: 'boolean', default: true },
      help: { type: 'boolean', short: 'h', default: false },
    },
    allowNegative: true,
  });

  if (options.help) {
    process.stdout.write(help(comparison));
    process.exit(0);
  }
  const rounds = positive('rounds');
  const seconds = positive('seconds');
  const warmup = positive('warmup');
  const rows = chosenRows();
  for (const file of [options.ours, options.node]) {
    if (!existsSync(file)) fail(`${file} is missing: run "just build-bench"`);
  }

  const clients = [
    { name: 'undici', module: options.theirs ?? peer('undici') },
    { name: 'dodici', module: options.ours },
  ];
  const report = {
    taken: new Date().toISOString(),
    machine: `${cpus().length} × ${cpus()[0].model.trim()}, ${platform()} ${arch()}`,
    node: execFileSync(options.node, ['--version'], { encoding: 'utf8' }).trim(),
    undici: options.theirs === undefined ? version(peer('undici')) : 'another module',
    rounds,
    seconds,
    rows: [],
  };
  const minutes = (rows.length * rounds * 2 * (seconds + warmup + 0.5)) / 60;
  console.log(
    `undici ${report.undici} and dodici on Node ${report.node}, ${report.machine}; about ${Math.ceil(minutes)} min`,
  );

  let skipped = 0;
  for (const row of rows) {
    console.log(`\n${row.title}`);
    if (row.available?.() === false) {
      console.log(`  left out: ${row.server} is not installed`);
      skipped++;
      continue;
    }
    report.rows.push(await run(row));
  }
  for (const directory of [RESULTS, join(ROOT, 'docs')]) mkdirSync(directory, { recursive: true });
  const json = `${JSON.stringify(report, undefined, 2)}\n`;
  writeFileSync(join(RESULTS, `${name}.json`), json);
  const baseline = name === 'h1' ? 'baseline.json' : `baseline-${name}.json`;
  if (options.baseline) writeFileSync(join(BENCH, baseline), json);
  if (options.plot && draw !== undefined) {
    writeFileSync(join(ROOT, 'docs', `bench-${name}.svg`), await draw(report));
  }

  console.log(`\n${summary()}`);
  console.log(`\nFull figures: bench/results/${name}.json`);
  const missed = report.rows.flatMap((row) => row.verdicts.filter((verdict) => !verdict.met));
  if (skipped > 0) console.log(`${skipped} load left out.`);
  if (missed.length > 0) console.log(`${missed.length} of the targets missed.`);
  if (options.check && (missed.length > 0 || skipped > 0)) process.exitCode = 1;

  /** Runs one load and prints its table. */
  async function run(row) {
    const origin = await row.origin({ bytes: row.bytes });
    let sent = 0;
    let results;
    try {
      results = await alternate({
        clients,
        rounds,
        node: options.node,
        args: [
          ...origin.args,
          ...row.args,
          ...['--bytes', String(row.bytes)],
          ...['--seconds', String(seconds), '--warmup', String(warmup)],
        ],
        onRound(client, round, figures) {
          sent += figures.total;
          console.log(
            `  round ${round + 1}/${rounds}  ${client.padEnd(6)}  ${format(figures.throughput, 0)} requests/s  ${format(figures.jsCpu, 2)} µs of JS thread each`,
          );
        },
      });
    } finally {
      const served = await origin.stop();
      // The server counts what came over the wire: a client that invents answers is found out.
      if (results !== undefined && served !== undefined && served.requests !== sent) {
        fail(`the clients counted ${sent} answers, the server ${served.requests} requests`);
      }
    }
    const [theirs, mine] = clients.map(({ name }) => results[name].median);
    const ratios = Object.fromEntries(FIGURES.map(({ key }) => [key, mine[key] / theirs[key]]));
    const verdicts = judge(row.target, ratios);
    console.log();
    console.log(
      indent(
        table([
          ['', ...FIGURES.map(({ heading }) => heading)],
          ['undici', ...FIGURES.map(({ key, digits }) => format(theirs[key], digits))],
          ['dodici', ...FIGURES.map(({ key, digits }) => format(mine[key], digits))],
          ['ratio', ...FIGURES.map(({ key }) => `${format(ratios[key], 2)}×`)],
        ]),
      ),
    );
    if (mine.completionsPerDoorbell !== undefined) {
      console.log(
        `\n  boundary: ${format(mine.completionsPerDoorbell, 1)} completions per doorbell, ${format(mine.requestsPerSubmit, 1)} requests per submission call`,
      );
    }
    return { id: row.id, title: row.title, bytes: row.bytes, clients: results, ratios, verdicts };
  }

  function summary() {
    const lines = [['load', 'figure', 'ratio', 'target', '']];
    for (const row of report.rows) {
      for (const { figure, ratio, limit, met } of row.verdicts) {
        const sign = figure === 'throughput' ? '≥' : '≤';
        const { heading } = FIGURES.find(({ key }) => key === figure);
        lines.push([
          row.title,
          heading,
          `${format(ratio, 2)}×`,
          `${sign} ${limit}×`,
          met ? 'met' : 'MISSED',
        ]);
      }
    }
    return table(lines);
  }

  function chosenRows() {
    if (options.rows === undefined) return comparison.rows;
    return options.rows.split(',').map((id) => {
      const row = comparison.rows.find((candidate) => candidate.id === id);
      if (row === undefined) fail(`there is no load "${id}"; see --help`);
      return row;
    });
  }

  function positive(name) {
    const value = Number(options[name]);
    if (!(value > 0)) fail(`--${name} must be a positive number`);
    return value;
  }
}

/** Compares ratios with targets: throughput at least, cost at most. */
function judge(target, ratios) {
  return Object.entries(target).map(([key, limit]) => {
    const met = key === 'throughput' ? ratios[key] >= limit : ratios[key] <= limit;
    return { figure: key, ratio: ratios[key], limit, met };
  });
}

/** Version in the package.json nearest to a module. @param {string} file */
function version(file) {
  for (
    let directory = dirname(file);
    directory !== dirname(directory);
    directory = dirname(directory)
  ) {
    const manifest = join(directory, 'package.json');
    if (existsSync(manifest)) return JSON.parse(readFileSync(manifest, 'utf8')).version;
  }
  return 'unknown';
}

function format(value, digits) {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function indent(text) {
  return text.replaceAll(/^/gm, '  ');
}

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(2);
}
