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
//   --platform NAME
//               the addon of a package (see platforms.mjs), stripped, and its symbols: both go to
//               target/addons/NAME. cargo-zigbuild builds those of Linux, against an old glibc or musl.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { OLDEST_GLIBC, PLATFORMS } from './platforms.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PACKAGE = 'dodici-native';
const RELEASE = ['--release', '--package', PACKAGE];
const WHAT = {
  '--servers': [...RELEASE, '--package', 'dodici-bench-server'],
  // The targets of scripts/test.mjs's `cargo test`: with others, features and so crates would differ.
  '--tests': ['--workspace', '--lib', '--bins', '--tests'],
};
const [flag, name] = process.argv.slice(2);
const platform = PLATFORMS.find((one) => flag === '--platform' && one.name === name);
const what = flag === undefined || platform ? RELEASE : WHAT[flag];
if (what === undefined) fail(`what is ${process.argv.slice(2).join(' ')}?`);

const build = spawnSync(
  'cargo',
  [
    ...(platform ? crossBuild(platform) : ['build']),
    ...what,
    '--message-format',
    'json-render-diagnostics',
  ],
  {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 256 << 20,
    env: { ...process.env, ...flagsFor(platform) },
  },
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

const directory = platform
  ? join(ROOT, 'target', 'addons', platform.name)
  : join(ROOT, 'node', 'prebuilds', `${process.platform}-${process.arch}`);
const addon = join(directory, 'dodici.node');
mkdirSync(directory, { recursive: true });
const fresh = `${addon}.${process.pid}`;
copyFileSync(library, fresh);
if (platform) separateSymbols(platform, fresh);
else stripDebugInfo(fresh);
// Renamed into place: a process that has the old file mapped keeps the old file.
if (same(fresh, addon)) rmSync(fresh);
else renameSync(fresh, addon);

/** The command of cargo that builds for another system than this one, or for an old libc of this one. */
function crossBuild({ os, libc, target }) {
  if (os !== 'linux') return ['build', '--target', target];
  return ['zigbuild', '--target', libc === 'glibc' ? `${target}.${OLDEST_GLIBC}` : target];
}

/**
 * How the C library is linked, where Rust's default is wrong: a library that Node loads uses Node's musl;
 * on Windows, the default is a DLL that users may not have.
 */
function flagsFor(platform) {
  const crtStatic = platform?.os === 'win32' ? '+' : platform?.libc === 'musl' ? '-' : undefined;
  return crtStatic ? { RUSTFLAGS: `-C target-feature=${crtStatic}crt-static` } : {};
}

/** Puts the library's symbols beside the addon, and takes them out of its copy `file`. */
function separateSymbols({ os }, file) {
  const symbols = join(directory, `dodici.${os === 'win32' ? 'pdb' : 'debug'}`);
  if (os === 'win32') {
    copyFileSync(library.replace(/\.dll$/, '.pdb'), symbols);
  } else if (os === 'darwin') {
    tool('dsymutil', library, '--flat', '-o', symbols);
    tool('strip', '-x', file);
  } else {
    const objcopy = process.env.OBJCOPY ?? 'objcopy';
    tool(objcopy, '--only-keep-debug', library, symbols);
    tool(objcopy, '--strip-all', file);
  }
}

function tool(program, ...args) {
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
  if (status !== 0) fail(`${program} failed${error ? `: ${error.message}` : ''}`);
}

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
