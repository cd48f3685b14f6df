// Bun and Deno from the npm packages of their names, installed once into .nodes/<name>, for
// test-runtimes.mjs and the rehearsal of a release.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The tested versions. */
export const VERSIONS = { bun: '~1.4.5', deno: '~2.9.6' };

/** Path of the executable; installs it the first time. */
export function installRuntime(name) {
  const folder = join(root, '.nodes', name);
  const program = join(folder, 'node_modules', '.bin', name);
  if (existsSync(program)) return program;
  console.log(`installing ${name}…`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private":true}\n');
  const npm = spawnSync(
    'npm',
    ['install', '--no-audit', '--no-fund', '--no-save', `${name}@${VERSIONS[name]}`],
    { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' },
  );
  if (npm.status !== 0 || !existsSync(program)) throw new Error(`${name} could not be installed`);
  return program;
}
