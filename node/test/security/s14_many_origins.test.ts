// S14: what an Agent keeps of origins that are requested once.

import * as http from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, it } from 'vitest';

import { Agent, Pool } from '../../src/index';
import { httpsOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

it('s14 an Agent drops origins whose connections are gone', async () => {
  const server = http.createServer((_request, response) => {
    response.setHeader('connection', 'close');
    response.end('x');
  });
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  cleanup.add(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  const agent = new Agent();
  cleanup.add(() => agent.destroy());
  let gone = 0;
  const all = 400;
  const allGone = new Promise<void>((resolve) =>
    agent.on('disconnect', () => ++gone === all && resolve()),
  );
  for (let i = 0; i < all; i += 20) {
    await Promise.all(
      Array.from({ length: 20 }, async (_, at) => {
        const origin = `http://127.0.${(i + at) >> 7}.${1 + ((i + at) & 127)}:${port}`;
        const { body } = await agent.request({ origin, path: '/', method: 'GET' });
        await body.text();
      }),
    );
  }
  await allGone;
  await new Promise((resolve) => setImmediate(resolve));
  expect(Object.keys(agent.stats)).toEqual([]);
});

it('s14 a Pool closes its pools for TLS server names beyond 64, and loses no request', async () => {
  const origin = await httpsOrigin((request, response) => {
    response.end((request.socket as { servername?: string }).servername);
  });
  cleanup.add(() => origin.close());
  const pool = new Pool(origin.url, {
    connections: 1000,
    keepAliveTimeout: 600_000,
    connect: { rejectUnauthorized: false },
  });
  cleanup.add(() => pool.destroy());
  let gone = 0;
  const closed = new Promise<void>((resolve) =>
    pool.on('disconnect', () => ++gone === 36 && resolve()),
  );
  const names = Array.from({ length: 100 }, (_, n) => `name-${n}.localhost`);
  const answers = names.map(async (host) => {
    const { body } = await pool.request({ path: '/', method: 'GET', headers: { host } });
    return body.text();
  });
  expect(await Promise.all(answers)).toEqual(names);
  await closed;
  expect(pool.stats.connected).toBe(64);
});
