// Checks every sample of README.md, node/README.md and docs/*.md.
//
// - A `js` or `ts` block is a complete program: a strict TypeScript module that runs, ends by itself,
//   prints something if it calls `console.log`, and nothing to stderr. It runs on Node 24 in the
//   package, so that 'dodici' is the package itself, among the frameworks of docs/package.json.
// - Each `https` and `http` host of example.com and example.org, `proxy.example.com:8080` and
//   `socks.example.com:1080` are replaced by servers on this machine (samples/servers.mjs). So is the
//   certificate authority: `ca.pem`, `client-cert.pem` and `client-key.pem` exist.
// - A program that listens on port 3000 is a server: it gets a free port, must answer `GET /` with 200,
//   and is then ended.
// - A `rust` block is the text of an example below crates/dodici/examples, which it names in its first
//   line and which runs against the same server; or its page is part of the doctests of a crate.
//
// `just test` calls it. It prints one line for each sample and `samples: N passed, N failed`.
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { installNode } from '../node/scripts/nodes.mjs';
import { commandLine } from './command-line.mjs';
import { Servers } from './samples/servers.mjs';

const HELP = `Usage: node scripts/check-samples.mjs [options]

  --only PAGE    only the samples of this file, such as docs/tls.md
`;
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PACKAGE = join(ROOT, 'node');
const FIXTURES = join(PACKAGE, 'test', 'support');
/** In the package, so that 'dodici' resolves to it; ignored by git like everything built. */
const WORK = join(PACKAGE, 'dist', '.samples');
/** Packages of the samples that have another name among the package's own. */
const ALIASES = { nock: 'nock15', msw: 'msw3' };
/** A sample that runs longer hangs. */
const LIMIT_MS = 60_000;
/** Where a server's sample listens. */
const SERVER = /(?<=\blisten\((?:\{ port: )?)3000\b/;

const { values: options } = commandLine(HELP, { options: { only: { type: 'string' } } });
const ts = createRequire(join(PACKAGE, 'package.json'))('typescript');

const pages = [
  'README.md',
  'node/README.md',
  ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`),
].filter((page) => page.endsWith('.md') && (options.only === undefined || page === options.only));
const samples = pages.flatMap((page) => [...samplesOf(page)]);
const scripts = samples.filter(({ language }) => language !== 'rust');
prepare();
const node = installNode('24');
const servers = await Servers.start(FIXTURES);

const problems = typeProblems();
let passed = 0;
let failed = 0;
const queue = [...samples];
await Promise.all(
  Array.from({ length: Math.min(availableParallelism(), 4) }, async () => {
    for (let sample = queue.shift(); sample !== undefined; sample = queue.shift()) {
      const problem = problems.get(sample) ?? (await trial(sample));
      if (problem === undefined) passed += 1;
      else failed += 1;
      console.log(
        `${problem === undefined ? 'ok  ' : 'FAIL'} ${sample.page}:${sample.line} (${sample.language})`,
      );
      if (problem !== undefined) console.log(problem.replaceAll(/^/gm, '     '));
    }
  }),
);
await servers.close();
rmSync(WORK, { recursive: true, force: true });
console.log(`samples: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

/** Fenced blocks in a language that can run. */
function* samplesOf(page) {
  const markdown = readFileSync(join(ROOT, page), 'utf8');
  for (const match of markdown.matchAll(/^```(js|ts|rust)\n([\s\S]*?)^```$/gm)) {
    const line = markdown.slice(0, match.index).split('\n').length;
    const name = `${page.replaceAll(/\W/g, '-')}-${line}`;
    yield { page, line, language: match[1], text: match[2], file: join(WORK, `${name}.mts`) };
  }
}

/** The folder in which samples are compiled and run. */
function prepare() {
  rmSync(WORK, { recursive: true, force: true });
  const modules = join(WORK, 'node_modules');
  const link = (name, target) => {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(target, join(modules, name), 'junction');
  };
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'docs', 'package.json'), 'utf8'));
  for (const name of Object.keys(devDependencies)) {
    if (name !== 'typescript') link(name, join(ROOT, 'docs', 'node_modules', name));
  }
  for (const [name, own] of Object.entries(ALIASES)) link(name, join(PACKAGE, 'node_modules', own));
  const pems = {
    'ca.pem': 'ca.pem',
    'client-cert.pem': 'localhost-cert.pem',
    'client-key.pem': 'localhost-key.pem',
  };
  for (const [name, fixture] of Object.entries(pems))
    cpSync(join(FIXTURES, fixture), join(WORK, name));
  for (const { file, text } of scripts) writeFileSync(file, text);
}

/** What TypeScript complains about, by sample. */
function typeProblems() {
  const program = ts.createProgram(
    scripts.map(({ file }) => file),
    {
      strict: true,
      noEmit: true,
      experimentalDecorators: true,
      module: ts.ModuleKind.Node16,
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
      typeRoots: [join(PACKAGE, 'node_modules', '@types')],
      types: ['node'],
      skipLibCheck: true,
    },
  );
  const found = new Map();
  for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    const sample = scripts.find((one) => one.file === file?.fileName);
    if (sample === undefined) throw new Error(`${file?.fileName}: ${text}`);
    const line = file.getLineAndCharacterOfPosition(start).line + sample.line + 1;
    found.set(sample, `${found.get(sample) ?? ''}line ${line}: ${text}\n`);
  }
  return found;
}

/** What goes wrong when the sample runs, or undefined. */
async function trial(sample) {
  if (sample.language === 'rust') return tryRust(sample);
  let text = await servers.localize(sample.text);
  const port = SERVER.test(text) ? await freePort() : undefined;
  if (port !== undefined) text = text.replace(SERVER, String(port));
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      experimentalDecorators: true,
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
    },
  });
  const file = sample.file.replace(/\.mts$/, '.mjs');
  writeFileSync(file, outputText);
  const env = { ...process.env, NODE_OPTIONS: '', NODE_EXTRA_CA_CERTS: join(WORK, 'ca.pem') };
  return run(node, [file], { cwd: WORK, env, port, prints: text.includes('console.log(') });
}

async function freePort() {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function tryRust({ page, text }) {
  const named = /^\/\/ (crates\/dodici\/examples\/(\w+)\.rs)\n/.exec(text);
  if (named === null)
    return isInDoctests(page)
      ? undefined
      : 'names no example, nor is its page in a crate’s doctests';
  const [first, path, example] = named;
  const file = join(ROOT, path);
  if (!existsSync(file)) return `${path} does not exist`;
  if (!readFileSync(file, 'utf8').includes(text.slice(first.length))) return `differs from ${path}`;
  // With the features of the other steps of `just test`, so that nothing is compiled again.
  const features = ['--workspace', '--features', 'dodici-reqwest/hickory-dns'];
  const failure = await run('cargo', ['build', '--quiet', ...features, '--example', example], {
    limit: Infinity,
  });
  const built = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug', 'examples');
  return failure ?? run(join(built, example), [await servers.localize('http://www.example.com/')]);
}

/** Whether a crate's doctests include the page; `just test` runs them all. */
function isInDoctests(page) {
  const crates = readdirSync(join(ROOT, 'crates')).map((name) =>
    join(ROOT, 'crates', name, 'src', 'lib.rs'),
  );
  return crates.some(
    (file) =>
      existsSync(file) && readFileSync(file, 'utf8').includes(`include_str!("../../../${page}")`),
  );
}

/** What went wrong, or undefined. A program with a `port` is a server. */
async function run(
  program,
  args,
  { cwd = ROOT, env = process.env, limit = LIMIT_MS, port, prints = false } = {},
) {
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  }
  const timer = limit === Infinity ? undefined : setTimeout(() => child.kill('SIGKILL'), limit);
  const closed = once(child, 'close');
  const answer = port && (await visit(port, child));
  if (port) child.kill();
  const [code, signal] = await closed;
  clearTimeout(timer);
  const isRight = port ? answer === 200 : code === 0 && (!prints || output.stdout !== '');
  if (isRight && output.stderr === '') return undefined;
  const end = port ? `GET / was answered with ${answer}` : `ended with ${signal ?? `code ${code}`}`;
  return `${output.stdout}${output.stderr}`.trimEnd() + `\n${end}`;
}

/** The status with which a server answers `GET /`, once it listens. */
async function visit(port, child) {
  while (child.exitCode === null && child.signalCode === null) {
    try {
      return (await fetch(`http://localhost:${port}/`)).status;
    } catch {
      await sleep(50);
    }
  }
  return undefined;
}
