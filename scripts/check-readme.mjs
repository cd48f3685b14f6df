// Runs every snippet of README.md.
//
// - A `js` or `ts` block is a complete program. It runs on this Node, in node/, where 'dodici' is
//   the package itself, with every example.com origin replaced by a server on this machine.
// - A `rust` block is the text of an example below crates/dodici/examples, which it names in its
//   first line; the example runs against the same server.
//
// `just test` calls it. It prints one line for each snippet and `snippets: N passed, N failed`.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** In the package, so that 'dodici' resolves to it; ignored by git like everything built. */
const WORK = join(ROOT, 'node', 'dist', '.readme');
/** A snippet that runs longer hangs. */
const LIMIT_MS = 60_000;

const server = createServer((request, response) => {
  // The response for the snippets: JSON that echoes the request, after an early hint, with a trailer.
  let bytes = 0;
  request.on('data', (chunk) => (bytes += chunk.length));
  request.on('end', () => {
    const { method, url } = request;
    response.writeEarlyHints({ link: '</app.js>; rel=preload; as=script' });
    response.writeHead(200, { 'Content-Type': 'application/json', Trailer: 'X-Checksum' });
    response.write(JSON.stringify({ method, url, bytes }));
    response.addTrailers({ 'X-Checksum': 'b10a8db1' });
    response.end();
  });
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const origin = `http://127.0.0.1:${server.address().port}`;

let passed = 0;
let failed = 0;
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
rmSync(WORK, { recursive: true, force: true });
mkdirSync(WORK, { recursive: true });
for (const snippet of snippets(readme)) {
  const name = `README.md:${snippet.line} (${snippet.language})`;
  const problem = snippet.language === 'rust' ? await runRust(snippet) : await runScript(snippet);
  report(name, problem);
}
server.close();
server.closeAllConnections();
rmSync(WORK, { recursive: true, force: true });
console.log(`snippets: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

function report(name, problem) {
  if (problem === undefined) passed++;
  else failed++;
  console.log(`${problem === undefined ? 'ok  ' : 'FAIL'} ${name}`);
  if (problem !== undefined) console.log(problem.replaceAll(/^/gm, '     '));
}

/** Fenced blocks in a language that can run. @param {string} markdown */
function* snippets(markdown) {
  const fence = /^```(js|ts|rust)\n([\s\S]*?)^```$/gm;
  for (const match of markdown.matchAll(fence)) {
    const line = markdown.slice(0, match.index).split('\n').length;
    yield { language: match[1], text: match[2], line };
  }
}

async function runScript({ language, text, line }) {
  const local = text.replaceAll(/https?:\/\/(?:[a-z-]+\.)*example\.com(?=[/'"`])/g, origin);
  if (local === text) return 'names no example.com origin, so it would leave this machine';
  const file = join(WORK, `line-${line}.mjs`);
  writeFileSync(file, language === 'ts' ? withoutTypes(local) : local);
  const attempt = () => run(process.execPath, [...process.execArgv, file]);
  const problem = await attempt();
  if (!problem?.endsWith('ended with code 13')) return problem;
  // A known fault: sometimes Node 20 exits although its built-in fetch waits for a response. Until
  // it is fixed, the snippet is run again, and the log says so.
  console.log(`again README.md:${line}: ${problem.trim()}`);
  return attempt();
}

/** @param {string} text */
function withoutTypes(text) {
  const typescript = createRequire(join(ROOT, 'node', 'package.json'))('typescript');
  const { outputText } = typescript.transpileModule(text, {
    compilerOptions: {
      module: typescript.ModuleKind.ESNext,
      target: typescript.ScriptTarget.ES2022,
    },
  });
  return outputText;
}

async function runRust({ text }) {
  const named = /^\/\/ (crates\/dodici\/examples\/(\w+)\.rs)\n/.exec(text);
  if (named === null) return 'does not name its example in the first line';
  const [first, path, example] = named;
  const file = join(ROOT, path);
  if (!existsSync(file)) return `${path} does not exist`;
  if (!readFileSync(file, 'utf8').includes(text.slice(first.length))) {
    return `differs from ${path}`;
  }
  // With the features of the other steps of `just test`, so that nothing is compiled again.
  const features = ['--workspace', '--features', 'dodici-reqwest/hickory-dns'];
  const failure = await run('cargo', ['build', '--quiet', ...features, '--example', example]);
  const built = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug', 'examples');
  return failure ?? run(join(built, example), [`${origin}/`]);
}

/** What went wrong, or undefined. */
async function run(program, args) {
  const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  }
  // Compiling an example may take long on a fresh clone; running one may not.
  const limit = program === 'cargo' ? undefined : setTimeout(() => child.kill(), LIMIT_MS);
  const [code, signal] = await once(child, 'close');
  clearTimeout(limit);
  return code === 0 ? undefined : `${output.trimEnd()}\nended with ${signal ?? `code ${code}`}`;
}
