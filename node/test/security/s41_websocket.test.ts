// S41: a hostile WebSocket server costs one connection, never the process.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { deflateRawSync } from 'node:zlib';

import { afterEach, describe, expect, it } from 'vitest';

import { Agent, WebSocket } from '../../src/index';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const accept = (key: string) =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

interface Handshake {
  /** Fields of the answer besides the obvious ones. */
  readonly fields?: string;
  readonly key?: (key: string) => string;
}

/** A server that shakes hands and then does what it is told to the socket. */
async function serve(act: (socket: Socket) => void, { fields = '', key = accept }: Handshake = {}) {
  const server = http.createServer();
  const sockets = new Set<Socket>();
  server.on('upgrade', (request, socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
        `sec-websocket-accept: ${key(String(request.headers['sec-websocket-key']))}\r\n${fields}\r\n`,
    );
    socket.resume();
    act(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Waits for the end of a WebSocket; returns its code and how many messages came before. */
async function outcome(url: string, options: object = {}, protocols: string[] = []) {
  const dispatcher = new Agent(options);
  cleanup.add(() => dispatcher.destroy());
  const socket = new WebSocket(url, { dispatcher, protocols });
  let messages = 0;
  let opened = false;
  socket.onmessage = () => messages++;
  socket.onopen = () => (opened = true);
  socket.onerror = () => {};
  const [closed] = (await once(socket as unknown as EventTarget, 'close')) as [
    { code: number; wasClean: boolean },
  ];
  return { code: closed.code, messages, opened };
}

const frame = (first: number, payload: Buffer) =>
  Buffer.concat([Buffer.from([first, payload.length]), payload]);

describe('s41 frames', () => {
  const bad: Record<string, Buffer> = {
    'of 2^63 bytes': Buffer.from([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    'of 2^53 bytes': Buffer.from([0x82, 127, 0, 0x20, 0, 0, 0, 0, 0, 0]),
    'with a reserved bit': frame(0xa1, Buffer.from('x')),
    'with a reserved opcode': frame(0x83, Buffer.from('x')),
    'that continue nothing': frame(0x80, Buffer.from('x')),
    'that are masked': Buffer.from([0x81, 0x81, 1, 2, 3, 4, 0x79]),
    'of control in fragments': frame(0x09, Buffer.from('x')),
    'of control above 125 bytes': Buffer.concat([
      Buffer.from([0x89, 126, 0, 126]),
      Buffer.alloc(126),
    ]),
    'of text that is not UTF-8': frame(0x81, Buffer.from([0xff, 0xfe])),
    'of a close with one byte': frame(0x88, Buffer.from([3])),
    'of a close with a code that must not be sent': frame(0x88, Buffer.from([0x03, 0xed])),
  };

  it.each(Object.entries(bad))('%s end the connection', async (_what, bytes) => {
    const url = await serve((socket) => socket.write(bytes));
    const { code, messages, opened } = await outcome(url);
    expect([opened, messages]).toEqual([true, 0]);
    expect(code).not.toBe(1000);
  });

  it('of an unclean end are a 1006', async () => {
    const url = await serve((socket) => socket.end(frame(0x01, Buffer.from('half'))));
    expect(await outcome(url)).toMatchObject({ code: 1006, messages: 0 });
  });

  it('of control without end do not stop the messages behind them', async () => {
    const url = await serve((socket) => {
      for (let i = 0; i < 200; i++) {
        socket.write(Buffer.concat(Array<Buffer>(100).fill(frame(0x89, Buffer.from('x')))));
      }
      socket.write(frame(0x81, Buffer.from('hello')));
      socket.end(frame(0x88, Buffer.from([0x03, 0xe8])));
    });
    expect(await outcome(url)).toMatchObject({ code: 1000, messages: 1 });
  });

  it('of a message in more fragments than allowed end the connection', async () => {
    const url = await serve((socket) => {
      socket.write(frame(0x01, Buffer.from('x')));
      socket.write(Buffer.concat(Array<Buffer>(500).fill(frame(0x00, Buffer.from('x')))));
      socket.write(frame(0x80, Buffer.from('x')));
    });
    const { code, messages } = await outcome(url, { webSocket: { maxFragments: 100 } });
    expect(messages).toBe(0);
    expect(code).not.toBe(1000);
  });
});

describe('s41 compression', () => {
  const DEFLATE = 'sec-websocket-extensions: permessage-deflate\r\n';
  const compressed = (payload: Buffer) => {
    const length = Buffer.alloc(8);
    length.writeUInt32BE(payload.length, 4);
    return Buffer.concat([Buffer.from([0xc1, 127]), length, payload]);
  };

  it('of a bomb ends the connection', async () => {
    const bomb = compressed(deflateRawSync(Buffer.alloc(32 * 1024 * 1024)));
    const url = await serve((socket) => socket.write(bomb), { fields: DEFLATE });
    const { code, messages } = await outcome(url, {
      webSocket: { maxPayloadSize: 1024 * 1024 },
    });
    expect(messages).toBe(0);
    expect(code).not.toBe(1000);
  });

  it('that is broken ends the connection', async () => {
    const url = await serve((socket) => socket.write(compressed(Buffer.alloc(64, 0xff))), {
      fields: DEFLATE,
    });
    const { code, messages } = await outcome(url);
    expect(messages).toBe(0);
    expect(code).not.toBe(1000);
  });
});

describe('s41 a handshake', () => {
  it('with the wrong answer to the key fails', async () => {
    const url = await serve(() => {}, { key: () => 'x' });
    expect(await outcome(url)).toMatchObject({ opened: false, code: 1006 });
  });

  it('with a protocol that nobody asked for fails', async () => {
    const url = await serve(() => {}, { fields: 'sec-websocket-protocol: chat\r\n' });
    expect(await outcome(url)).toMatchObject({ opened: false, code: 1006 });
  });
});
