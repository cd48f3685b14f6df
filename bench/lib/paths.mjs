// Paths: built programs, the Node to measure on, the compared clients.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** This directory's parent: bench/. */
export const BENCH = join(ROOT, 'bench');
/** Where reports go; not in version control. */
export const RESULTS = join(BENCH, 'results');

let target;

/** Cargo's target directory. */
function targetDirectory() {
  if (target === undefined) {
    const metadata = execFileSync('cargo', ['metadata', '--format-version', '1', '--no-deps'], {
      cwd: ROOT,
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    });
    target = JSON.parse(metadata).target_directory;
  }
  return target;
}

/**
 * One of our programs, built with `--release`; for the test command, whose figures do not matter,
 * in the directory that `DODICI_BUILT` names.
 *
 * @param {string} name
 */
export function executable(name) {
  const path = join(
    targetDirectory(),
    process.env.DODICI_BUILT ?? 'release',
    process.platform === 'win32' ? `${name}.exe` : name,
  );
  if (!existsSync(path)) throw new Error(`${path} is missing: run "just build-bench"`);
  return path;
}

/** The Node that comparisons run on, from npm. */
export function benchNode() {
  return join(BENCH, 'node_modules', 'node', 'bin', 'node');
}

/** A compared client's main file. @param {string} name */
export function peer(name) {
  return createRequire(join(BENCH, 'load.mjs')).resolve(name);
}

/** The package under test. */
export function ours() {
  return join(ROOT, 'node', 'dist', 'index.js');
}
