// S14: what an Agent keeps of origins that it will never see again.

import * as http from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, it } from 'vitest';

import { Agent } from '../../src/index';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

it('s14 an Agent forgets origins whose connections are gone', async () => {
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
