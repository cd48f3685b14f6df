// The gates of `just soak` with few repetitions; bench/soak/gates.mjs says what they prove and
// does the work. Each runs in a separate process, because it measures memory and files.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

const soak = fileURLToPath(new URL('../../../bench/soak.mjs', import.meta.url));

interface Result {
  readonly seed: number;
  readonly problems: string[];
  readonly figures: Record<string, number>;
}

function run(gate: string): Promise<Result> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      ['--expose-gc', soak, gate, '--short', '--json'],
      { encoding: 'utf8' },
      (error, stdout, stderr) => {
        try {
          resolve(JSON.parse(stdout) as Result);
        } catch {
          reject(new Error(`${gate}: ${error?.message ?? ''}\n${stderr}${stdout}`));
        }
      },
    );
  });
}

const promises: Record<string, string> = {
  crowd: 'r9 hundreds of concurrent requests all succeed, over few connections and over many',
  origins: 's14 5,000 origins, each once, leave no pool, no socket and no memory',
  race: 'r5 a server that closes just at reuse costs no GET, and executes no POST twice',
  poison: 'r6 an unsolicited response is delivered to no request',
  aborts: 'r10 aborts in every phase leave nothing, and nothing comes late',
  garbage: 'r13 dropped bodies, dispatchers and handlers are collected',
  fetches: 'r10 fetches with random aborts and unread bodies settle, and leave nothing behind',
  timeouts: 'r16 timeouts are right, however long the JavaScript thread is blocked',
  backpressure: 'r17 a reader that pauses again and again needs no memory',
};

// All of them check r1, exactly one end per request.
describe('reliability', () => {
  it.each(Object.entries(promises).map(([gate, promise]) => [promise, gate] as const))(
    '%s',
    async (_promise, gate) => {
      const { problems, seed } = await run(gate);
      expect({ problems, seed }).toEqual({ problems: [], seed });
    },
    120_000,
  );

  it('r8 memory, connections and counters return to their starting values after mixed traffic', async () => {
    const args = ['--expose-gc', soak, 'mixed', '--minutes', '0.1'];
    await new Promise<void>((resolve, reject) => {
      execFile(process.execPath, args, { encoding: 'utf8' }, (error, stdout, stderr) => {
        if (error) reject(new Error(`${error.message}\n${stderr}${stdout}`));
        else resolve();
      });
    });
  }, 120_000);

  it('names every gate', async () => {
    const help = await new Promise<string>((resolve) =>
      execFile(process.execPath, [soak, '--help'], { encoding: 'utf8' }, (_error, out) =>
        resolve(out),
      ),
    );
    const named = [...help.matchAll(/^ {2}(\w+) +\S.* \([\d,]+\)$/gm)].map(([, name]) => name);
    expect(named).toEqual(Object.keys(promises));
  });
});
