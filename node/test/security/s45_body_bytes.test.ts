// S45: bytes that misreport their size, and memory that changes while it is sent.

import { once } from 'node:events';
import type * as net from 'node:net';
import { type Duplex, Readable } from 'node:stream';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Pool } from '../../src/index';
import { answer, rawOrigin, type Origin } from '../support/servers';

/** The content of each body, repeated in large ones. */
const REAL = 'abc';
const LARGE = 3 << 20;

interface Received {
  /** Bodies of complete requests, without framing. */
  readonly bodies: string[];
  /** Everything an upgraded connection has sent. */
  upgraded: string;
  readonly sockets: net.Socket[];
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
const SECRET = 'Bearer a-token-of-another-request';

function unchunk(body: string): string | null {
  let out = '';
  for (let at = 0; ;) {
    const line = body.indexOf('\r\n', at);
    if (line === -1) return null;
    const size = Number.parseInt(body.slice(at, line), 16);
    if (size === 0) return out;
    out += body.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
}

/** Responds to complete requests, and upgrades those that request it. */
async function collect(): Promise<Origin & { received: Received }> {
  const received: Received = { bodies: [], upgraded: '', sockets: [] };
  const origin = await rawOrigin((socket) => {
    received.sockets.push(socket);
    let text = '';
    let isUpgraded = false;
    socket.on('data', (chunk) => {
      if (isUpgraded) {
        received.upgraded += chunk.toString('latin1');
        return;
      }
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const [head, body] = [text.slice(0, end), text.slice(end + 4)];
      if (/\r\nupgrade: /i.test(head)) {
        isUpgraded = true;
        socket.write('HTTP/1.1 101 x\r\nupgrade: bytes\r\nconnection: upgrade\r\n\r\n');
        return;
      }
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
      const isChunked = /\r\ntransfer-encoding: chunked/i.test(head);
      const whole = isChunked ? unchunk(body) : body.length >= length ? body : null;
      if (whole === null) return;
      text = '';
      received.bodies.push(whole);
      socket.write(OK);
    });
  });
  return Object.assign(origin, { received });
}

let origin: Awaited<ReturnType<typeof collect>>;
let pool: Pool;

beforeAll(async () => {
  origin = await collect();
});

afterAll(async () => {
  await origin.close();
});

/** A pool whose memory has held secrets. */
async function usedPool(): Promise<Pool> {
  const made = new Pool(origin.url, { connections: 1 });
  for (let i = 0; i < 3; i++) {
    const headers = { authorization: SECRET, cookie: 'session=secret' };
    await (await made.request({ path: '/secret', method: 'GET', headers })).body.dump();
  }
  return made;
}

/** Ways to send a body, given its chunk. */
const WAYS: Record<string, (chunk: unknown) => unknown> = {
  'as a body': (chunk) => chunk,
  'from a generator': (chunk) =>
    (function* () {
      yield chunk;
    })(),
  'from an async generator': (chunk) =>
    (async function* () {
      yield await Promise.resolve(chunk);
    })(),
  'from a stream of Node': (chunk) => Readable.from([chunk]),
  'from a web stream': (chunk) =>
    new ReadableStream({
      start(controller) {
        controller.enqueue(chunk);
        controller.close();
      },
    }),
};

/** Sends `body`; resolves to what the server got, or to the error's code. */
async function post(
  body: unknown,
  afterDispatch: () => unknown = () => undefined,
  dispatcher = pool,
): Promise<string> {
  const before = origin.received.bodies.length;
  const sent = dispatcher.request({ path: '/', method: 'POST', body: body as Buffer });
  try {
    await afterDispatch();
    await (await sent).body.dump();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  expect(origin.received.bodies.length).toBe(before + 1);
  return origin.received.bodies.at(-1)!;
}

/** What an upgraded connection has sent by its end. */
async function upgraded(send: (socket: Duplex) => void): Promise<string> {
  origin.received.upgraded = '';
  const { socket } = await pool.upgrade({ path: '/', protocol: 'bytes' });
  const peer = origin.received.sockets.at(-1)!;
  send(socket);
  await once(peer, 'end');
  return origin.received.upgraded;
}

const lying = (properties: Record<string, unknown>) => (): Uint8Array =>
  Object.defineProperties(
    Buffer.from(REAL),
    Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, { value }])),
  );

class Larger extends Uint8Array {
  override get byteLength(): number {
    return 400;
  }
  override get length(): number {
    return 400;
  }
}

const LIARS: Record<string, () => ArrayBufferView> = {
  'a subclass': () => new Larger(Buffer.from(REAL)),
  'its own byteLength': lying({ byteLength: 400 }),
  'its own length': lying({ length: 400 }),
  'its own sizes': lying({ byteLength: 400, length: 400 }),
  'a byteLength that is none': lying({ byteLength: -1, length: Number.NaN }),
  'its own byteOffset': lying({ byteOffset: 0, byteLength: 400 }),
  'its own buffer': lying({ buffer: Buffer.alloc(400, 'x').buffer, byteOffset: 0 }),
  'its own subarray': lying({ subarray: () => Buffer.alloc(300, 'x') }),
  'its own constructor': lying({ constructor: { [Symbol.species]: Larger } }),
  'another prototype': () => Object.setPrototypeOf(Buffer.from(REAL), Larger.prototype) as Buffer,
  'no prototype': () => Object.setPrototypeOf(Buffer.from(REAL), null) as Buffer,
  'a DataView of its own byteLength': () => {
    const copy = Uint8Array.from(Buffer.from(REAL)).buffer;
    return Object.defineProperty(new DataView(copy), 'byteLength', { value: 400 });
  },
};

describe('s45 bytes that misreport themselves are sent as they are', () => {
  beforeAll(async () => {
    pool = await usedPool();
  });
  afterAll(() => pool.destroy());

  for (const [liar, make] of Object.entries(LIARS)) {
    for (const [way, wrap] of Object.entries(WAYS)) {
      it(`with ${liar}, ${way}`, async () => {
        expect(await post(wrap(make()))).toBe(REAL);
      });
    }

    it(`with ${liar}, written to an upgraded socket`, async () => {
      expect(
        await upgraded((socket) => {
          socket.write(make());
          socket.end(make() as Uint8Array);
        }),
      ).toBe(REAL + REAL);
    });
  }

  it('with prototypes that were patched after the package was loaded', async () => {
    const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
    const kept = Object.getOwnPropertyDescriptor(typedArray, 'byteLength')!;
    const body = Buffer.from(REAL);
    let outcome: Promise<string>;
    Object.defineProperty(typedArray, 'byteLength', { ...kept, get: () => 400 });
    try {
      outcome = post(body);
    } finally {
      Object.defineProperty(typedArray, 'byteLength', kept);
    }
    expect(await outcome).toBe(REAL);
  });
});

/** Memory, a view of it, and what may happen to it. */
interface Memory {
  readonly view: unknown;
  readonly buffer: ArrayBuffer;
}

type Fate = (memory: Memory) => void;

const FATES: Record<string, Fate> = {
  transferred: ({ buffer }) => void structuredClone(buffer, { transfer: [buffer] }),
  detached: ({ buffer }) => {
    new MessageChannel().port1.postMessage(buffer, [buffer]);
  },
  shrunk: ({ buffer }) => (buffer as ArrayBuffer & { resize(size: number): void }).resize(1),
  grown: ({ buffer }) =>
    (buffer as ArrayBuffer & { resize(size: number): void }).resize(buffer.byteLength + 100),
};

function memory(size: number): ArrayBuffer {
  const options = { maxByteLength: size + 100 };
  const buffer = new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(
    size,
    options,
  );
  Buffer.from(buffer).fill(REAL);
  return buffer;
}

const VIEWS: Record<string, (buffer: ArrayBuffer) => unknown> = {
  'an ArrayBuffer': (buffer) => buffer,
  'a Uint8Array that tracks it': (buffer) => new Uint8Array(buffer),
  'a Buffer': (buffer) => Buffer.from(buffer, 0, buffer.byteLength),
  'a DataView': (buffer) => new DataView(buffer, 0, buffer.byteLength),
};

describe('s45 memory that is detached after dispatch', () => {
  beforeAll(async () => {
    pool = await usedPool();
  });
  afterAll(() => pool.destroy());

  for (const [fate, strike] of Object.entries(FATES)) {
    for (const [kind, view] of Object.entries(VIEWS)) {
      it(`${fate}: a small body is sent as it was at dispatch: ${kind}`, async () => {
        const buffer = memory(3000);
        const body = view(buffer);
        expect(await post(body, () => strike({ view: body, buffer }))).toBe(REAL.repeat(1000));
      });

      it(`${fate}: a large body fails, or is complete if its bytes still exist: ${kind}`, async () => {
        const buffer = memory(LARGE);
        const body = view(buffer);
        const isThere = fate === 'grown' && kind !== 'a Uint8Array that tracks it';
        const outcome = await post(body, () => strike({ view: body, buffer }));
        if (isThere) expect(outcome).toBe(REAL.repeat(LARGE / 3));
        else expect(outcome).toBe('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH');
      });

      if (kind === 'an ArrayBuffer') continue;

      for (const [way, wrap] of Object.entries(WAYS)) {
        if (way === 'as a body') continue;
        it(`${fate}: a large chunk fails the request, and no other bytes are sent: ${kind}, ${way}`, async () => {
          const buffer = memory(LARGE);
          const chunk = view(buffer);
          const isThere = fate === 'grown' && kind !== 'a Uint8Array that tracks it';
          const own = new Pool(origin.url, { connections: 1 });
          const connected = once(origin.server, 'connection');
          // The chunk is offered once the source is read; its memory is detached when a part has been sent.
          const someHasLeft = async (): Promise<void> => {
            const [socket] = (await connected) as [net.Socket];
            await once(socket, 'data');
            strike({ view: chunk, buffer });
          };
          const result = await post(wrap(chunk), someHasLeft, own);
          await own.destroy();
          // All of it may have been sent before that.
          const complete = result === REAL.repeat(LARGE / 3);
          if (isThere) expect(complete).toBe(true);
          else if (!complete) expect(result).toBe('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH');
        });
      }
    }
  }

  it('an upgraded socket whose chunk is detached ends with an error', async () => {
    const { socket } = await pool.upgrade({ path: '/', protocol: 'bytes' });
    const buffer = memory(LARGE * 4);
    const failed = once(socket, 'error');
    socket.write(new Uint8Array(buffer));
    structuredClone(buffer, { transfer: [buffer] });
    const [error] = (await failed) as [{ code?: string }];
    expect(error.code).toBe('UND_ERR_INVALID_ARG');
  });

  it('overwritten memory is sent as it was, or as it is', async () => {
    const body = Buffer.alloc(LARGE, 'a');
    const outcome = await post(body, () => body.fill('b'));
    expect(outcome.length).toBe(LARGE);
    expect(outcome.replaceAll('a', '').replaceAll('b', '')).toBe('');
  });
});

it('s45 requests still work after all that', async () => {
  const plain = await rawOrigin(answer(OK));
  const own = new Pool(plain.url);
  expect((await own.request({ path: '/', method: 'POST', body: REAL })).statusCode).toBe(200);
  await own.destroy();
  await plain.close();
});
