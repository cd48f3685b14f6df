// `just test`: runs every check and test in order, shows its progress, keeps complete logs in
// target/test-logs and ends with a table and a line `N passed, N failed`.
//
// A step that fails does not stop the others, except those that need what it builds.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandLine } from './command-line.mjs';
import { STEPS } from './test-steps.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LOGS = join(ROOT, 'target', 'test-logs');
/** A long step reports progress this often. */
const HEARTBEAT_MS = 20_000;
/** Lines of a failed step's log that are shown at once: after each sign of a failure, in all, at its end. */
const AFTER_FAILURE = 25;
const MOST_OF_FAILURES = 200;
const TAIL = 15;
/** How the runners mark a failure: vitest, node:test, nextest and cargo test, compilers. */
const FAILURE = /^\s*FAIL\b|^not ok |^\s*✖ | panicked at |^error\b|: error TS\d+|⎯ Unhandled /;

const HELP = `Usage: just test [options]

  --group NAME   only the steps of a group: lint, rust, node
  --only A,B     only these steps and what they need
  --list         list the steps
`;

const { values: options } = commandLine(HELP, {
  options: {
    group: { type: 'string' },
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

/** How nextest, and the reporter in vitest.config.mts, mark a test that failed and then passed. */
const FLAKY = /^\s*FLAKY (?:\d.*?\] +(?:\([^)]*\) +)?)?(.+)$/gm;

/** The lines in which each runner gives an account of its tests. */
const ACCOUNTS = {
  nextest: /tests? run: .*/g,
  cargo: /^test result: .*/gm,
  node: /^(?:ℹ|#) (?:pass|fail|cancelled|skipped) .*/gm,
  vitest: /^\s*Tests\s+.*/gm,
  samples: /^(?:samples|rehearsal): .*/gm,
};

/** Numbers in them: before the word, or with node:test after it. */
const NUMBERS = {
  passed: /(\d+) passed|pass (\d+)/g,
  failed: /(\d+) (?:failed|timed out|exec failed)|(?:fail|cancelled) (\d+)/g,
  skipped: /(\d+) (?:skipped|ignored|todo)|skipped (\d+)/g,
};

/** Sums the numbers that a runner's account has in its output. */
function countTests(runner, text) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const [line] of text.matchAll(ACCOUNTS[runner])) {
    for (const [key, pattern] of Object.entries(NUMBERS)) {
      for (const [, before, after] of line.matchAll(pattern)) sum[key] += Number(before ?? after);
    }
  }
  return sum;
}

if (options.list) {
  for (const { id, group, title } of STEPS)
    console.log(`${group.padEnd(5)} ${id.padEnd(15)} ${title}`);
  process.exit(0);
}

const steps = chosen();
mkdirSync(LOGS, { recursive: true });
const color = process.stdout.isTTY && !process.env.NO_COLOR;
const results = [];
const begun = Date.now();
for (const [index, step] of steps.entries()) {
  results.push(await run(step, `[${index + 1}/${steps.length}]`));
}
process.exitCode = summary() ? 0 : 1;

/** @param {import('./test-steps.mjs').Step} step @param {string} place */
async function run(step, place) {
  const broken = [...(step.needs ?? []), ...(step.after ?? [])].find((id) =>
    results.some(({ step: earlier, outcome }) => earlier.id === id && outcome !== 'passed'),
  );
  if (broken !== undefined) {
    console.log(`${place} ${step.title}: not run, because "${broken}" did not pass`);
    return { step, outcome: 'not run', ms: 0, passed: 0, failed: 1, skipped: 0, flaky: [] };
  }
  console.log(`${place} ${step.title}`);
  const log = join(LOGS, `${step.id}.log`);
  const started = Date.now();
  const code = await execute(step, log, started);
  const ms = Date.now() - started;
  const text = plain(readFileSync(log, 'utf8'));
  const counted = step.counts ? countTests(step.counts, text) : undefined;
  const tests = counted ?? { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  // A runner that fails without naming a failed test (it did not compile, it crashed), and one
  // that "passes" without a test, have both failed.
  if (code !== 0 && tests.failed === 0) tests.failed = 1;
  if (counted !== undefined && code === 0 && tests.passed === 0) tests.failed = 1;
  const outcome = tests.failed === 0 ? 'passed' : 'failed';
  const account = counted ? `, ${tests.passed} passed, ${tests.failed} failed` : '';
  console.log(`      ${paint(outcome)} in ${seconds(ms)}${account}`);
  if (outcome === 'failed') {
    console.log(
      excerpt(text)
        .map((line) => `      │ ${line}`)
        .join('\n'),
    );
    console.log(`      complete log: ${relative(ROOT, log)}`);
  }
  const flaky = new Set([...text.matchAll(FLAKY)].map(([, name]) => name));
  return { step, outcome, ms, ...tests, flaky };
}

/** What a reader needs of a failed step's log: each failure with the lines after it, and the end. */
function excerpt(text) {
  const lines = text.trimEnd().split('\n');
  const tail = Math.max(0, lines.length - TAIL);
  const shown = [];
  let until = 0;
  for (const [index, line] of lines.slice(0, tail).entries()) {
    if (FAILURE.test(line)) until = index + AFTER_FAILURE;
    if (index >= until || shown.length >= MOST_OF_FAILURES) continue;
    shown.push(line);
  }
  return [...shown, ...(shown.length > 0 ? ['…'] : []), ...lines.slice(tail)];
}

/** The step's program and arguments. */
function commandOf({ command: [program, args] }) {
  if (program !== 'xtask') return [program, args];
  if (!steps.some(({ id }) => id === 'compile')) return ['cargo', ['xtask', ...args]];
  return [join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug', 'xtask'), args];
}

/** Runs the command with its output in the log, and shows now and then how far it is. */
function execute(step, log, started) {
  const { title } = step;
  const [program, args] = commandOf(step);
  return new Promise((resolve) => {
    const file = createWriteStream(log);
    const child = spawn(program, args, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        CARGO_TERM_COLOR: 'never',
        NO_COLOR: '1',
        FORCE_COLOR: undefined,
        DODICI_BUILT: 'debug',
      },
      shell: process.platform === 'win32' && program === 'npm',
    });
    let last = '';
    const keep = (chunk) => {
      file.write(chunk);
      last = chunk.toString().trimEnd().split('\n').at(-1) || last;
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const heartbeat = setInterval(() => {
      const line = plain(last).trim().slice(0, 90);
      console.log(`      … ${title}, ${seconds(Date.now() - started)}: ${line}`);
    }, HEARTBEAT_MS);
    const finish = (code) => {
      clearInterval(heartbeat);
      file.end(() => resolve(code));
    };
    child.once('error', (error) => {
      file.write(`${program} did not start: ${error.message}\n`);
      finish(1);
    });
    child.once('close', (code, signal) => {
      if (signal) file.write(`ended by ${signal}\n`);
      finish(code ?? 1);
    });
  });
}

function summary() {
  const total = { passed: 0, failed: 0, skipped: 0 };
  const width = Math.max(...results.map(({ step }) => step.title.length));
  console.log();
  for (const { step, outcome, ms, passed, failed, skipped } of results) {
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
    const account = step.counts ? `${passed} passed, ${failed} failed` : '';
    console.log(
      `${step.title.padEnd(width)}  ${paint(outcome.padEnd(7))}  ${seconds(ms).padStart(7)}  ${account}`.trimEnd(),
    );
  }
  for (const name of results.flatMap(({ flaky }) => [...flaky]))
    console.log(`flaky, failed once and then passed; to be mended: ${name}`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  console.log(
    `\n${total.passed} passed, ${total.failed} failed${skipped} (${seconds(Date.now() - begun)})`,
  );
  return total.failed === 0;
}

/** The steps to run, with those they need. */
function chosen() {
  if (options.group === undefined && options.only === undefined) return STEPS;
  const names = options.only?.split(',');
  const unknown = names?.find((name) => !STEPS.some(({ id }) => id === name));
  if (
    unknown !== undefined ||
    (options.group && !STEPS.some(({ group }) => group === options.group))
  ) {
    console.error(`there is no step or group "${unknown ?? options.group}"; see --list`);
    process.exit(2);
  }
  const wanted = new Set(
    STEPS.filter(({ id, group }) => names?.includes(id) || group === options.group).map(
      ({ id }) => id,
    ),
  );
  for (const { id, needs } of STEPS.toReversed()) {
    if (wanted.has(id)) needs?.forEach((need) => wanted.add(need));
  }
  return STEPS.filter(({ id }) => wanted.has(id));
}

function seconds(ms) {
  return ms < 60_000
    ? `${(ms / 1e3).toFixed(1)} s`
    : `${Math.floor(ms / 60e3)} min ${Math.round((ms % 60e3) / 1e3)} s`;
}

function paint(outcome) {
  if (!color) return outcome;
  return outcome.startsWith('passed') ? `\x1b[32m${outcome}\x1b[0m` : `\x1b[31m${outcome}\x1b[0m`;
}

/** @param {string} text */
function plain(text) {
  return text.replaceAll(/\x1b\[[0-9;]*[A-Za-z]/g, '');
}
