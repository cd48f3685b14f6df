// `just release-check`: what can be tried of a release without publishing it, with a table at the end.
//
// The Linux addons are built by the tools of a release, and run on other systems from the packages. Windows
// and macOS are only compiled for. A step whose tools are missing is skipped by name; in CI that is a failure.
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { commandLine } from './command-line.mjs';
import { PLATFORMS, thisPlatform } from './platforms.mjs';
import {
  ADDONS,
  addonOf,
  buildAddon,
  checkGlibc,
  checkSystem,
  LINUX,
  QUICK,
} from './release/addons.mjs';
import { checkDocumentation, checkMinimalVersions, packageCrates } from './release/crates.mjs';
import { node, ROOT, run, Skipped, WORK } from './release/run.mjs';
import { checkBills } from './release/sbom.mjs';
import { sendRequests } from './release/systems.mjs';

const PACKAGES = join(ROOT, 'target', 'packages');

const HELP = `Usage: just release-check [options]

  --only A,B    only the steps whose names contain one of these
  --optimized   every addon as it is released, not only that of linux-x64-gnu: takes twice as long
  --list        list the steps
`;

const { values: options } = commandLine(HELP, {
  options: {
    only: { type: 'string' },
    optimized: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});

const onLinux = process.platform === 'linux';
const linux = onLinux ? LINUX : [];
const foreign = PLATFORMS.filter(({ os }) => os !== 'linux' && os !== process.platform);
/** Elsewhere only the own addon can be built. */
const addons = onLinux ? ['--addons', ADDONS] : [];

/**
 * A step returns what was seen, in a few words. One that needs the npm package is preceded by its build.
 * @type {{ name: string, needsPackage?: boolean, run: () => Promise<string | undefined> }[]}
 */
const STEPS = [
  { name: 'one version', run: () => node('scripts/versions.mjs') },
  { name: 'crates: packages', run: packageCrates },
  { name: 'crates: documentation', run: checkDocumentation },
  { name: 'crates: minimal versions', run: checkMinimalVersions },
  ...foreign.map((platform) => ({
    name: `compiles: ${platform.name}`,
    run: () => checkSystem(platform),
  })),
  ...(onLinux ? LINUX : [thisPlatform()]).map((platform) => ({
    name: `addon: ${platform.name}`,
    run: () => (onLinux ? buildAddon(platform, options.optimized) : node('scripts/native.mjs')),
  })),
  ...linux
    .filter(({ libc }) => libc === 'glibc')
    .map((platform) => ({
      name: `symbol versions: ${platform.name}`,
      run: () => checkGlibc(platform),
    })),
  { name: 'packages: size, npm publish --dry-run', needsPackage: true, run: pack },
  { name: 'packages: bills of materials', run: () => checkBills(PACKAGES) },
  { name: 'packages: rehearsal', needsPackage: true, run: rehearse },
  ...linux.map((platform) => ({
    name: `requests: ${platform.name}`,
    needsPackage: true,
    run: () => sendRequests(platform, PACKAGES),
  })),
];
const BUILD = { name: 'npm package', run: build };

const wanted = options.only?.split(',');
const chosen = STEPS.filter(({ name }) => !wanted || wanted.some((part) => name.includes(part)));
const steps = chosen.some(({ needsPackage }) => needsPackage) ? [BUILD, ...chosen] : chosen;
if (options.list) {
  for (const { name } of steps) console.log(name);
  process.exit(0);
}
mkdirSync(WORK, { recursive: true });
const results = [];
for (const [index, { name, run: step }] of steps.entries()) {
  console.log(`\n== [${index + 1}/${steps.length}] ${name}`);
  const started = Date.now();
  const [outcome, seen] = await step().then(
    (seen = '') => ['passed', seen],
    (error) => [error instanceof Skipped && !process.env.CI ? 'skipped' : 'failed', error.message],
  );
  if (outcome !== 'passed') console.log(seen);
  results.push({ name, outcome, seen, seconds: (Date.now() - started) / 1e3 });
}
if (!wanted) {
  for (const { name, os } of foreign) {
    const seen = `linking and running need ${os}: release.yml`;
    results.push({ name: `requests: ${name}`, outcome: 'not here', seen });
  }
}
const width = Math.max(...results.map(({ name }) => name.length));
console.log();
for (const { name, outcome, seen, seconds } of results) {
  const time = seconds === undefined ? '' : `${seconds.toFixed(0)} s`;
  const [line] = seen.trim().split('\n');
  console.log(
    `${name.padEnd(width)}  ${outcome.padEnd(8)}  ${time.padStart(6)}  ${line}`.trimEnd(),
  );
}
const count = (which) => results.filter(({ outcome }) => outcome === which).length;
const skips = count('skipped') > 0 ? `, ${count('skipped')} skipped` : '';
console.log(`\n${count('passed')} passed, ${count('failed')} failed${skips}`);
process.exit(count('failed') > 0 || results.length === 0 ? 1 : 0);

async function build() {
  await node('scripts/setup.mjs', 'node', 'rehearsal');
  await run('npm', ['run', '--silent', '--prefix', 'node', 'build'], {
    shell: process.platform === 'win32',
  });
}

async function pack() {
  const { name } = thisPlatform();
  if (onLinux) addonOf(name);
  const unmeasured = options.optimized ? [] : ['--any-size', QUICK.join(',')];
  const how = [...addons, '--placeholders', ...unmeasured, '--dry-run'];
  await node('scripts/pack.mjs', ...how, '--out', PACKAGES);
  const file = readdirSync(PACKAGES).find((one) => one.startsWith(`dodici-${name}-`));
  return `${name}: ${(statSync(join(PACKAGES, file)).size / 1e6).toFixed(2)} MB`;
}

async function rehearse() {
  const output = await node('rehearsal/run.mjs', '--packages', PACKAGES);
  const [, counted] = /^rehearsal: (.*)$/m.exec(output);
  const [, readme] = /^ *(from an empty folder.*)$/m.exec(output) ?? [];
  return [counted, readme].filter(Boolean).join('; ');
}
