// Installs the npm packages of the named directories, if their lockfile has changed since.
// The justfile and scripts/test.mjs call it: `node scripts/setup.mjs node bench`.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OLDEST_NODE = 20;

if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
  fail(`Node ${OLDEST_NODE} or newer is needed; this is ${process.version}`);
}
for (const name of process.argv.slice(2)) install(join(ROOT, name), name);

/** @param {string} directory @param {string} name */
function install(directory, name) {
  const stamp = join(directory, 'node_modules', '.installed');
  // What was installed depends on the Node that ran the install scripts, too.
  const wanted = createHash('sha256')
    .update(readFileSync(join(directory, 'package-lock.json')))
    .update(`${process.platform} ${process.arch} ${process.versions.modules}`)
    .digest('hex');
  if (read(stamp) === wanted) return;
  console.log(`installing the npm packages of ${name}/`);
  // `npm ci` wants every optional package of every platform in the lockfile and in the registry;
  // a mirror may lack some. `npm install` takes the lockfile's versions as well.
  const steps = [['ci'], ['install', '--no-save']];
  const failures = [];
  for (const step of steps) {
    const args = [...step, '--no-audit', '--no-fund', '--loglevel=error'];
    const { status, stderr, error } = spawnSync('npm', args, {
      cwd: directory,
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
      shell: process.platform === 'win32',
    });
    if (error) fail(`npm did not start: ${error.message}`);
    if (status === 0) break;
    failures.push(`npm ${step.join(' ')}:\n${stderr.trimEnd()}`);
  }
  if (failures.length === steps.length) fail(`${name}/: ${failures.join('\n')}`);
  writeFileSync(stamp, wanted);
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}
