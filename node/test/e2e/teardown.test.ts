// The end of workers and processes with requests in every phase: no crash, the expected exit code,
// nothing on standard error, nothing left behind.
//
// The whole matrix runs on one Node, a short form of it on the others; DODICI_TEARDOWN=full or
// short decides otherwise, and soak, which `just soak teardown` asks for, is more of everything. 500 more workers are terminated in node/native/tests, without the
// package around the addon.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { openTargets } from '../teardown/targets.mjs';
import { phases, seenByServer } from '../teardown/phases.mjs';

const form =
  process.env['DODICI_TEARDOWN'] ?? (process.versions.node.startsWith('24.') ? 'full' : 'short');
const WORKERS_PER_PROCESS = { soak: 1000, full: 250 }[form] ?? 40;
const EXITS = { soak: 1400, full: 210 }[form] ?? 35;
/** Processes at a time. */
const PARALLEL = 3;

/** Progress of the long form. */
const say = (line: string): void => {
  if (form === 'soak') console.log(`  ${line}`);
};

const script = (name: string) => fileURLToPath(new URL(`../teardown/${name}`, import.meta.url));

interface Ended {
  code: number | null;
  signal: string | null;
  out: string;
  err: string;
}

/** Runs a script to its end. `started` gets the child, to send it messages. */
async function run(
  name: string,
  args: string[],
  started: (tell: () => void) => void = () => {},
): Promise<Ended> {
  const child = fork(script(name), args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  child.on('message', (line) => say(String(line)));
  started(() => child.connected && child.send('reached', () => {}));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, out, err };
}

describe('r12: terminated workers leave no thread, file or connection, and affect nothing else', () => {
  it.concurrent.each([
    ['next to a main thread with its own requests', 'yes'],
    ['where the main thread never loaded the addon', 'no'],
  ])(
    '%s',
    async (where, uses) => {
      const { out, ...ended } = await run('workers.mjs', [String(WORKERS_PER_PROCESS), uses]);
      expect(ended).toEqual({ code: 0, signal: null, err: '' });
      const each = WORKERS_PER_PROCESS / phases.length;
      say(`${where}: terminated ${out.trim()}`);
      expect(JSON.parse(out)).toEqual(Object.fromEntries(phases.map((phase) => [phase, each])));
    },
    1_800_000,
  );
});

describe('r11: a process with requests in flight', () => {
  const waiting = new Map<string, () => void>();
  let targets: Awaited<ReturnType<typeof openTargets>>;
  let nextId = 0;

  beforeAll(async () => {
    targets = await openTargets((id) => waiting.get(id)?.(), PARALLEL);
  });
  afterAll(() => targets.close());

  const quiet = { signal: null, err: '' };
  const ways: Record<string, (ended: Ended) => void> = {
    'process.exit': (ended) => expect(ended).toMatchObject({ code: 7, ...quiet }),
    'an uncaught exception'({ err, ...ended }) {
      expect(ended).toMatchObject({ code: 1, signal: null });
      expect(err).toMatch(/^\S*exits\.mjs:\d+\n[\s\S]*Error: bye\n( {4}at .*\n)+\nNode\.js v.*\n$/);
    },
    'a handled uncaught exception': (ended) => expect(ended).toMatchObject({ code: 5, ...quiet }),
    SIGTERM: (ended) => expect(ended).toMatchObject({ code: null, signal: 'SIGTERM', err: '' }),
    'a handled SIGTERM': (ended) => expect(ended).toMatchObject({ code: 9, ...quiet }),
    beforeExit: (ended) => expect(ended).toMatchObject({ code: 6, ...quiet }),
    'a natural end': (ended) => expect(ended).toMatchObject({ code: 0, ...quiet }),
  };
  const names = Object.keys(ways);
  const matrix = phases.flatMap((_, shift) =>
    // Diagonals, so that even the short form covers every phase and every way to end.
    names.map((how, index) => [phases[(index + shift) % phases.length] as string, how] as const),
  );

  it('exits as asked, whatever phase they are in', async () => {
    let next = 0;
    let all = 0;
    const seen: Record<string, number> = {};
    const exit = async (slot: number): Promise<void> => {
      while (next < EXITS) {
        const [phase, how] = matrix[next++ % matrix.length] as (typeof matrix)[number];
        const id = phase === 'TLS handshake' ? String(slot) : String(PARALLEL + nextId++);
        const place = JSON.stringify({ ...targets.urls, id, slot });
        const ended = await run('exits.mjs', [phase, how, place], (tell) => {
          if (seenByServer.includes(phase)) waiting.set(id, tell);
        });
        waiting.delete(id);
        try {
          (ways[how] as (ended: Ended) => void)(ended);
        } catch (cause) {
          throw new Error(`${how} in the phase "${phase}"`, { cause });
        }
        seen[how] = (seen[how] ?? 0) + 1;
        if (++all % 100 === 0) say(`${all} of ${EXITS} processes`);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, (_, slot) => exit(slot)));
    say(`ended: ${JSON.stringify(seen)}`);
    expect(seen).toEqual(Object.fromEntries(names.map((how) => [how, EXITS / names.length])));
  }, 1_800_000);
});
