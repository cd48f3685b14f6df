// Reports of the benchmarks, in bench/results. run.mjs and scale.mjs write them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { join } from 'node:path';
import { RESULTS } from './paths.mjs';
import { versions } from './peers.mjs';

/**
 * What a report begins with: when, on what, and of what.
 *
 * @param {{ node: string, rounds: number, seconds: number }} how
 */
export function begun({ node, rounds, seconds }) {
  return {
    taken: new Date().toISOString(),
    machine: `${cpus().length} × ${cpus()[0].model.trim()}, ${platform()} ${arch()}`,
    node: execFileSync(node, ['--version'], { encoding: 'utf8' }).trim(),
    versions: versions(),
    rounds,
    seconds,
  };
}

/** @param {string} name @param {object} report */
export function saved(name, report) {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, `${name}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
}
