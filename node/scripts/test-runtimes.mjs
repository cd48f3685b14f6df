// Runs test/runtimes/e2e.cjs on the runtimes that are not Node: `node scripts/test-runtimes.mjs
// [bun deno]`. Each comes from the npm package of its name, installed once into .nodes/<name>.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The tested versions, and the arguments with which each runs a script. */
const RUNTIMES = {
  bun: { version: '~1.4.5', run: [] },
  deno: { version: '~2.9.6', run: ['run', '--allow-all', '--node-modules-dir=manual'] },
};

function install(name) {
  const folder = join(root, '.nodes', name);
  const program = join(folder, 'node_modules', '.bin', name);
  if (existsSync(program)) return program;
  console.log(`installing ${name}…`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private":true}\n');
  const npm = spawnSync(
    'npm',
    ['install', '--no-audit', '--no-fund', '--no-save', `${name}@${RUNTIMES[name].version}`],
    { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' },
  );
  if (npm.status !== 0 || !existsSync(program)) throw new Error(`${name} could not be installed`);
  return program;
}

const chosen = process.argv.slice(2);
let passed = true;
for (const name of chosen.length > 0 ? chosen : Object.keys(RUNTIMES)) {
  if (RUNTIMES[name] === undefined) throw new Error(`${name} is not among the runtimes`);
  const program = install(name);
  console.log(`\n== ${name}`);
  const result = spawnSync(program, [...RUNTIMES[name].run, 'test/runtimes/e2e.cjs'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  passed &&= result.status === 0;
}
if (!passed) process.exit(1);
