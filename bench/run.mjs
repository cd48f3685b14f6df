// `just bench` and `just bench-<group>`: dodici against undici and others, alternating in one run.
// loads.mjs is the table of loads, lib/driver.mjs runs them; each measurement
// is a separate process (load.mjs, start.mjs, idle.mjs).
//
// Writes bench/results/<group, or bench>.json, and plots next to it.
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { estimate, measureLoad, targetTable } from './lib/driver.mjs';
import { benchNode, ours, RESULTS, ROOT } from './lib/paths.mjs';
import { OURS } from './lib/peers.mjs';
import { begun, saved } from './lib/report.mjs';
import { GROUPS, LOADS } from './loads.mjs';
import { plots } from './plot.mjs';
import { commandLine } from '../scripts/command-line.mjs';

const HELP = `Usage: just bench [options], or just bench-<group> [options]

  --rounds N      alternating rounds per load (default 5; the report shows medians)
  --seconds S     measured seconds per process (default 1)
  --warmup S      seconds before that (default 0.5)
  --only A,B      only these loads or groups; see --list
  --list          list the loads and how long each takes
  --ours PATH     measure this module instead of node/dist
  --theirs PATH   compare with this module instead of undici 8.13
  --node PATH     run on this Node instead of Node 24 from npm
  --out NAME      name of the report in bench/results/
  --check         fail if a target is missed or a load was left out
  --no-plot       do not draw plots
  --no-rust       with all loads: skip those of the Rust API at the end (just bench-rust)

Groups: ${GROUPS.join(', ')}
`;

const { values: options, positionals } = commandLine(HELP, {
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    warmup: { type: 'string', default: '0.5' },
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
    ours: { type: 'string', default: ours() },
    theirs: { type: 'string' },
    node: { type: 'string', default: benchNode() },
    out: { type: 'string' },
    check: { type: 'boolean', default: false },
    plot: { type: 'boolean', default: true },
    rust: { type: 'boolean', default: true },
  },
  allowNegative: true,
  allowPositionals: true,
});
if (options.out !== undefined && basename(options.out) !== options.out) {
  process.stderr.write(`--out takes a name, not a path: the report goes to bench/results/\n`);
  process.exit(2);
}
const how = {
  rounds: positive('rounds'),
  seconds: positive('seconds'),
  warmup: positive('warmup'),
  node: options.node,
  modules: { ours: options.ours, theirs: options.theirs },
};
const loads = chosen(positionals, options.only?.split(','));
if (options.list) {
  for (const load of loads) {
    const seconds = Math.ceil(estimate(load, how));
    console.log(
      `${load.id.padEnd(14)}  ${load.group.padEnd(8)}  ${String(seconds).padStart(3)} s  ${load.title}`,
    );
  }
  process.exit(0);
}
for (const file of [options.ours, options.node]) {
  if (!existsSync(file)) fail(`${file} is missing: run "just build-bench"`);
}

const began = performance.now();
const report = { ...begun(how), rows: [], leftOut: [] };
const total = loads.reduce((sum, load) => sum + estimate(load, how), 0);
console.log(
  `${loads.length} loads on Node ${report.node}, ${report.machine}; undici ${report.versions.undici}; about ${Math.ceil(total / 60)} min`,
);
const name = options.out ?? (positionals.join('-') || (options.only ? 'some' : 'bench'));
for (const [index, load] of loads.entries()) {
  const minutes = ((performance.now() - began) / 60e3).toFixed(1);
  console.log(`\n[${index + 1}/${loads.length}, ${minutes} min] ${load.id}: ${load.title}`);
  if (load.available?.() === false) {
    console.log(`  left out: ${load.server} is not installed`);
    report.leftOut.push({ id: load.id, reason: `${load.server} is not installed` });
    continue;
  }
  try {
    report.rows.push(await measureLoad(load, how));
  } catch (error) {
    // A load that fails does not stop the others, but fails the run.
    console.error(`  FAILED: ${error.message}`);
    report.leftOut.push({ id: load.id, reason: error.message });
    process.exitCode = 1;
  }
  // After each load, so that an interrupted run is not lost.
  saved(name, report);
}

const verdicts = report.rows.flatMap((row) => row.verdicts);
const missed = verdicts.filter(({ met }) => !met);
console.log(`\nTargets of ${OURS} against undici ${report.versions.undici}:\n`);
console.log(targetTable(report.rows));
console.log(`\n${verdicts.length - missed.length} of ${verdicts.length} targets met.`);
for (const { id, reason } of report.leftOut) {
  console.log(`left out: ${id} (${reason.split('\n', 1)[0]})`);
}
console.log(`Full figures: bench/results/${name}.json`);
if (options.plot) {
  for (const [file, svg] of Object.entries(await plots(report))) {
    writeFileSync(join(RESULTS, `${name}-${file}`), svg);
    console.log(`Plot: bench/results/${name}-${file}`);
  }
}
if (options.rust && loads.length === LOADS.length) rust();
if (options.check && (missed.length > 0 || report.leftOut.length > 0)) process.exitCode = 1;

/** The Rust API, in a separate program. */
function rust() {
  console.log('\nThe Rust API (just bench-rust):\n');
  const args = ['run', '--release', '--quiet', '--package', 'dodici-bench-rust'];
  const { status } = spawnSync('cargo', args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}

/** @param {string[]} groups @param {string[] | undefined} only */
function chosen(groups, only) {
  const known = new Set([...GROUPS, ...LOADS.map(({ id }) => id)]);
  for (const wanted of [...groups, ...(only ?? [])]) {
    if (!known.has(wanted)) fail(`there is no load or group "${wanted}"; see --list`);
  }
  return LOADS.filter(
    ({ id, group }) =>
      (groups.length === 0 || groups.includes(group) || groups.includes(id)) &&
      (only === undefined || only.includes(id) || only.includes(group)),
  );
}

function positive(option) {
  const value = Number(options[option]);
  if (!(value > 0)) fail(`--${option} must be a positive number`);
  return value;
}

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(2);
}
