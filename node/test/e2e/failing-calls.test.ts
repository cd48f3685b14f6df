// R15: each system call that the addon makes fails once, one after the other, while requests are
// made: plain and over TLS, with bodies in both directions. Each failure is an error with a code
// or has no effect; nothing crashes or hangs, and the next request succeeds.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, expect, it } from 'vitest';

import { built } from '../support/child';
import { ca, httpOrigin, httpsOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const source = fileURLToPath(new URL('../support/fail-nth.c', import.meta.url));
const hasCompiler =
  process.platform === 'linux' && spawnSync('cc', ['--version'], { stdio: 'ignore' }).status === 0;

/** The child's script; `argv` is the file of the countdown, the origins and their CA. */
const program = `
  const { readFileSync, writeFileSync, openSync, writeSync, readSync } = require('node:fs');
  const dodici = require(${JSON.stringify(built)});
  const [path, plain, secure, ca] = process.argv.slice(1);
  const file = openSync(path, 'r+');
  const number = new Int32Array(1);
  const arm = (n) => { number[0] = n; writeSync(file, number, 0, 4, 0); };
  const left = () => { readSync(file, number, 0, 4, 0); return number[0]; };
  const kinds = [
    () => ({ path: '/', method: 'GET' }),
    () => ({ path: '/', method: 'POST', body: 'x'.repeat(100_000) }),
    () => ({ path: '/', method: 'POST', body: (async function* () { yield 'a'; yield 'b'; })() }),
  ];
  const make = (origin) => new dodici.Pool(origin, {
    connections: 1, headersTimeout: 20_000, bodyTimeout: 20_000, connect: { ca, timeout: 20_000 },
  });
  const ask = (pool, kind) => pool.request(kind()).then(({ body }) => body.text(), (error) => error);
  (async () => {
    const problems = [];
    let failures = 0;
    // The threads of the addon are started once.
    const warm = make(plain);
    await ask(warm, kinds[0]);
    await warm.destroy();
    for (const origin of [plain, secure]) {
      for (let n = 1; ; n++) {
        const pool = make(origin);
        arm(n);
        for (const kind of kinds) {
          const answer = await ask(pool, kind);
          if (answer === 'ok') continue;
          failures++;
          if (typeof answer.code !== 'string' || /TIMEOUT/.test(answer.code)) {
            problems.push(n + ': ' + answer.code + ' ' + answer.message);
          }
        }
        const unused = left() > 0;
        arm(0);
        const after = await ask(pool, kinds[0]);
        if (after !== 'ok') problems.push('after ' + n + ': ' + after.message);
        await pool.destroy();
        if (unused) break;
      }
    }
    console.log(JSON.stringify({ problems, failures }));
  })();`;

it.runIf(hasCompiler)(
  'r15 each system call that fails is an error or does no harm, and the next request is served',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dodici-'));
    cleanup.add(() => rmSync(folder, { recursive: true }));
    const library = join(folder, 'fail-nth.so');
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl']);
    const countdown = join(folder, 'countdown');
    writeFileSync(countdown, Buffer.alloc(4));
    const plain = await httpOrigin((request, response) =>
      request.resume().once('end', () => response.end('ok')),
    );
    const secure = await httpsOrigin((request, response) =>
      request.resume().once('end', () => response.end('ok')),
    );
    cleanup.add(() => plain.close());
    cleanup.add(() => secure.close());
    const { execFile } = await import('node:child_process');
    const out = await new Promise<string>((resolve, reject) =>
      execFile(
        process.execPath,
        ['-e', program, countdown, plain.url, secure.url, ca.toString()],
        { encoding: 'utf8', env: { ...process.env, LD_PRELOAD: library, FAIL_NTH: countdown } },
        (error, stdout, stderr) =>
          error ? reject(new Error(`${error.message.slice(-500)}\n${stderr}`)) : resolve(stdout),
      ),
    );
    const { problems, failures } = JSON.parse(out) as { problems: string[]; failures: number };
    expect(problems).toEqual([]);
    expect(failures).toBeGreaterThan(10);
  },
  180_000,
);
