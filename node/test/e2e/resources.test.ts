// Exhausted system resources, and stopped servers: errors with a code, and recovery as soon as
// resources are available again.

import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { afterEach, describe, expect, it } from 'vitest';

import { Pool } from '../../src/index';
import { built } from '../support/child';
import { httpOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

describe.runIf(process.platform === 'linux')('r23 a process without file descriptors', () => {
  const program = `
    const { openSync, closeSync } = require('node:fs');
    const { Pool } = require(${JSON.stringify(built)});
    const pool = new Pool(process.argv[1], { connections: 4 });
    const get = () =>
      pool.request({ path: '/', method: 'GET' }).then(({ body }) => body.text(), (error) => error.code);
    void (async () => {
      const before = await get();
      // No idle connection may serve what follows.
      await pool.destroy();
      const fresh = new Pool(process.argv[1], { connections: 4 });
      const ask = () =>
        fresh.request({ path: '/', method: 'GET' }).then(({ body }) => body.text(), (error) => error.code);
      const taken = [];
      try {
        for (;;) taken.push(openSync('/dev/null'));
      } catch (error) {
        if (error.code !== 'EMFILE') throw error;
      }
      const without = await Promise.all([ask(), ask(), ask()]);
      for (const file of taken) closeSync(file);
      const after = await ask();
      await fresh.close();
      console.log(JSON.stringify({ before, without, after }));
    })();`;

  it('fails with EMFILE, and works as soon as descriptors are available', async () => {
    const origin = await httpOrigin((_request, response) => response.end('ok'));
    cleanup.add(() => origin.close());
    const out = await new Promise<string>((resolve, reject) =>
      execFile(
        '/bin/sh',
        ['-c', 'ulimit -n 200; exec "$0" -e "$1" "$2"', process.execPath, program, origin.url],
        { encoding: 'utf8' },
        (error, stdout, stderr) =>
          error ? reject(new Error(`${error.message}\n${stderr}`)) : resolve(stdout),
      ),
    );
    expect(JSON.parse(out)).toEqual({
      before: 'ok',
      without: ['EMFILE', 'EMFILE', 'EMFILE'],
      after: 'ok',
    });
  });
});

describe('r4 a server that is restarted repeatedly under load', () => {
  const file = fileURLToPath(new URL('../support/restarting-server.mjs', import.meta.url));
  const ROUNDS = 3;

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'by %s: no POST runs twice, and no GET fails where it may end in order',
    async (signal) => {
      const server = fork(file, { execArgv: [] });
      cleanup.add(() => void server.kill('SIGKILL'));
      const [{ port }] = (await once(server, 'message')) as [{ port: number }];
      const executed: string[] = [];
      let restarts = 0;
      let looked = () => {};
      server.on('message', (message: { executed?: string; restarted?: true }) => {
        if (message.executed !== undefined) executed.push(message.executed);
        if (message.restarted) restarts++;
        looked();
      });
      const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 8 });
      cleanup.add(() => pool.destroy());

      const failed: { method: string; id: string; code: string }[] = [];
      let next = 0;
      let answered = 0;
      const lane = async () => {
        while (restarts < ROUNDS) {
          const id = String(next++);
          const method = next % 3 === 0 ? 'POST' : 'GET';
          const body = method === 'POST' ? id : null;
          try {
            const response = await pool.request({ path: `/${id}`, method, body });
            expect(await response.body.text()).toBe(id);
            answered++;
            looked();
          } catch (error) {
            failed.push({ method, id, code: (error as { code: string }).code });
          }
        }
      };
      const until = (met: () => boolean) =>
        new Promise<void>((resolve) => {
          looked = () => {
            if (met()) resolve();
          };
        });
      const restart = async () => {
        for (let round = 1; round <= ROUNDS; round++) {
          const goal = answered + 200;
          await until(() => answered >= goal);
          server.send({ restart: signal });
          await until(() => restarts === round);
        }
      };
      await Promise.all([restart(), ...Array.from({ length: 16 }, lane)]);

      expect(executed).toHaveLength(new Set(executed).size);
      if (signal === 'SIGTERM') expect(failed).toEqual([]);
      // A server that is killed loses the requests that it has accepted and not answered.
      for (const { code } of failed) expect(code).toMatch(/^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/);
      expect(answered).toBeGreaterThan(ROUNDS * 200);
    },
    120_000,
  );
});
