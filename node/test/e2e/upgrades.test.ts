// The byte stream of an upgrade or CONNECT, and its end.

import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { afterEach, describe, expect, it } from 'vitest';

import { Client } from '../../src/index';
import { rawOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n';
const MB = 1024 * 1024;

/** A client's stream to a server that switches protocols and then runs a script. */
async function upgraded(act: (socket: Socket) => void): Promise<Duplex> {
  const origin = await rawOrigin((socket) => {
    socket.once('data', () => {
      socket.write(SWITCH);
      act(socket);
    });
  });
  cleanup.add(() => origin.close());
  const client = new Client(origin.url);
  cleanup.add(() => client.destroy());
  const { socket } = await client.upgrade({ path: '/', protocol: 'x' });
  return socket;
}

/** Bytes that the server has read until the end. */
function received(): { count: Promise<number>; read: (socket: Socket) => void } {
  let told: (count: number) => void;
  const count = new Promise<number>((resolve) => (told = resolve));
  let sum = 0;
  const read = (socket: Socket): void => {
    socket.on('data', (chunk) => (sum += chunk.length)).on('end', () => told(sum));
  };
  return { count, read };
}

describe('an upgraded stream', () => {
  it('still writes everything after the server has ended its side', async () => {
    const { count, read } = received();
    const stream = await upgraded((socket) => {
      read(socket);
      socket.end('bye');
    });
    const chunks: string[] = [];
    stream.on('data', (chunk) => chunks.push(String(chunk)));
    stream.write(Buffer.alloc(4 * MB));
    stream.write(Buffer.alloc(4 * MB));
    await once(stream, 'close');
    expect(chunks.join('')).toBe('bye');
    expect(stream.writableFinished).toBe(true);
    expect(await count).toBe(8 * MB);
  });

  it('closes when the server has ended its side and there is nothing to write', async () => {
    const stream = await upgraded((socket) => socket.end());
    const end = once(stream.resume(), 'end');
    await once(stream, 'close');
    await end;
  });

  it('ends its side first, and closes when the server does', async () => {
    const { count, read } = received();
    const stream = await upgraded((socket) => {
      read(socket);
      socket.on('end', () => socket.end('last words'));
    });
    const chunks: string[] = [];
    stream.on('data', (chunk) => chunks.push(String(chunk)));
    stream.end(Buffer.alloc(3 * MB));
    await once(stream, 'close');
    expect(await count).toBe(3 * MB);
    expect(chunks.join('')).toBe('last words');
  });

  it('fails when the server resets while there is something to write', async () => {
    const stream = await upgraded((socket) => {
      socket.pause();
      setImmediate(() => socket.resetAndDestroy());
    });
    stream.write(Buffer.alloc(8 * MB));
    const [error] = (await once(stream, 'error')) as [NodeJS.ErrnoException];
    expect(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']).toContain(error.code);
  });

  it('says on closing whether that was an error, like a socket', async () => {
    const closed = (stream: Duplex) =>
      new Promise((resolve) => stream.once('close', (...values: unknown[]) => resolve(values)));
    const ended = closed((await upgraded((socket) => socket.end())).resume());
    expect(await ended).toEqual([false]);
    expect(await closed((await upgraded(() => {})).destroy())).toEqual([false]);
    const failed = await upgraded(() => {});
    const told: unknown[] = [];
    failed.on('error', (error: Error) => told.push(error.message));
    failed.on('close', (...values: unknown[]) => told.push(values));
    await closed(failed.destroy(new Error('enough')));
    expect(told).toEqual(['enough', [true]]);
  });

  it('applies backpressure to a server whose bytes are not read, and writes meanwhile', async () => {
    const { count, read } = received();
    let server: Socket | undefined;
    const stream = await upgraded((socket) => {
      server = socket;
      read(socket);
      socket.write(Buffer.alloc(64 * MB));
    });
    await new Promise<void>((resolve) => stream.write(Buffer.alloc(2 * MB), () => resolve()));
    expect(server!.writableLength).toBeGreaterThan(0);
    stream.end();
    expect(await count).toBe(2 * MB);
    stream.destroy();
  });
});
