// S34: a reader that stops also stops the server.

import type { Socket } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import { Client, fetch, Pool } from '../../src/index';
import { PIECE_OVERHEAD, WINDOW } from '../../src/wire/generated';
import { rawOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const BLOCK = Buffer.alloc(64 * 1024, 'x');
/** What a connection may hold beyond the window: one read of the socket. */
const SLACK = 64 * 1024;

/** An origin with an endless body, and the moment when no more of it is read. */
async function endless(head: string, frame: (block: Buffer) => Buffer = (block) => block) {
  const sockets: Socket[] = [];
  const block = frame(BLOCK);
  const origin = await rawOrigin((socket) => {
    socket.once('data', () => {
      sockets.push(socket);
      socket.write(head);
      const fill = (): void => {
        while (!socket.destroyed && socket.write(block)) continue;
      };
      socket.on('drain', fill);
      fill();
    });
  });
  cleanup.add(() => origin.close());

  /** Resolves when every socket has been unable to write for a while: the kernel's buffers are full too. */
  async function blocked(count: number): Promise<void> {
    let still = 0;
    let before = -1;
    while (still < 15) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const now = sockets.reduce(
        (sum, socket) => sum + socket.bytesWritten - socket.writableLength,
        0,
      );
      const full = sockets.length === count && sockets.every((socket) => socket.writableNeedDrain);
      still = full && now === before ? still + 1 : 0;
      before = now;
    }
  }
  return { origin, blocked };
}

/** Bytes read by each connection of the dispatcher when it closed. */
function bytesRead(dispatcher: Client | Pool): number[] {
  const read: number[] = [];
  dispatcher.on('disconnect', ((...[, , , info]: any[]) => read.push(info.bytesRead)) as never);
  return read;
}

const length = 'HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n';
const shapes = {
  'with a length': () => endless(length),
  'in chunks': () =>
    endless('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', (block) =>
      Buffer.concat([Buffer.from(`${block.length.toString(16)}\r\n`), block, Buffer.from('\r\n')]),
    ),
  'until the close': () => endless('HTTP/1.1 200 OK\r\n\r\n'),
};

/** Bytes that show how a body is delivered. */
const ENOUGH = 1_000;

/** A request that pauses at its head, and what it gets after it resumes, until it has enough. */
function stopped(client: Client) {
  const seen = {
    chunks: 0,
    bytes: 0,
    resume: (): void => undefined,
    enough: (): void => undefined,
  };
  const enough = new Promise<void>((resolve) => (seen.enough = resolve));
  const head = new Promise<void>((resolve, reject) => {
    client.dispatch(
      { path: '/', method: 'GET' },
      {
        onRequestStart: () => undefined,
        onResponseStart(controller) {
          controller.pause();
          seen.resume = () => controller.resume();
          resolve();
        },
        onResponseData(controller, chunk) {
          seen.chunks++;
          seen.bytes += chunk.length;
          // Pauses again, so that only what was buffered is counted, however fast the server is.
          if (seen.bytes > ENOUGH) {
            controller.pause();
            seen.enough();
          }
        },
        onResponseEnd: () => undefined,
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
  return { seen, head, enough };
}

describe('s34 a body in chunks of one byte', () => {
  const CHUNK = '1\r\na\r\n';
  const HEAD = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';

  it('is delivered in as many pieces as there were reads, to a reader that stopped and continues', async () => {
    const { origin, blocked } = await endless(HEAD, () => Buffer.from(CHUNK.repeat(10_000)));
    const client = new Client(origin.url);
    cleanup.add(() => client.destroy());
    const { seen, head, enough } = stopped(client);
    head.catch(() => undefined);
    await head;
    await blocked(1);
    seen.resume();
    await enough;
    expect(seen.bytes + seen.chunks * PIECE_OVERHEAD).toBeLessThanOrEqual(WINDOW + SLACK);
    expect(seen.chunks).toBeLessThanOrEqual(seen.bytes / 100);
  });
});

describe('s34 a reader that stops', () => {
  for (const [shape, make] of Object.entries(shapes)) {
    it(`by pause() causes at most one window to be read: body ${shape}`, async () => {
      const { origin, blocked } = await make();
      const client = new Client(origin.url);
      cleanup.add(() => client.destroy());
      const read = bytesRead(client);
      let delivered = 0;
      client.dispatch(
        { path: '/', method: 'GET' },
        {
          onRequestStart() {},
          onResponseStart() {},
          onResponseData(controller, chunk) {
            delivered += chunk.length;
            controller.pause();
          },
          onResponseEnd() {},
          onResponseError() {},
        },
      );
      await blocked(1);
      await client.destroy();
      expect(delivered).toBeGreaterThan(0);
      expect(read).toHaveLength(1);
      expect(read[0]).toBeGreaterThanOrEqual(delivered);
      expect(read[0]).toBeLessThanOrEqual(WINDOW + SLACK);
    });

    it(`by not reading request()'s body causes a few windows to be read: body ${shape}`, async () => {
      const { origin, blocked } = await make();
      const client = new Client(origin.url);
      cleanup.add(() => client.destroy());
      const read = bytesRead(client);
      const { body } = await client.request({ path: '/', method: 'GET' });
      body.on('error', () => {});
      await blocked(1);
      await client.destroy();
      expect(read[0]).toBeGreaterThan(0);
      // The body is a stream, which buffers up to its high-water mark and the chunk that exceeds it.
      expect(read[0]).toBeLessThanOrEqual(2 * WINDOW + SLACK);
    });
  }

  it('does not affect other requests of the pool', async () => {
    const { origin, blocked } = await endless(length);
    const pool = new Pool(origin.url);
    cleanup.add(() => pool.destroy());
    const read = bytesRead(pool);
    for (let i = 0; i < 4; i++) {
      pool.dispatch(
        { path: '/', method: 'GET' },
        {
          onRequestStart() {},
          onResponseStart(controller) {
            controller.pause();
          },
          onResponseData() {
            throw new Error('delivered to a paused handler');
          },
          onResponseEnd() {},
          onResponseError() {},
        },
      );
    }
    await blocked(4);
    let got = 0;
    const running = new AbortController();
    const { body } = await pool.request({ path: '/', method: 'GET', signal: running.signal });
    await expect(
      (async () => {
        for await (const chunk of body) {
          got += (chunk as Buffer).length;
          if (got > 20 * WINDOW) running.abort(new Error('enough'));
        }
      })(),
    ).rejects.toThrow('enough');
    await pool.destroy();
    const stopped = read.filter((bytes) => bytes <= WINDOW + SLACK);
    expect(stopped).toHaveLength(4);
  });

  it('of a fetch stops the server, too', async () => {
    const { origin, blocked } = await endless(length);
    const client = new Client(origin.url);
    cleanup.add(() => client.destroy());
    const read = bytesRead(client);
    const response = await fetch(origin.url, { dispatcher: client });
    const reader = response.body!.getReader();
    await reader.read();
    await blocked(1);
    await reader.cancel().catch(() => {});
    await client.destroy();
    expect(read[0]).toBeLessThanOrEqual(2 * WINDOW + SLACK);
  });
});
