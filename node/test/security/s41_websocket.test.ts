// S41: hostile WebSocket servers, through undici's WebSocket over our upgraded streams.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { deflateRawSync } from 'node:zlib';

import { afterEach, describe, expect, it } from 'vitest';

import { Agent, WebSocket } from '../../src/index';
import { rawOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A server that completes the handshake, with these extra lines, and then runs a script. */
async function serve(act: (socket: Socket) => void, lines: readonly string[] = []) {
  const frames: Buffer[] = [];
  const origin = await rawOrigin((socket) => {
    let head = '';
    socket.on('data', (chunk) => {
      if (head.endsWith('\r\n\r\n')) {
        frames.push(chunk);
        return;
      }
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      const key = /sec-websocket-key: (\S+)/i.exec(head)![1]!;
      const accept = createHash('sha1')
        .update(key + GUID)
        .digest('base64');
      const answer = [
        'HTTP/1.1 101 Switching Protocols',
        'connection: upgrade',
        'upgrade: websocket',
        `sec-websocket-accept: ${accept}`,
        ...lines,
      ];
      socket.write(`${answer.join('\r\n')}\r\n\r\n`);
      act(socket);
    });
  });
  cleanup.add(() => origin.close());
  const agent = new Agent({ webSocket: { maxPayloadSize: 1024 * 1024 } });
  cleanup.add(() => agent.destroy());
  return { url: origin.url.replace('http', 'ws'), agent, frames };
}

type Served = Awaited<ReturnType<typeof serve>>;

/** How a connection ended, and how much arrived before. */
async function outcome({ url, agent }: Served, protocols: string[] = []) {
  const socket = new WebSocket(url, { dispatcher: agent, protocols });
  socket.binaryType = 'arraybuffer';
  let messages = 0;
  let failed = false;
  socket.addEventListener('message', () => messages++);
  socket.addEventListener('error', () => (failed = true));
  const { code, wasClean } = await new Promise<{ code: number; wasClean: boolean }>((resolve) =>
    socket.addEventListener('close', resolve),
  );
  return { code, wasClean, failed, messages };
}

/** A server's frame. */
function frame(opcode: number, payload: Buffer | string, { final = true, rsv = 0 } = {}): Buffer {
  const body = Buffer.from(payload as string);
  const first = (final ? 0x80 : 0) | rsv | opcode;
  if (body.length < 126) return Buffer.concat([Buffer.from([first, body.length]), body]);
  if (body.length < 65_536) {
    const head = Buffer.from([first, 126, body.length >> 8, body.length & 0xff]);
    return Buffer.concat([head, body]);
  }
  const head = Buffer.alloc(10);
  head.writeUInt8(first, 0);
  head.writeUInt8(127, 1);
  head.writeBigUInt64BE(BigInt(body.length), 2);
  return Buffer.concat([head, body]);
}

/** The header of a frame that announces more than it contains. */
function announced(length: bigint): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt8(0x82, 0);
  head.writeUInt8(127, 1);
  head.writeBigUInt64BE(length, 2);
  return head;
}

const DEFLATE = ['sec-websocket-extensions: permessage-deflate'];
const COMPRESSED = 0x40;
/** As in permessage-deflate: without the empty block at the end. */
const deflated = (size: number) =>
  deflateRawSync(Buffer.alloc(size), { finishFlush: 2 }).subarray(0, -4);

/** Writes as fast as the other side reads. */
function flood(socket: Socket, block: Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(block)) continue;
  };
  socket.on('drain', more);
  more();
}

const attacks: Record<string, [(socket: Socket) => void, string[]?]> = {
  'a length of 2^63': [(socket) => socket.write(announced(2n ** 63n))],
  'a length of 2^63 - 1': [(socket) => socket.write(announced(2n ** 63n - 1n))],
  'a length of 2^53': [(socket) => socket.write(announced(2n ** 53n))],
  'a length of 4 GB': [(socket) => socket.write(announced(2n ** 32n))],
  'a message without end': [
    (socket) => {
      socket.write(frame(2, Buffer.alloc(60_000), { final: false }));
      flood(socket, frame(0, Buffer.alloc(60_000), { final: false }));
    },
  ],
  'a bomb of 64 MB': [
    (socket) => socket.write(frame(2, deflated(64 * 1024 ** 2), { rsv: COMPRESSED })),
    DEFLATE,
  ],
  'compressed bytes that are none': [
    (socket) => socket.write(frame(2, Buffer.alloc(500, 0xff), { rsv: COMPRESSED })),
    DEFLATE,
  ],
  'broken compression after the limit': [
    (socket) =>
      socket.write(
        frame(2, Buffer.concat([deflated(8 * 1024 ** 2), Buffer.alloc(500, 0xff)]), {
          rsv: COMPRESSED,
        }),
      ),
    DEFLATE,
  ],
  'compression that was not agreed': [
    (socket) => socket.write(frame(2, deflated(100), { rsv: COMPRESSED })),
  ],
  'reserved bits': [(socket) => socket.write(frame(2, 'x', { rsv: 0x30 }))],
  'an unknown opcode': [(socket) => socket.write(frame(3, 'x'))],
  'a continuation of nothing': [(socket) => socket.write(frame(0, 'x'))],
  'a ping in pieces': [(socket) => socket.write(frame(9, 'x', { final: false }))],
  'a ping of 126 bytes': [(socket) => socket.write(frame(9, 'x'.repeat(126)))],
  'a masked frame': [(socket) => socket.write(Buffer.from([0x82, 0x81, 1, 2, 3, 4, 5]))],
  'text that is not UTF-8': [(socket) => socket.write(frame(1, Buffer.from([0xff, 0xfe])))],
  'a close frame of one byte': [(socket) => socket.write(frame(8, 'x'))],
  'a close frame whose reason is not UTF-8': [
    (socket) => socket.write(frame(8, Buffer.from([0x03, 0xe8, 0xff, 0xfe]))),
  ],
  'an end without a close frame': [(socket) => socket.end()],
  'an end in the middle of a frame': [(socket) => socket.end(announced(100n))],
  'a reset': [(socket) => setImmediate(() => socket.resetAndDestroy())],
  'an extension that was not requested': [
    (socket) => socket.write(frame(1, 'x')),
    ['sec-websocket-extensions: x-evil'],
  ],
  'a subprotocol that was not requested': [
    (socket) => socket.write(frame(1, 'x')),
    ['sec-websocket-protocol: evil'],
  ],
};

describe('s41 a WebSocket server that sends', () => {
  it.each(Object.keys(attacks))('%s loses its connection, and nothing else', async (name) => {
    const [act, lines] = attacks[name]!;
    const served = await serve(act, lines);
    const { wasClean, messages } = await outcome(served);
    expect([wasClean, messages]).toEqual([false, 0]);
    // The process, and the agent, continue to work.
    const next = await serve((socket) => {
      socket.write(frame(1, 'fine'));
      socket.end(frame(8, Buffer.from([0x03, 0xe8])));
    });
    const { messages: fine, code } = await outcome({ ...next, agent: served.agent });
    expect([fine, code]).toEqual([1, 1000]);
  });

  it('a subprotocol that was not requested loses its connection', async () => {
    const served = await serve(() => {}, ['sec-websocket-protocol: other']);
    expect(await outcome(served, ['chat'])).toMatchObject({ wasClean: false, messages: 0 });
  });

  it.each(['99', 'abc', '0', ''])(
    'window bits of "%s" loses it, or is not listened to',
    async (bits) => {
      const served = await serve(
        (socket) => socket.end(frame(8, Buffer.from([0x03, 0xe8]))),
        [`sec-websocket-extensions: permessage-deflate; server_max_window_bits=${bits}`],
      );
      expect([1000, 1006]).toContain((await outcome(served)).code);
    },
  );

  it('100,000 pings gets as many pongs, although it ends its side immediately', async () => {
    const pings = 100_000;
    let ended: Promise<unknown> = Promise.resolve();
    const served = await serve((socket) => {
      ended = once(socket, 'end');
      const one = frame(9, 'x'.repeat(100));
      for (let i = 0; i < pings; i += 1000)
        socket.write(Buffer.concat(Array<Buffer>(1000).fill(one)));
      socket.end(frame(8, Buffer.from([0x03, 0xe8])));
    });
    expect(await outcome(served)).toMatchObject({ code: 1000 });
    await ended;
    // Two bytes of head, four of mask; and the close frame.
    expect(Buffer.concat(served.frames).length).toBe(pings * 106 + 8);
  });
});

it('s41 the masks of a client’s frames are unpredictable', async () => {
  const served = await serve(() => {});
  const socket = new WebSocket(served.url, { dispatcher: served.agent });
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  const count = 200;
  for (let i = 0; i < count; i++) socket.send('same');
  const size = 2 + 4 + 4;
  while (Buffer.concat(served.frames).length < count * size) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const bytes = Buffer.concat(served.frames);
  const masks = new Set<number>();
  for (let i = 0; i < count; i++) masks.add(bytes.readUInt32BE(i * size + 2));
  expect(masks.size).toBeGreaterThan(count - 3);
  socket.close();
});
