// `just rehearse`: installs the packages as users will, before anybody can: from a registry on this
// machine, with every package manager, into empty projects, of which each sends requests.
//
// A case whose tool is missing is skipped by name; in CI that is a failure. `--short` is a step of the
// test command.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { installRuntime } from '../node/scripts/runtimes.mjs';
import { commandLine } from '../scripts/command-line.mjs';
import { PLATFORMS, thisPlatform } from '../scripts/platforms.mjs';
import { Servers } from '../scripts/samples/servers.mjs';
import { BUNDLERS } from './lib/bundlers.mjs';
import { startRegistry } from './lib/registry.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PROGRAMS = join(ROOT, 'rehearsal', 'programs');
const NODE = join(ROOT, 'node');
const require = createRequire(import.meta.url);
/** A child that runs longer hangs. */
const LIMIT_MS = 300_000;

const HELP = `Usage: just rehearse [options]

  --short           npm only: ES modules, CommonJS, one bundle
  --only A,B        only cases whose names contain one of these
  --packages DIR    the packages of \`just pack\`, instead of packing what is built
  --list            list the cases
  --keep            keep the projects
`;

const { values: options } = commandLine(HELP, {
  options: {
    short: { type: 'boolean', default: false },
    only: { type: 'string' },
    packages: { type: 'string' },
    list: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});

/** What the programs print. */
const ALL_BY_ENGINE = '200 {"hello":"world"} 200 {"hello":"world"}\nby the engine 0 of 1';
/** undici 8 needs Node 22.19. */
const [major, minor] = process.versions.node.split('.').map(Number);
const peerName = major < 22 || (major === 22 && minor < 19) ? 'undici7' : 'undici';
const local = thisPlatform();
const FOREIGN = {
  system: PLATFORMS.find(({ os }) => os !== local.os),
  processor: PLATFORMS.find((one) => isLike(one, 'os', 'libc') && one.cpu !== local.cpu),
  'C library': PLATFORMS.find((one) => isLike(one, 'os', 'cpu') && one.libc !== local.libc),
};

/** Whether a platform and this one have the same `keys`. */
function isLike(platform, ...keys) {
  return keys.every((key) => platform[key] === local[key]);
}

class Skipped extends Error {}

/** @type {{ name: string, short?: boolean, run: () => Promise<void> }[]} */
const CASES = [
  {
    name: 'npm: ES modules',
    short: true,
    run: async () => expectOutput(await node(await npmProject(), 'request.mjs'), ALL_BY_ENGINE),
  },
  {
    name: 'npm: CommonJS',
    short: true,
    run: async () => expectOutput(await node(await npmProject(), 'request.cjs'), ALL_BY_ENGINE),
  },
  {
    name: 'npm: worker thread',
    run: async () => expectOutput(await node(await npmProject(), 'worker.mjs'), ALL_BY_ENGINE),
  },
  ...['node16', 'bundler'].map((resolution) => ({
    name: `npm: TypeScript, moduleResolution ${resolution}`,
    run: () => typescript(resolution),
  })),
  ...Object.entries(BUNDLERS).map(([name, bundle]) => ({
    name: `bundle: ${name}`,
    short: name === 'esbuild, CommonJS',
    async run() {
      const project = await npmProject();
      const file = await bundle(project, { cjs: 'request.cjs', mjs: 'request.mjs' });
      expectOutput(await node(project, file), ALL_BY_ENGINE);
    },
  })),
  { name: 'bundle: without the addon beside it', short: true, run: lonelyBundle },
  { name: 'single executable application', run: singleExecutable },
  {
    name: 'npm: --omit=optional',
    async run() {
      const project = await npmProject('omit', ['--omit=optional']);
      expectPart(await node(project, 'request.cjs'), 'is not installed: install again without');
    },
  },
  ...Object.entries(FOREIGN).map(([what, platform]) => ({
    name: `npm: node_modules of another ${what}`,
    async run() {
      if (platform === undefined) throw new Skipped('this system has only one');
      const { os, cpu, libc } = platform;
      const system = [`--os=${os}`, `--cpu=${cpu}`, ...(libc ? [`--libc=${libc}`] : [])];
      const project = await npmProject(`foreign-${platform.name}`, system);
      const output = await node(project, 'request.cjs');
      expectPart(output, `@dodici/${platform.name}`);
      expectPart(output, `is for another ${what === 'C library' ? what : 'system'}`);
    },
  })),
  { name: 'npm: a lock file of another system', run: foreignLock },
  { name: "npm: the README's way", short: true, run: readmeWay },
  { name: 'pnpm', run: pnpm },
  { name: 'Yarn, node-modules', run: () => yarn('node-modules') },
  { name: "Yarn, Plug'n'Play", run: () => yarn('pnp') },
  { name: "Yarn, Plug'n'Play, for another system", run: foreignYarn },
  { name: 'Bun', run: bun },
  { name: 'Deno', run: deno },
];

const wanted = options.only?.split(',');
const cases = CASES.filter(
  ({ name, short }) =>
    (!options.short || short) && (!wanted || wanted.some((part) => name.includes(part))),
);
if (options.list) {
  for (const { name } of cases) console.log(name);
  process.exit(0);
}
if (cases.length === 0) {
  console.error('no case has such a name; see --list');
  process.exit(2);
}

const work = mkdtempSync(join(tmpdir(), 'dodici-rehearsal-'));
process.on('exit', () => {
  if (options.keep) console.log(`projects are in ${work}`);
  else rmSync(work, { recursive: true, force: true });
});
const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end('{"hello":"world"}');
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const registry = await startRegistry(mkdir('registry'));
/** No setting of this machine's user, and no cache from which a package could come. */
const environment = {
  PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
  HOME: mkdir('home'),
  ORIGIN: `http://127.0.0.1:${server.address().port}/`,
  npm_config_registry: registry.url,
  npm_config_cache: join(work, 'npm-cache'),
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
  CI: 'true',
  NO_COLOR: '1',
  ...(process.platform === 'win32' ? { SystemRoot: process.env.SystemRoot } : {}),
};
await publishAll();
const results = [];
for (const [index, { name, run }] of cases.entries()) {
  console.log(`[${index + 1}/${cases.length}] ${name}`);
  const started = Date.now();
  const problem = await run().then(
    () => undefined,
    (error) => error,
  );
  const skipped = problem instanceof Skipped && !process.env.CI;
  const outcome = problem === undefined ? 'passed' : skipped ? 'skipped' : 'failed';
  results.push({ name, outcome, seconds: (Date.now() - started) / 1e3, problem });
  if (problem !== undefined) console.log(problem.message.trimEnd().replaceAll(/^/gm, '     '));
}
registry.close();
server.close();
server.closeAllConnections();

const width = Math.max(...results.map(({ name }) => name.length));
console.log();
for (const { name, outcome, seconds } of results) {
  console.log(`${name.padEnd(width)}  ${outcome.padEnd(7)}  ${seconds.toFixed(1).padStart(6)} s`);
}
const count = (which) => results.filter(({ outcome }) => outcome === which).length;
const skips = count('skipped') > 0 ? `, ${count('skipped')} skipped` : '';
console.log(`\nrehearsal: ${count('passed')} passed, ${count('failed')} failed${skips}`);
process.exit(count('failed') > 0 ? 1 : 0);

/** Packs what is built, unless it is packed already, and publishes it with both peers. */
async function publishAll() {
  const packages = options.packages ?? join(work, 'packages');
  if (options.packages === undefined) {
    await execute(
      ROOT,
      process.execPath,
      ['scripts/pack.mjs', '--placeholders', ...['--out', packages]],
      process.env,
    );
  }
  for (const folder of [...PLATFORMS.map(({ name }) => name), 'dodici']) {
    const manifest = readManifest(join(packages, folder));
    const file = `${manifest.name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`;
    await registry.publish(join(packages, file), manifest);
  }
  for (const name of ['undici7', 'undici']) {
    const folder = join(NODE, 'node_modules', name);
    const [{ filename }] = JSON.parse(
      await execute(folder, 'npm', [
        'pack',
        '--json',
        '--ignore-scripts',
        '--pack-destination',
        work,
      ]),
    );
    // As the documentation says: older Nodes need undici 7.
    const tag = name === peerName ? 'latest' : 'other';
    await registry.publish(join(work, filename), readManifest(folder), tag);
  }
}

function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

function mkdir(name) {
  const path = join(work, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** An empty project, with our programs. */
function project(name) {
  const folder = mkdir(name);
  for (const program of readdirSync(PROGRAMS)) {
    copyFileSync(join(PROGRAMS, program), join(folder, program));
  }
  writeFileSync(
    join(folder, 'package.json'),
    '{"name":"project","version":"1.0.0","private":true}\n',
  );
  return folder;
}

/** A project in which npm has installed both packages; once for each name. */
async function npmProject(name = 'npm', more = []) {
  const folder = join(work, name);
  if (existsSync(join(folder, 'node_modules'))) return folder;
  await execute(project(name), 'npm', ['install', 'dodici', 'undici', ...more]);
  return folder;
}

/**
 * A lock file that npm has written beside another system's node_modules may have only that system's
 * packages (npm/cli#4828). `npm ci` names what is missing, `npm install` adds it.
 */
async function foreignLock() {
  const folder = project('lock');
  await execute(folder, 'npm', ['install', 'dodici', 'undici', '--package-lock-only']);
  const path = join(folder, 'package-lock.json');
  const lock = JSON.parse(readFileSync(path, 'utf8'));
  for (const key of Object.keys(lock.packages)) {
    const isOther = !key.endsWith(`/${FOREIGN.system.name}`);
    if (key.startsWith('node_modules/@dodici/') && isOther) delete lock.packages[key];
  }
  writeFileSync(path, JSON.stringify(lock));
  const refusal = await execute(folder, 'npm', ['ci']).catch(({ message }) => message);
  expectPart(refusal, `Missing: @dodici/${local.name}@`);
  await execute(folder, 'npm', ['install']);
  expectOutput(await node(folder, 'request.cjs'), ALL_BY_ENGINE);
}

/** What a reader of the README does: an empty folder, its command, its first program. */
async function readmeWay() {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const first = (language) => new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'ms').exec(readme)[1];
  const folder = mkdir('readme');
  const [program, ...args] = first('sh').trim().split(' ');
  const fixtures = join(NODE, 'test', 'support');
  const servers = await Servers.start(fixtures);
  const started = Date.now();
  await execute(folder, program, args);
  writeFileSync(join(folder, 'index.mjs'), await servers.localize(first('js')));
  const trust = { ...environment, NODE_EXTRA_CA_CERTS: join(fixtures, 'ca.pem') };
  const output = await execute(folder, process.execPath, ['index.mjs'], trust);
  console.log(`     from an empty folder to a response: ${(Date.now() - started) / 1e3} s`);
  await servers.close();
  if (!/^200 .*\n200 /.test(output)) throw new Error(`it printed\n${output}`);
}

async function typescript(resolution) {
  const folder = await npmProject();
  const tsc = join(NODE, 'node_modules', 'typescript', 'bin', 'tsc');
  const outDir = join(folder, `out-${resolution}`);
  await execute(folder, process.execPath, [
    ...[tsc, 'request.ts', '--strict', '--target', 'es2022', '--outDir', outDir],
    ...['--module', resolution === 'bundler' ? 'esnext' : 'node16'],
    ...['--moduleResolution', resolution, '--types', 'node'],
    ...['--typeRoots', join(NODE, 'node_modules', '@types')],
  ]);
  writeFileSync(
    join(outDir, 'package.json'),
    `{"type":"${resolution === 'bundler' ? 'module' : 'commonjs'}"}`,
  );
  expectOutput(await node(folder, join(outDir, 'request.js')), ALL_BY_ENGINE);
}

/** A bundle that is moved says what it needs, and runs with it. */
async function lonelyBundle() {
  const bundle = await BUNDLERS['esbuild, CommonJS'](await npmProject(), { cjs: 'request.cjs' });
  const folder = mkdir('moved');
  copyFileSync(bundle, join(folder, 'main.js'));
  expectPart(await node(folder, 'main.js'), 'dodici is part of the bundle');
  cpSync(
    join(await npmProject(), 'node_modules', '@dodici'),
    join(folder, 'node_modules', '@dodici'),
    {
      recursive: true,
    },
  );
  expectOutput(await node(folder, 'main.js'), ALL_BY_ENGINE);
}

async function singleExecutable() {
  if (process.platform !== 'linux') throw new Skipped('it is made on Linux only');
  const installed = await npmProject();
  const bundle = await BUNDLERS['esbuild, CommonJS'](installed, { cjs: 'request.cjs' });
  const folder = mkdir('sea');
  const config = { main: bundle, output: 'blob', disableExperimentalSEAWarning: true };
  writeFileSync(join(folder, 'sea.json'), JSON.stringify(config));
  await node(folder, '--experimental-sea-config', 'sea.json');
  copyFileSync(process.execPath, join(folder, 'app'));
  const { inject } = require('postject');
  await inject(join(folder, 'app'), 'NODE_SEA_BLOB', readFileSync(join(folder, 'blob')), {
    sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
  });
  const run = () => execute(folder, join(folder, 'app'), []);
  expectPart(await run(), `put the file dodici.node of the package @dodici/${local.name} beside`);
  copyFileSync(
    join(installed, 'node_modules', '@dodici', local.name, 'dodici.node'),
    join(folder, 'dodici.node'),
  );
  expectOutput(await run(), ALL_BY_ENGINE);
}

async function pnpm() {
  const folder = project('pnpm');
  writeFileSync(
    join(folder, '.npmrc'),
    `store-dir=${join(work, 'pnpm-store')}\nminimum-release-age=0\n`,
  );
  const program = join(ROOT, 'rehearsal', 'node_modules', 'pnpm', 'bin', 'pnpm.cjs');
  await node(folder, program, 'add', 'dodici', 'undici');
  expectOutput(await node(folder, 'request.mjs'), ALL_BY_ENGINE);
}

async function yarn(linker) {
  const [folder, program] = await yarnProject(`yarn-${linker}`, linker);
  for (const file of ['request.mjs', 'request.cjs']) {
    expectOutput(await node(folder, program, 'node', file), ALL_BY_ENGINE);
  }
}

async function foreignYarn() {
  const { os, cpu } = FOREIGN.system;
  const architectures = `supportedArchitectures: { os: [${os}], cpu: [${cpu}] }\n`;
  const [folder, program] = await yarnProject('yarn-foreign', 'pnp', architectures);
  expectPart(
    await node(folder, program, 'node', 'request.cjs'),
    `Yarn has not installed the package @dodici/${local.name}: run "yarn install" on this system`,
  );
}

/** A project in which Yarn has installed both packages, and Yarn. */
async function yarnProject(name, linker, settings = '') {
  const folder = project(name);
  writeFileSync(
    join(folder, '.yarnrc.yml'),
    `nodeLinker: ${linker}
npmRegistryServer: ${registry.url}
unsafeHttpWhitelist: ["127.0.0.1"]
enableGlobalCache: false
enableImmutableInstalls: false
enableTelemetry: false
npmMinimalAgeGate: 0
pnpEnableEsmLoader: true
${settings}`,
  );
  writeFileSync(join(folder, 'yarn.lock'), '');
  const program = require.resolve('@yarnpkg/cli-dist/bin/yarn.js');
  await node(folder, program, 'add', 'dodici', 'undici');
  return [folder, program];
}

async function bun() {
  const program = runtime('bun');
  const folder = project('bun');
  writeFileSync(
    join(folder, 'bunfig.toml'),
    `[install]\nregistry = "${registry.url}"\nminimumReleaseAge = 0\n\n[install.cache]\ndir = "${join(work, 'bun-cache')}"\n`,
  );
  await execute(folder, program, ['add', 'dodici', 'undici']);
  expectOutput(await execute(folder, program, ['request.mjs']), ALL_BY_ENGINE);
}

async function deno() {
  const program = runtime('deno');
  const folder = project('deno');
  writeFileSync(join(folder, '.npmrc'), `registry=${registry.url}\n`);
  const own = { ...environment, DENO_DIR: join(work, 'deno') };
  const age = '--minimum-dependency-age=0';
  await execute(folder, program, ['install', age, 'npm:dodici', 'npm:undici'], own);
  expectOutput(
    await execute(folder, program, ['run', '--allow-all', age, 'request.mjs'], own),
    ALL_BY_ENGINE,
  );
}

function runtime(name) {
  try {
    return installRuntime(name);
  } catch (error) {
    throw new Skipped(error.message);
  }
}

function node(folder, ...args) {
  return execute(folder, process.execPath, args);
}

/** What a program prints. It fails with all its output if the program does. */
async function execute(cwd, program, args, env = environment) {
  const shell = process.platform === 'win32' && program === 'npm';
  const child = spawn(program, args, { cwd, env, shell, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  const [code, signal] = await once(child, 'close');
  clearTimeout(limit);
  if (code === 0) return output;
  throw new Error(`${program} ${args.join(' ')}: ${signal ?? `code ${code}`}\n${output}${errors}`);
}

function expectOutput(output, wantedOutput) {
  if (output.trim() !== wantedOutput)
    throw new Error(`it printed\n${output}instead of\n${wantedOutput}`);
}

function expectPart(output, part) {
  if (!output.includes(part)) throw new Error(`it printed\n${output}without "${part}"`);
}
