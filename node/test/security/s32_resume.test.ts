// S32: a response that broke off and is resumed never becomes a mixture of two.

import { afterEach, expect, it } from 'vitest';

import { Agent, interceptors } from '../../src/index';
import { rawOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** The first answer has ten bytes and breaks off after five; `second` is the answer to the next. */
async function resumed(second: string): Promise<string> {
  let answers = 0;
  const origin = await rawOrigin((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      if (answers++ > 0) {
        expect(bytes.toString().toLowerCase()).toContain('\r\nrange: bytes=5-9\r\n');
        socket.end(second);
        return;
      }
      socket.write('HTTP/1.1 200 OK\r\netag: "a"\r\ncontent-length: 10\r\n\r\nAAAAA');
      setImmediate(() => socket.destroy());
    });
  });
  cleanup.add(() => origin.close());
  const agent = new Agent();
  cleanup.add(() => agent.destroy());
  const retrying = agent.compose(interceptors.retry({ maxRetries: 1, minTimeout: 1 }));
  const { body } = await retrying.request({ origin: origin.url, path: '/', method: 'GET' });
  return body.text();
}

it('s32 the rest of the same representation is appended', async () => {
  expect(
    await resumed(
      'HTTP/1.1 206 Partial Content\r\netag: "a"\r\ncontent-range: bytes 5-9/10\r\ncontent-length: 5\r\n\r\nBBBBB',
    ),
  ).toBe('AAAAABBBBB');
});

it.each([
  ['of another representation', 'etag: "b"\r\ncontent-range: bytes 5-9/10\r\n'],
  ['of another place', 'etag: "a"\r\ncontent-range: bytes 4-8/10\r\n'],
  ['of no known place', 'etag: "a"\r\n'],
])('s32 a part %s is an error', async (_what, fields) => {
  const part = `HTTP/1.1 206 Partial Content\r\n${fields}content-length: 5\r\n\r\nBBBBB`;
  await expect(resumed(part)).rejects.toBeInstanceOf(Error);
});

it('s32 the whole where a part was asked for is an error', async () => {
  await expect(
    resumed('HTTP/1.1 200 OK\r\netag: "a"\r\ncontent-length: 10\r\n\r\nBBBBBBBBBB'),
  ).rejects.toBeInstanceOf(Error);
});
