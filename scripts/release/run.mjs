// How the steps of release-check.mjs start programs, and say that one is missing.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What steps leave behind for the next run: tools, trees of other systems. */
export const WORK = join(ROOT, 'target', 'release-check');

/** A step cannot run here. */
export class Skipped extends Error {}

/** For `catch()`: the step is skipped, since a tool is missing, which comes from `source`. */
export function skipWithout(tool, source) {
  return (error) => {
    throw new Skipped(`needs ${tool}, from ${source}: ${error.message}`);
  };
}

/** Runs a program and returns its standard output, which is also shown unless it is to be `quiet`. */
export async function run(program, args, { quiet = false, ...more } = {}) {
  const stdio = ['ignore', 'pipe', 'inherit'];
  const child = spawn(program, args, { cwd: ROOT, stdio, ...more });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    if (!quiet) process.stdout.write(text);
  });
  const [code, signal] = await once(child, 'close');
  if (code === 0) return output;
  throw new Error(`${program} ${args.join(' ')}: ${signal ?? `code ${code}`}`);
}

/** Runs one of our scripts. */
export function node(...args) {
  return run(process.execPath, args);
}

/** Folder of the programs that these packages of PyPI install; they are installed once. */
export async function fromPyPI(name, packages) {
  const environment = join(WORK, name);
  const bin = join(environment, 'bin');
  if (existsSync(join(environment, 'complete'))) return bin;
  await run('python3', ['-m', 'venv', environment]).catch(
    skipWithout('venv', "Debian's package python3-venv"),
  );
  await run(join(bin, 'pip'), ['install', '--quiet', ...packages]).catch(
    skipWithout(packages.join(' and '), 'PyPI'),
  );
  mkdirSync(join(environment, 'complete'));
  return bin;
}
