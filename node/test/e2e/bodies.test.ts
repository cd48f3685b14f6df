// Every kind of request body arrives as it was given.

import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Client as UndiciClient } from 'undici';

import { Client, errors, FormData, Pool } from '../../src/index';
import { httpOrigin, rawOrigin, type Origin } from '../support/servers';

interface Received {
  length: number;
  hash: string;
  framing: string;
  type: string | undefined;
}

let origin: Origin;
let client: Client;

beforeAll(async () => {
  origin = await httpOrigin((request, response) => {
    const hash = createHash('sha256');
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      length += chunk.length;
    });
    request.on('end', () => {
      const framing =
        request.headers['transfer-encoding'] ?? `${request.headers['content-length']}`;
      const type = request.headers['content-type'];
      response.end(JSON.stringify({ length, hash: hash.digest('hex'), framing, type }));
    });
  });
  client = new Client(origin.url);
});

afterAll(async () => {
  await client.close();
  await origin.close();
});

async function send(body: unknown, options: object = {}): Promise<Received> {
  const response = await client.request({ path: '/', method: 'POST', body, ...options } as never);
  return (await response.body.json()) as Received;
}

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
const large = Buffer.alloc(3_000_000, 'abcdefghij');

function* slices(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function* slowly(chunks: Iterable<Buffer>) {
  for (const chunk of chunks) {
    await new Promise((resolve) => setImmediate(resolve));
    yield chunk;
  }
}

const whole: [string, () => unknown, Buffer][] = [
  ['text', () => 'h\u00e9llo', Buffer.from('h\u00e9llo')],
  ['a Buffer', () => Buffer.from('abc'), Buffer.from('abc')],
  ['a large Buffer', () => large, large],
  [
    'a typed array',
    () => new Uint32Array([1, 2, 3]),
    Buffer.from(new Uint32Array([1, 2, 3]).buffer),
  ],
  ['an ArrayBuffer', () => new Uint8Array(large).buffer, large],
  ['a DataView', () => new DataView(new Uint8Array([1, 2, 3]).buffer, 1), Buffer.from([2, 3])],
  ['a Blob', () => new Blob([large]), large],
];

const chunked: [string, () => unknown, Buffer][] = [
  ['a stream', () => Readable.from(slices(large, 70_001)), large],
  ['a stream that ends later', () => Readable.from(slowly(slices(large, 500_000))), large],
  ['an iterable', () => [...slices(large, 1_000_000)], large],
  ['a generator', () => slices(large, 10_000), large],
  ['an async generator', () => slowly(slices(large, 300_000)), large],
  ['a web stream', () => new Blob([large]).stream(), large],
];

describe('a request body', () => {
  for (const [name, make, bytes] of whole) {
    it(`that is ${name} arrives with its length`, async () => {
      expect(await send(make())).toMatchObject({
        length: bytes.length,
        hash: sha256(bytes),
        framing: String(bytes.length),
      });
    });
  }

  for (const [name, make, bytes] of chunked) {
    it(`that is ${name} arrives chunked`, async () => {
      expect(await send(make())).toMatchObject({
        length: bytes.length,
        hash: sha256(bytes),
        framing: 'chunked',
      });
    });

    it(`that is ${name} arrives with the length it declares`, async () => {
      const headers = { 'content-length': String(bytes.length) };
      expect(await send(make(), { headers })).toMatchObject({
        length: bytes.length,
        hash: sha256(bytes),
        framing: String(bytes.length),
      });
    });
  }

  const detached = <T extends ArrayBuffer | ArrayBufferView>(body: T): T => {
    const memory = ArrayBuffer.isView(body) ? body.buffer : body;
    structuredClone(memory, { transfer: [memory as ArrayBuffer] });
    return body;
  };
  it.each<[string, () => unknown]>([
    ['pieces without a byte', () => ['', new Uint8Array(0)]],
    ['a stream of such', () => Readable.from(['', ''])],
    ['an async generator of such', () => slowly([Buffer.alloc(0)])],
    ['a detached ArrayBuffer', () => detached(new ArrayBuffer(4))],
    ['a detached Uint8Array', () => detached(new Uint8Array(4))],
    ['a detached Float64Array', () => detached(new Float64Array(4))],
    ['a detached DataView', () => detached(new DataView(new ArrayBuffer(8), 2, 4))],
  ])('that has nothing is none, as in undici: %s', async (_, make) => {
    const empty = { length: 0, framing: '0' };
    expect(await send(make())).toMatchObject(empty);
    const undicis = new UndiciClient(origin.url);
    const { body } = await undicis.request({ path: '/', method: 'POST', body: make() as never });
    expect(await body.json()).toMatchObject(empty);
    await undicis.close();
  });

  it('that begins with an empty piece arrives chunked', async () => {
    expect(await send(['', 'a', ''])).toMatchObject({ length: 1, framing: 'chunked' });
  });

  it('that is a form arrives as multipart with its length', async () => {
    const form = new FormData();
    form.set('name', 'value');
    form.set('file', new File([large], 'large.bin'));
    const received = await send(form);
    expect(received.type).toMatch(/^multipart\/form-data; boundary=/);
    expect(received.framing).toBe(String(received.length));
    expect(received.length).toBeGreaterThan(large.length);
  });

  it('that fails midway fails the request with its error, and the next request works', async () => {
    const boom = new Error('boom');
    async function* failing() {
      yield Buffer.alloc(100_000);
      throw boom;
    }
    await expect(send(failing())).rejects.toBe(boom);
    expect((await send('next')).length).toBe(4);
  });

  it('shorter than its declared length fails the request', async () => {
    const headers = { 'content-length': '10' };
    await expect(send(Readable.from(['abc']), { headers })).rejects.toBeInstanceOf(
      errors.RequestContentLengthMismatchError,
    );
    expect((await send('next')).length).toBe(4);
  });

  it('waits for 100 Continue where expectContinue is set', async () => {
    const { length } = await send('hello', { expectContinue: true });
    expect(length).toBe(5);
  });
});

it('is destroyed when the server responds early and closes', async () => {
  const early = await rawOrigin((socket) => {
    socket.once('data', () =>
      socket.end('HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'),
    );
  });
  const uploading = new Client(early.url);
  const body = new Readable({
    read() {
      this.push(Buffer.alloc(16_384));
    },
  });
  const closed = new Promise((resolve) => body.once('close', resolve));
  const outcome = await uploading
    .request({ path: '/', method: 'POST', body })
    .then(({ statusCode }) => statusCode)
    .catch((error: unknown) => (error as { code?: string }).code);
  // The reset that a server causes by not reading may overtake its response.
  expect([413, 'UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']).toContain(outcome);
  await closed;
  await uploading.destroy();
  await early.close();
});

describe('a source', () => {
  it('whose chunk is neither text nor bytes fails the request with ERR_INVALID_ARG_TYPE', async () => {
    const stream = new Readable({
      objectMode: true,
      read() {
        this.push({});
      },
    });
    async function* objects() {
      yield {};
    }
    for (const body of [stream, objects()]) {
      await expect(send(body)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    }
  });

  it('is not read before the caller returns, where there is no connection yet', async () => {
    const other = new Client(origin.url);
    const stream = Readable.from(['abc']);
    const sent = other.request({ path: '/', method: 'POST', body: stream });
    expect(stream.listenerCount('data')).toBe(0);
    const { body } = await sent;
    expect(await body.json()).toMatchObject({ length: 3 });
    await other.close();
  });
});

describe('a declared length that the body does not have, when not strict', () => {
  it('too short: an early response is accepted, and the next request is not sent as the rest', async () => {
    const heads: string[] = [];
    const answering = await rawOrigin((socket) => {
      socket.on('data', (bytes: Buffer) => {
        const text = bytes.toString();
        if (text.includes(' HTTP/1.1')) heads.push(text.slice(0, text.indexOf(' HTTP/1.1')));
        if (text.includes('abc') || text.startsWith('GET')) {
          socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        }
      });
    });
    const lax = new Client(answering.url, { strictContentLength: false });
    const ends: string[] = [];
    lax.on('disconnect', (...[, , , info]) => ends.push(info!.reason));
    let connects = 0;
    lax.on('connect', () => connects++);
    const headers = { 'content-length': '10' };
    const body = Readable.from(['abc']);
    const first = await lax.request({ path: '/short', method: 'PUT', headers, body });
    expect(first.statusCode).toBe(200);
    const second = await lax.request({ path: '/next', method: 'GET' });
    expect(second.statusCode).toBe(200);
    expect(heads).toEqual(['PUT /short', 'GET /next']);
    expect(ends).toEqual(['not reusable']);
    expect(connects).toBe(2);
    await lax.destroy();
    await answering.close();
  });

  it('too short: without a response headersTimeout applies', async () => {
    const silent = await rawOrigin((socket) => socket.resume());
    const lax = new Client(silent.url, { strictContentLength: false, headersTimeout: 100 });
    const headers = { 'content-length': '10' };
    const body = Readable.from(['abc']);
    await expect(lax.request({ path: '/', method: 'PUT', headers, body })).rejects.toBeInstanceOf(
      errors.HeadersTimeoutError,
    );
    await lax.destroy();
    await silent.close();
  });

  it('is reported by one warning per request, when it is sent', async () => {
    const seen: string[] = [];
    const { emitWarning } = process;
    process.emitWarning = (warning: string | Error) =>
      seen.push(String(warning).split(':')[0] ?? '');
    const lax = new Client(origin.url, { strictContentLength: false });
    const headers = { 'content-length': '10' };
    const sent = ['abc', 'abcdefghijklmnopqrstuvwxyz'].map(
      (body) =>
        new Promise<void>((resolve, reject) => {
          lax.dispatch(
            { path: '/', method: 'PUT', headers, body },
            {
              onRequestStart() {},
              onResponseStart() {},
              onResponseData: (_controller, chunk) =>
                seen.push(String((JSON.parse(chunk.toString()) as Received).length)),
              onResponseEnd: () => resolve(),
              onResponseError: (_controller, error) => reject(error),
            },
          );
        }),
    );
    await Promise.all(sent);
    process.emitWarning = emitWarning;
    const name = 'RequestContentLengthMismatchError';
    expect(seen).toEqual([name, '3', name, '26']);
    await lax.close();
  });
});

it('an endless body of tiny chunks ends early with the connection', async () => {
  const cutting = await httpOrigin((request, response) => {
    request.on('data', () => response.destroy());
  });
  const cut = new Client(cutting.url);
  let made = 0;
  let returned = false;
  function* endless() {
    try {
      for (;;) {
        made++;
        yield 'zzz';
      }
    } finally {
      returned = true;
    }
  }
  const body = endless();
  await expect(cut.request({ path: '/', method: 'POST', body } as never)).rejects.toBeInstanceOf(
    Error,
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(returned).toBe(true);
  expect(made).toBeLessThan(200_000);
  await cut.destroy();
  await cutting.close();
});

it('bodies held at the same time arrive intact, even when their memory is reused', async () => {
  // 22 MiB in each round: more than the addon lends before it copies, held until all have arrived.
  const inRound = 400;
  const held: (() => void)[] = [];
  const holding = await httpOrigin((request, response) => {
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => {
      held.push(() => response.end(hash.digest('hex')));
      if (held.length === inRound) for (const release of held.splice(0)) release();
    });
  });
  const pool = new Pool(holding.url, { connections: inRound });
  try {
    for (let round = 0; round < 3; round++) {
      const bodies = Array.from({ length: inRound }, () => randomBytes(56 * 1024));
      const answers = bodies.map(async (body) => {
        const response = await pool.request({ path: '/', method: 'POST', body });
        return response.body.text();
      });
      const hashes = bodies.map(sha256);
      // The caller may reuse the memory.
      for (const body of bodies) body.fill(0);
      expect(await Promise.all(answers)).toEqual(hashes);
    }
  } finally {
    await pool.destroy();
    await holding.close();
  }
});
