// Runs the tests on every Node and undici that dodici supports: `node scripts/test-nodes.mjs
// [20 22 24 26] [-- vitest arguments]`.
//
// Each Node comes from the npm package `node`, installed once into .nodes/<major>.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** Node majors, the undici major that each is tested with, and which tests: Node 22 is for its fetch. */
const MATRIX = {
  20: { peer: '7', projects: ['unit', 'e2e'] },
  22: { peer: '7', projects: ['e2e'] },
  24: { peer: '8', projects: ['unit', 'e2e'] },
  26: { peer: '8', projects: ['unit', 'e2e'] },
};

/** Path of the Node executable of this major; installs it the first time. */
export function installNode(major) {
  const folder = join(root, '.nodes', major);
  const node = join(
    folder,
    'node_modules',
    'node',
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  );
  if (existsSync(node)) return node;
  console.log(`installing Node ${major}…`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private":true,"allowScripts":{"node":true}}\n');
  const arguments_ = ['install', '--no-audit', '--no-fund', '--no-save', `node@${major}`];
  // The package fetches the binary for this platform in its install script.
  const npm = spawnSync('npm', [...arguments_, '--ignore-scripts=false'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0 || !existsSync(node))
    throw new Error(`Node ${major} could not be installed`);
  return node;
}

function run(major, { peer, projects }, vitestArguments) {
  const node = installNode(major);
  const vitest = join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
  const result = spawnSync(
    node,
    [vitest, 'run', ...projects.map((project) => `--project=${project}`), ...vitestArguments],
    {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...process.env,
        DODICI_TEST_PEER: peer,
        PATH: dirname(node) + delimiter + process.env.PATH,
      },
    },
  );
  return result.status === 0;
}

const separator = process.argv.indexOf('--');
const chosen = process.argv.slice(2, separator === -1 ? undefined : separator);
const vitestArguments = separator === -1 ? [] : process.argv.slice(separator + 1);
const majors = chosen.length > 0 ? chosen : Object.keys(MATRIX);

const summary = [];
for (const major of majors) {
  const entry = MATRIX[major];
  if (entry === undefined) throw new Error(`Node ${major} is not in the matrix`);
  const title = `Node ${major} with undici ${entry.peer} (${entry.projects.join(', ')})`;
  console.log(`\n== ${title}`);
  summary.push(`${title}: ${run(major, entry, vitestArguments) ? 'passed' : 'FAILED'}`);
}
console.log(`\n${summary.join('\n')}`);
if (summary.some((line) => line.endsWith('FAILED'))) process.exit(1);
