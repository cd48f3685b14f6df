// `just release-check`: what can be tried of a release without publishing it, with a table at the end.
//
// The Linux addons are built as they are released, and run on other systems from the packages. Windows and
// macOS are only compiled for. A step whose tools are missing is skipped by name; in CI that is a failure.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { commandLine } from './command-line.mjs';
import { PLATFORMS, thisPlatform } from './platforms.mjs';
import { ADDONS, buildAddon, checkGlibc, checkSystem, LINUX } from './release/addons.mjs';
import { checkDocumentation, checkMinimalVersions, packageCrates } from './release/crates.mjs';
import { node, ROOT, Skipped, WORK } from './release/run.mjs';
import { checkBills } from './release/sbom.mjs';
import { sendRequests } from './release/systems.mjs';

const PACKAGES = join(ROOT, 'target', 'packages');

const HELP = `Usage: just release-check [options]

  --only A,B    only the steps whose names contain one of these
  --list        list the steps
`;

const { values: options } = commandLine(HELP, {
  options: { only: { type: 'string' }, list: { type: 'boolean', default: false } },
});

const onLinux = process.platform === 'linux';
/** Elsewhere only the own addon can be built. */
const addons = onLinux ? ['--addons', ADDONS] : [];
/** @type {{ name: string, run: () => Promise<unknown> }[]} */
const STEPS = [
  { name: 'one version', run: () => node('scripts/versions.mjs') },
  { name: 'crates: packages', run: packageCrates },
  { name: 'crates: documentation', run: checkDocumentation },
  { name: 'crates: minimal versions', run: checkMinimalVersions },
  ...PLATFORMS.filter(({ os }) => os !== 'linux' && os !== process.platform).map((platform) => ({
    name: `compiles: ${platform.name}`,
    run: () => checkSystem(platform),
  })),
  ...(onLinux ? LINUX : [thisPlatform()]).map((platform) => ({
    name: `addon: ${platform.name}`,
    run: () => (onLinux ? buildAddon(platform) : node('scripts/native.mjs')),
  })),
  ...(onLinux ? LINUX.filter(({ libc }) => libc === 'glibc') : []).map((platform) => ({
    name: `symbol versions: ${platform.name}`,
    run: () => checkGlibc(platform),
  })),
  {
    name: 'packages: size, npm publish --dry-run',
    run: () =>
      node('scripts/pack.mjs', ...addons, '--placeholders', '--dry-run', '--out', PACKAGES),
  },
  { name: 'packages: bills of materials', run: () => checkBills(PACKAGES) },
  { name: 'packages: rehearsal', run: () => node('rehearsal/run.mjs', '--packages', PACKAGES) },
  ...(onLinux ? LINUX : []).map((platform) => ({
    name: `requests: ${platform.name}`,
    run: () => sendRequests(platform, PACKAGES),
  })),
];

const wanted = options.only?.split(',');
const steps = STEPS.filter(({ name }) => !wanted || wanted.some((part) => name.includes(part)));
if (options.list) {
  for (const { name } of steps) console.log(name);
  process.exit(0);
}
mkdirSync(WORK, { recursive: true });
const results = [];
for (const [index, { name, run: step }] of steps.entries()) {
  console.log(`\n== [${index + 1}/${steps.length}] ${name}`);
  const started = Date.now();
  const problem = await step().then(
    () => undefined,
    (error) => error,
  );
  if (problem !== undefined) console.log(problem.message);
  const skipped = problem instanceof Skipped && !process.env.CI;
  const outcome = problem === undefined ? 'passed' : skipped ? 'skipped' : 'failed';
  results.push({ name, outcome, seconds: (Date.now() - started) / 1e3 });
}
const width = Math.max(...results.map(({ name }) => name.length));
console.log();
for (const { name, outcome, seconds } of results) {
  console.log(`${name.padEnd(width)}  ${outcome.padEnd(7)}  ${seconds.toFixed(0).padStart(5)} s`);
}
const count = (which) => results.filter(({ outcome }) => outcome === which).length;
const skips = count('skipped') > 0 ? `, ${count('skipped')} skipped` : '';
console.log(`\n${count('passed')} passed, ${count('failed')} failed${skips}`);
process.exit(count('failed') > 0 || results.length === 0 ? 1 : 0);
