// Checks which glibc an addon needs: `node scripts/check-glibc.mjs FILE`. Fails if one of the symbol
// versions that it asks for is newer than the oldest supported system's.
import { spawnSync } from 'node:child_process';

import { OLDEST_GLIBC } from './platforms.mjs';

const [file] = process.argv.slice(2);
const { status, stdout, stderr } = spawnSync('readelf', ['--version-info', '--wide', file], {
  encoding: 'utf8',
});
if (status !== 0) fail(stderr);
const parts = (version) => version.split('.').map(Number);
const newer = (a, b) => parts(a)[0] - parts(b)[0] || parts(a)[1] - parts(b)[1];
const versions = [
  ...new Set([...stdout.matchAll(/\bGLIBC_(\d+\.\d+)/g)].map(([, version]) => version)),
].sort(newer);
const newest = versions.at(-1);
if (newest === undefined) fail(`${file} asks for no version of glibc`);
console.log(`${file} needs glibc ${newest}`);
if (newer(newest, OLDEST_GLIBC) > 0) fail(`${OLDEST_GLIBC} is the newest that it may need`);

function fail(message) {
  console.error(`check-glibc: ${message}`);
  process.exit(1);
}
