// `just soak-h2`: HTTP/2 against servers that leave, refuse and flood, and against those of others,
// in the numbers that a release needs. Prints a table of what was measured; fails if anything was
// lost, sent twice or left unsettled, or if memory grew beyond its bound.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandLine } from './command-line.mjs';
import { figuresTable } from './figures-table.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** The parts: files of tests of the engine, and the npm package. */
const PARTS = ['gate', 'floods', 'interop', 'node'];

const HELP = `Usage: just soak-h2 [options]

  --requests N   to servers that send GOAWAY and REFUSED_STREAM (default 200000); as many aborts
  --aborts N     through the npm package, in random phases (default 10000)
  --interop N    of each kind to each server: GET, POST, POST with trailers (default 10000)
  --mib N        of a body in each direction (default 1024)
  --only A,B     of ${PARTS.join(', ')} (default all)
`;

const { values: options } = commandLine(HELP, {
  options: {
    requests: { type: 'string', default: '200000' },
    aborts: { type: 'string', default: '10000' },
    interop: { type: 'string', default: '10000' },
    mib: { type: 'string', default: '1024' },
    only: { type: 'string', default: PARTS.join(',') },
  },
});
const parts = options.only.split(',');

const numbers = [options.requests, options.aborts, options.interop, options.mib].map(Number);
if (!numbers.every((n) => Number.isInteger(n) && n > 0) || !parts.every((p) => PARTS.includes(p))) {
  process.stderr.write(HELP);
  process.exit(2);
}
const [requests, aborts, interop, mib] = numbers;

const directory = mkdtempSync(join(tmpdir(), 'dodici-soak-h2-'));
const figures = join(directory, 'figures');
const env = {
  ...process.env,
  DODICI_FIGURES: figures,
  DODICI_FLOOD_SECONDS: '3',
  DODICI_GATE_REQUESTS: String(requests),
  DODICI_ABORTS: String(aborts),
  DODICI_INTEROP_REQUESTS: String(interop),
  DODICI_LARGE_BODY: String(mib * 2 ** 20),
};
const run = (command, parameters, cwd) =>
  spawnSync(command, parameters, { cwd, env, stdio: 'inherit' }).status === 0;
let passed = true;
for (const part of parts.filter((part) => part !== 'node')) {
  const test = part === 'interop' ? ['interop', '--', 'h2::'] : [`h2_${part}`, '--'];
  // One at a time: each watches the memory of the process.
  const which = ['test', '--release', '--no-fail-fast', '-p', 'dodici', '--test', ...test];
  passed = run('cargo', [...which, '--test-threads=1'], ROOT) && passed;
}
if (parts.includes('node')) {
  const vitest = join(ROOT, 'node', 'node_modules', 'vitest', 'vitest.mjs');
  const which = ['run', 'test/e2e/http2.test.ts', '--testNamePattern', 'aborted in any phase'];
  passed = run(process.execPath, [vitest, ...which], join(ROOT, 'node')) && passed;
}
process.stdout.write(figuresTable(figures));
rmSync(directory, { recursive: true });
process.exit(passed ? 0 : 1);
