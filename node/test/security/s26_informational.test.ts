// S26 and S27: informational responses without end, and switches of protocol that nobody asked for.

import { afterEach, describe, expect, it } from 'vitest';

import { Client, type Dispatcher } from '../../src/index';
import { answer, rawOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const FINAL = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

async function serve(bytes: string) {
  const origin = await rawOrigin(answer(bytes));
  cleanup.add(() => origin.close());
  const client = new Client(origin.url);
  cleanup.add(() => client.destroy());
  return client;
}

/** Statuses that the handler saw, and how the request ended. */
function statuses(client: Client, options: object = {}) {
  return new Promise<{ seen: number[]; error: Error | null }>((resolve) => {
    const seen: number[] = [];
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart() {},
      onResponseStart: (_controller, status) => void seen.push(status),
      onResponseData() {},
      onResponseEnd: () => resolve({ seen, error: null }),
      onResponseError: (_controller, error) => resolve({ seen, error }),
      onRequestUpgrade: (_controller, status, _headers, socket) => {
        socket.on('error', () => {});
        socket.destroy();
        seen.push(status);
        resolve({ seen, error: null });
      },
    };
    client.dispatch({ path: '/', method: 'GET', ...options }, handler);
  });
}

describe('s26 informational responses', () => {
  it('a few of them come before the final one', async () => {
    const client = await serve('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(3) + FINAL);
    expect(await statuses(client)).toEqual({ seen: [103, 103, 103, 200], error: null });
  });

  it('100 000 of them are an error after 64', async () => {
    const client = await serve('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100_000) + FINAL);
    const { seen, error } = await statuses(client);
    expect(error).toBeInstanceOf(Error);
    expect(seen.every((status) => status === 103)).toBe(true);
    expect(seen.length).toBeLessThanOrEqual(64);
  });

  it('large ones are an error when they are 64 KB together', async () => {
    const large = `HTTP/1.1 103 Early Hints\r\nlink: ${'x'.repeat(12 * 1024)}\r\n\r\n`;
    const client = await serve(large.repeat(20) + FINAL);
    const { seen, error } = await statuses(client);
    expect(error).toBeInstanceOf(Error);
    expect(seen.length).toBeLessThanOrEqual(5);
  });
});

describe('s27 a switch of protocols', () => {
  const SWITCH =
    'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nbytes';

  it('that was asked for is one', async () => {
    expect(await statuses(await serve(SWITCH), { upgrade: 'x' })).toEqual({
      seen: [101],
      error: null,
    });
  });

  it.each([
    ['that nobody asked for', SWITCH],
    ['that nobody asked for and that names no protocol', 'HTTP/1.1 101 Switching\r\n\r\n'],
    ['behind an early hint', `HTTP/1.1 103 Early Hints\r\n\r\n${SWITCH}`],
  ])('%s fails the request, and the client goes on', async (_what, bytes) => {
    let first = true;
    const origin = await rawOrigin((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => {
        socket.write(first ? bytes : FINAL);
        first = false;
      });
    });
    cleanup.add(() => origin.close());
    const client = new Client(origin.url);
    cleanup.add(() => client.destroy());
    const { seen, error } = await statuses(client);
    expect(error).toBeInstanceOf(Error);
    expect(seen).not.toContain(101);
    expect(await statuses(client)).toEqual({ seen: [200], error: null });
  });
});
