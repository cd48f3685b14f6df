// `just release-check`: what can be tried of a release without publishing it, with a table at the end.
//
// The Linux addon is built as it is released, by cargo-zigbuild against an old glibc, and run on Debian 11
// from the packages. A step whose tools are missing is skipped by name; in CI that is a failure.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { installNode } from '../node/scripts/nodes.mjs';
import { commandLine } from './command-line.mjs';
import { thisPlatform } from './platforms.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const WORK = join(ROOT, 'target', 'release-check');
const ADDONS = join(ROOT, 'target', 'addons');
const PACKAGES = join(ROOT, 'target', 'packages');
/** Also in .github/workflows/release.yml. */
const ZIG = ['cargo-zigbuild==0.24.0', 'ziglang==0.17.1'];

const HELP = `Usage: just release-check [options]

  --only A,B    only the steps whose names contain one of these
  --list        list the steps
`;

const { values: options } = commandLine(HELP, {
  options: { only: { type: 'string' }, list: { type: 'boolean', default: false } },
});

class Skipped extends Error {}

const platform = thisPlatform();
const linux = platform?.libc === 'glibc';
const npmStep = (...args) => node('scripts/pack.mjs', ...args);
/** @type {{ name: string, run: () => Promise<unknown> }[]} */
const STEPS = [
  { name: 'one version', run: () => node('scripts/versions.mjs') },
  { name: 'packages, and npm publish --dry-run', run: () => npmStep('--dry-run') },
  { name: 'rehearsal', run: () => node('rehearsal/run.mjs') },
  ...(linux
    ? [
        { name: 'addon for an old glibc', run: buildForOldGlibc },
        {
          name: 'its symbol versions',
          run: () => node('scripts/check-glibc.mjs', join(ADDONS, platform.name, 'dodici.node')),
        },
        {
          name: 'its packages',
          run: () => npmStep('--addons', ADDONS, '--placeholders', '--out', PACKAGES),
        },
        {
          name: 'its rehearsal',
          run: () => node('rehearsal/run.mjs', '--short', '--packages', PACKAGES),
        },
        { name: 'Debian 11', run: runOnDebian11 },
      ]
    : []),
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

/** Builds the addon of this platform with the zig and cargo-zigbuild of the release workflow. */
async function buildForOldGlibc() {
  const environment = join(WORK, 'zig');
  const bin = join(environment, 'bin');
  if (!existsSync(join(bin, 'cargo-zigbuild'))) {
    await run('python3', ['-m', 'venv', environment]).catch(skipWithout('python3 with venv'));
    await run(join(bin, 'pip'), ['install', '--quiet', ...ZIG]).catch(skipWithout(ZIG.join(', ')));
  }
  await run(process.execPath, ['scripts/native.mjs', '--platform', platform.name], {
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  });
}

/** Sends a request from Debian 11, whose glibc is 2.31, with what npm has installed. */
async function runOnDebian11() {
  if (process.getuid() !== 0) throw new Skipped('chroot needs root');
  const debian = join(WORK, 'debian-11');
  if (!existsSync(join(debian, 'etc', 'debian_version'))) {
    rmSync(debian, { recursive: true, force: true });
    const debootstrap = ['--variant=minbase', 'bullseye', debian];
    await run('debootstrap', debootstrap).catch(skipWithout('debootstrap and a mirror'));
  }
  const project = join(debian, 'project');
  rmSync(project, { recursive: true, force: true });
  cpSync(join(ROOT, 'rehearsal', 'programs'), project, { recursive: true });
  const undici = join(ROOT, 'node', 'node_modules', 'undici');
  cpSync(undici, join(project, 'node_modules', 'undici'), { recursive: true });
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node', 'package.json'), 'utf8'));
  for (const [name, tarball] of [
    [`@dodici/${platform.name}`, `dodici-${platform.name}-${version}.tgz`],
    ['dodici', `dodici-${version}.tgz`],
  ]) {
    const folder = join(project, 'node_modules', name);
    mkdirSync(folder, { recursive: true });
    await run('tar', ['-xzf', join(PACKAGES, tarball), '-C', folder, '--strip-components=1']);
  }
  // Node from npm is linked against an old glibc, too.
  cpSync(installNode('24'), join(project, 'node'));
  const server = createServer((_request, response) => response.end('{"hello":"world"}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${server.address().port}/`;
  const command = `ldd --version | head -1; ORIGIN=${origin} /project/node /project/request.cjs`;
  const output = await run('chroot', [debian, '/bin/sh', '-c', command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  }).finally(() => server.close());
  console.log(output.trim());
  if (!output.includes('by the engine 0 of 1')) throw new Error('it is not served by the engine');
}

function skipWithout(tools) {
  return (error) => {
    throw new Skipped(`without ${tools}: ${error.message}`);
  };
}

function node(...args) {
  return run(process.execPath, args);
}

/** Runs a program, whose output is shown; returns what is piped instead. */
async function run(program, args, more) {
  const child = spawn(program, args, { cwd: ROOT, stdio: 'inherit', ...more });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => (output += text));
  const [code, signal] = await once(child, 'close');
  if (code === 0) return output;
  throw new Error(`${program} ${args.join(' ')}: ${signal ?? `code ${code}`}`);
}
