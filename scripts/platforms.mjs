// The platforms that have a package: what scripts/native.mjs builds, scripts/pack.mjs packs and the
// release workflow runs. The list is node/src/native/platforms.json, which the loader has built in.
//
//   node scripts/platforms.mjs   the list as JSON in one line, for a matrix of the workflow
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** glibc of the oldest systems that the Linux packages run on: Debian 10, Ubuntu 20.04, RHEL 8. */
export const OLDEST_GLIBC = '2.28';

/** @type {{ name: string, os: string, cpu: string, libc?: string, target: string, runner: string }[]} */
export const PLATFORMS = JSON.parse(
  readFileSync(join(ROOT, 'node', 'src', 'native', 'platforms.json'), 'utf8'),
);

/** The platform of this process. */
export function thisPlatform() {
  const candidates = PLATFORMS.filter(
    ({ os, cpu }) => os === process.platform && cpu === process.arch,
  );
  if (candidates.length < 2) return candidates[0];
  process.report.excludeNetwork = true;
  const glibc = process.report.getReport().header.glibcVersionRuntime !== undefined;
  return candidates.find(({ libc }) => (libc === 'glibc') === glibc);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(PLATFORMS));
