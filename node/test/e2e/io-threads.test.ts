// More than one I/O thread: each has its own submissions.

import * as http from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, it } from 'vitest';

import { Agent } from '../../src/index';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Echoes every body. */
async function echo(): Promise<string> {
  const server = http.createServer((request, response) => {
    request.pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it('bodies for different threads never share memory', async () => {
  const agent = new Agent({ ioThreads: 3 });
  cleanup.add(() => agent.destroy());
  const origins = await Promise.all([echo(), echo(), echo()]);
  const post = async (origin: string, size: number, fill: string): Promise<void> => {
    const sent = Buffer.alloc(size, fill);
    const { body } = await agent.request({ origin, path: '/', method: 'POST', body: sent });
    const got = Buffer.from(await body.arrayBuffer());
    expect(got.equals(sent), `${got.length} bytes of ${fill}`).toBe(true);
  };
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      origins.flatMap((origin, at) =>
        // Small ones between large ones, so that submissions use every kind of memory.
        [40_000, 100, 20_000, 9_000, 60_000].map((size, n) =>
          post(origin, size, String.fromCharCode(97 + at * 5 + n)),
        ),
      ),
    );
  }
});
