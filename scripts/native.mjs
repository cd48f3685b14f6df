// Builds the addon and puts it where the npm package looks for it:
// node/prebuilds/<platform>-<arch>/dodici.node. The justfile and scripts/test.mjs call it.
//
// The copy goes without debug information, two thirds of the file, but with its symbols, which
// `perf` and backtraces name functions by; line numbers are in cargo's target directory.
//
//   (nothing)   `--release`, as it is published
//   --servers   the same, and what the demo and the bench run against. Both go into one cargo
//               command: then the features of their dependencies are one set, and the C library is
//               compiled once.
//   --tests     for the test command: with overflow checks and debug assertions, from the same
//               compilation as the Rust tests
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PACKAGE = 'dodici-native';
const RELEASE = ['--release', '--package', PACKAGE];
const WHAT = {
  '--servers': [...RELEASE, '--package', 'dodici-bench-server'],
  // The targets of scripts/test.mjs's `cargo test`: with others, features and so crates would differ.
  '--tests': ['--workspace', '--lib', '--bins', '--tests'],
};
const [flag] = process.argv.slice(2);
const what = flag === undefined ? RELEASE : WHAT[flag];
if (what === undefined) fail(`what is ${flag}?`);

const build = spawnSync(
  'cargo',
  ['build', ...what, '--message-format', 'json-render-diagnostics'],
  { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 256 << 20 },
);
if (build.error)
  fail(`cargo did not start (${build.error.message}): install Rust from https://rustup.rs`);
if (build.status !== 0) fail('the addon did not build');

const library = build.stdout
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line))
  .filter(({ reason, target }) => reason === 'compiler-artifact' && target.kind.includes('cdylib'))
  .flatMap(({ filenames }) => filenames)
  .find((file) => /\.(so|dylib|dll)$/.test(file) && file.includes('dodici_native'));
if (library === undefined) fail(`cargo named no library of ${PACKAGE}`);

const directory = join(ROOT, 'node', 'prebuilds', `${process.platform}-${process.arch}`);
const addon = join(directory, 'dodici.node');
mkdirSync(directory, { recursive: true });
const fresh = `${addon}.${process.pid}`;
copyFileSync(library, fresh);
stripDebugInfo(fresh);
// Renamed into place: a process that has the old file mapped keeps the old file.
if (same(fresh, addon)) rmSync(fresh);
else renameSync(fresh, addon);

/**
 * With the strip of the C compiler's tools. Without one, the file is whole: larger, and as good.
 * Other platforms keep debug information in separate files.
 */
function stripDebugInfo(file) {
  if (process.platform !== 'linux') return;
  spawnSync('strip', ['-S', file], { stdio: 'ignore' });
}

function same(a, b) {
  try {
    return readFileSync(a).equals(readFileSync(b));
  } catch {
    return false;
  }
}

function fail(message) {
  console.error(`native: ${message}`);
  process.exit(1);
}
