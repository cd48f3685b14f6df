// Runs test/runtimes/e2e.cjs on the runtimes that are not Node: `node scripts/test-runtimes.mjs
// [bun deno]`.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { installRuntime } from './runtimes.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The arguments with which each runs a script. */
const RUNTIMES = {
  bun: [],
  deno: ['run', '--allow-all', '--node-modules-dir=manual'],
};

const chosen = process.argv.slice(2);
let passed = true;
for (const name of chosen.length > 0 ? chosen : Object.keys(RUNTIMES)) {
  if (RUNTIMES[name] === undefined) throw new Error(`${name} is not among the runtimes`);
  const program = installRuntime(name);
  console.log(`\n== ${name}`);
  const result = spawnSync(program, [...RUNTIMES[name], 'test/runtimes/e2e.cjs'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  passed &&= result.status === 0;
}
if (!passed) process.exit(1);
