// `just bench-instructions`: counts the instructions of fixed work (bench/instructions) under
// callgrind and fails if a workload exceeds bench/instructions.json by more than 5 %, or by one
// allocation.
// Counts depend on the compiler and the architecture, which the file states.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { table } from './lib/compare.mjs';
import { format } from './lib/figures.mjs';
import { BENCH, executable, ROOT } from './lib/paths.mjs';
import { commandLine } from '../scripts/command-line.mjs';

const PACKAGE = 'dodici-bench-instructions';
const BASELINE = join(BENCH, 'instructions.json');
/** Repetitions; each workload also runs twice as often, so that the difference is the work alone. */
const REPETITIONS = 1000;

const HELP = `Usage: just bench-instructions [options]

  --only TEXT         only workloads whose name contains this
  --tolerance SHARE   allowed increase (default 0.05)
  --baseline FILE     (default bench/instructions.json)
  --update            write the baseline instead of comparing
`;

const { values: options } = commandLine(HELP, {
  options: {
    only: { type: 'string', default: '' },
    tolerance: { type: 'string', default: '0.05' },
    baseline: { type: 'string', default: BASELINE },
    update: { type: 'boolean', default: false },
  },
});
const tolerance = Number(options.tolerance);
if (!(tolerance >= 0)) fail('--tolerance must be a number, for example 0.05');
if (spawnSync('valgrind', ['--version'], { stdio: 'ignore' }).status !== 0) {
  fail('valgrind is not installed (Debian and Ubuntu: apt-get install valgrind)');
}
const build = ['build', '--release', '--quiet', '--package', PACKAGE];
if (spawnSync('cargo', build, { cwd: ROOT, stdio: 'inherit' }).status !== 0) {
  fail('the workloads did not build');
}

const program = executable(PACKAGE);
const names = execFileSync(program, ['--list'], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .filter((name) => name.includes(options.only));
if (names.length === 0) fail(`no workload contains "${options.only}"`);
const taken = {
  rustc: execFileSync('rustc', ['--version'], { cwd: ROOT, encoding: 'utf8' }).trim(),
  architecture: `${process.platform} ${process.arch}`,
};
const counts = {};
const allocations = {};
for (const name of names) {
  counts[name] = each((repetitions) => count(name, repetitions));
  allocations[name] = each((repetitions) => allocated(name, repetitions));
}

const baseline = existsSync(options.baseline)
  ? JSON.parse(readFileSync(options.baseline, 'utf8'))
  : { counts: {}, allocations: {} };
if (options.update) {
  const merged = {
    ...taken,
    counts: { ...baseline.counts, ...counts },
    allocations: { ...baseline.allocations, ...allocations },
  };
  writeFileSync(options.baseline, `${JSON.stringify(merged, undefined, 2)}\n`);
}
const verdict = (then, isWorse) => {
  if (options.update) return '';
  return then === undefined ? '✗ no baseline' : isWorse ? '✗ more' : '✓';
};
const lines = [['instructions', 'baseline', 'now', 'change', 'allocations', 'now', '']];
let worse = 0;
for (const [name, now] of Object.entries(counts)) {
  const then = baseline.counts[name];
  const [before, after] = [baseline.allocations?.[name], allocations[name]];
  const isWorse =
    then === undefined || now > then * (1 + tolerance) || before === undefined || after > before;
  if (isWorse) worse++;
  lines.push([
    name,
    then === undefined ? '–' : format(then, 0),
    format(now, 0),
    then === undefined ? '–' : `${now < then ? '' : '+'}${format((now / then - 1) * 100, 1)} %`,
    before === undefined ? '–' : format(before, 0),
    format(after, 0),
    verdict(then, isWorse),
  ]);
}
console.log(table(lines));
if (options.update) {
  console.log(`\nwritten: ${options.baseline}`);
} else {
  for (const key of ['rustc', 'architecture']) {
    if (baseline[key] !== taken[key]) {
      console.log(`\nthe baseline was taken with ${baseline[key]}, this is ${taken[key]}`);
    }
  }
  const limit = `${format(tolerance * 100, 0)} %`;
  console.log(
    `\n${names.length} workloads; ${worse} need more than ${limit} more, or allocate more.`,
  );
  if (worse > 0) process.exitCode = 1;
}

/** Of one repetition. */
function each(measure) {
  const [once, twice] = [1, 2].map((times) => measure(times * REPETITIONS));
  return Math.round((twice - once) / REPETITIONS);
}

/** Allocations of the whole work. */
function allocated(name, repetitions) {
  return Number(execFileSync(program, ['--allocations', name, repetitions], { encoding: 'utf8' }));
}

/** Instructions of the whole process. */
function count(name, repetitions) {
  const valgrind = ['--tool=callgrind', '--callgrind-out-file=/dev/null'];
  const { status, stderr } = spawnSync('valgrind', [...valgrind, program, name, repetitions], {
    encoding: 'utf8',
  });
  const found = /Collected : (\d+)/.exec(stderr);
  if (status !== 0 || found === null) fail(`${name}: valgrind ended with ${status}\n${stderr}`);
  return Number(found[1]);
}

function fail(message) {
  console.error(`bench-instructions: ${message}`);
  process.exit(2);
}
