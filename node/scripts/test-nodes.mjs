// Runs the tests on the Nodes and undicis that dodici supports: `node scripts/test-nodes.mjs
// [20 22 24 26 | --short] [-- vitest arguments]`. Without a major, on every one of them.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { installNode } from './nodes.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** Node majors, the undici major that each is tested with, and which tests: Node 22 is for its fetch. */
const MATRIX = {
  20: { peer: '7', projects: ['unit', 'e2e'] },
  22: { peer: '7', projects: ['e2e'] },
  24: { peer: '8', projects: ['unit', 'e2e'] },
  26: { peer: '8', projects: ['unit', 'e2e'] },
};

/**
 * `--short`, for the test command: everything on one Node, and on the oldest one, with the older
 * undici, the files about what differs between them: handlers and classes of the peer, Node's own
 * fetch, what is exported, how the package is loaded. `just soak nodes` runs everything on all.
 */
const SHORT = {
  24: [],
  20: [
    'test/unit/diagnostics',
    'test/unit/dispatcher',
    'test/unit/errors',
    'test/unit/global',
    'test/unit/legacy-handler',
    'test/unit/package',
    'test/e2e/api',
    'test/e2e/builtin',
    'test/e2e/ecosystem',
    'test/e2e/install',
    'test/e2e/mock-agents',
    'test/e2e/mocks',
    'test/e2e/older-handlers',
    'test/e2e/peer-classes',
    'test/e2e/proxies',
    'test/e2e/upgrades',
  ],
};

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
const short = chosen.length === 1 && chosen[0] === '--short';
const every = Object.keys(short ? SHORT : MATRIX);
const majors = short || chosen.length === 0 ? every : chosen;

const summary = [];
for (const major of majors) {
  const entry = MATRIX[major];
  if (entry === undefined) throw new Error(`Node ${major} is not in the matrix`);
  const files = short ? SHORT[major] : [];
  const what = files.length > 0 ? `${files.length} files` : entry.projects.join(', ');
  const title = `Node ${major} with undici ${entry.peer} (${what})`;
  console.log(`\n== ${title}`);
  const passed = run(major, entry, [...files, ...vitestArguments]);
  summary.push(`${title}: ${passed ? 'passed' : 'FAILED'}`);
}
console.log(`\n${summary.join('\n')}`);
if (summary.some((line) => line.endsWith('FAILED'))) process.exit(1);
