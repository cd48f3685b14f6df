// The decompress option: decoded bodies, what handlers get, and decompression bombs.

import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { Readable, Writable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import * as zlib from 'node:zlib';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import {
  Agent,
  Client,
  Dispatcher,
  interceptors,
  Pool,
  ProxyAgent,
  request,
  Socks5ProxyAgent,
  stream,
} from '../../src/index';
import { kDecode } from '../../src/undici/fetch-decoding';
import { peer, peerMajor } from '../../src/undici/undici';
import { http2Origin, httpOrigin, type Origin } from '../support/servers';
import { connectProxy, socksProxy } from '../support/tunnels';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Answer {
  status?: number;
  /** `null` for none. */
  coding: string | null;
  body: Buffer;
  /** Whether to send a content-length. */
  length?: boolean;
}

const TEXT = JSON.stringify(
  Array.from({ length: 3_000 }, (_, id) => ({ id, name: `user ${id * 7919}`, tags: ['a', 'b'] })),
);
const { gzipSync, deflateSync, deflateRawSync, brotliCompressSync } = zlib;
const zstd = (zlib as { zstdCompressSync?: (bytes: Buffer | string) => Buffer }).zstdCompressSync;
const cut = (bytes: Buffer) => bytes.subarray(0, bytes.length - 3);

const CODED: Record<string, Buffer> = {
  gzip: gzipSync(TEXT),
  'x-gzip': gzipSync(TEXT),
  deflate: deflateSync(TEXT),
  br: brotliCompressSync(TEXT),
  ...(zstd && { zstd: zstd(TEXT) }),
};

const answers = new Map<string, Answer>();
function answer(path: string, coding: string | null, body: Buffer | string, more = {}): string {
  answers.set(path, { coding, body: Buffer.from(body), ...more });
  return path;
}

function headOf(path: string): { found: Answer; headers: OutgoingHttpHeaders } {
  const found = answers.get(path)!;
  const headers: OutgoingHttpHeaders = { 'x-before': '1' };
  if (found.coding !== null) headers['content-encoding'] = found.coding;
  headers['x-behind'] = '2';
  if (found.length !== false) headers['content-length'] = found.body.length;
  return { found, headers };
}

let plain: Origin;
let h2: Origin;
beforeAll(async () => {
  plain = await httpOrigin((incoming, response) => {
    const { found, headers } = headOf(incoming.url!);
    response.sendDate = false;
    response.writeHead(found.status ?? 200, headers);
    if (incoming.method === 'HEAD') response.end();
    else response.end(found.body);
  });
  h2 = await http2Origin((outgoing, incoming) => {
    const { found, headers } = headOf(incoming[':path'] as string);
    const endStream = incoming[':method'] === 'HEAD';
    outgoing.respond({ ':status': found.status ?? 200, ...headers }, { endStream });
    if (!endStream) outgoing.end(found.body);
  });
});
afterAll(() => Promise.all([plain.close(), h2.close()]));

const WIRES = {
  'HTTP/1.1': () => plain,
  'HTTP/2': () => h2,
};

function keep<T extends { destroy(): Promise<void> }>(dispatcher: T): T {
  cleanup.add(() => dispatcher.destroy());
  return dispatcher;
}

const agentFor = (origin: Origin, options: object = {}) =>
  keep(new Agent({ ...origin.options, allowH2: true, ...options }));

type Outcome =
  | { status: number; headers: IncomingHttpHeaders; text: string }
  | { name: string; code: unknown; errno: unknown; message: string };

async function get(dispatcher: Dispatcher, url: string, options: object = {}): Promise<Outcome> {
  try {
    const { statusCode, headers, body } = await request(url, { dispatcher, ...options });
    return { status: statusCode, headers, text: await body.text() };
  } catch (error) {
    const { name, code, errno, message } = error as NodeJS.ErrnoException;
    return { name, code, errno, message };
  }
}

const KEPT = { 'x-before': '1', 'x-behind': '2' };

describe.each(Object.entries(WIRES))('decompress over %s', (_wire, originOf) => {
  it.each(Object.keys(CODED))(
    'decodes %s, and removes its fields from the head',
    async (coding) => {
      const { url } = originOf();
      const agent = agentFor(originOf(), { decompress: true });
      for (const length of [true, false]) {
        const path = answer(`/${coding}`, coding.toUpperCase(), CODED[coding]!, { length });
        const seen = (await get(agent, url + path)) as {
          headers: IncomingHttpHeaders;
          text: string;
        };
        expect(seen.text === TEXT).toBe(true);
        expect(seen.headers).toMatchObject(KEPT);
        expect(seen.headers).not.toHaveProperty('content-encoding');
        expect(seen.headers).not.toHaveProperty('content-length');
        const raw = await request(url + path, { dispatcher: agent, responseHeaders: 'raw' });
        const names = (raw.headers as unknown as string[]).filter((_name, at) => at % 2 === 0);
        expect(names.map((name) => name.toLowerCase())).not.toContain('content-encoding');
        expect((await raw.body.text()) === TEXT).toBe(true);
      }
    },
  );

  it('decodes several codings, gzip members, and deflate without its wrapper', async () => {
    const { url } = originOf();
    const agent = agentFor(originOf(), { decompress: true });
    const twice = gzipSync(brotliCompressSync(TEXT));
    const half = TEXT.length / 2;
    const members = Buffer.concat([gzipSync(TEXT.slice(0, half)), gzipSync(TEXT.slice(half))]);
    for (const path of [
      answer('/twice', 'br, gzip', twice),
      answer(
        '/five',
        'gzip, gzip, gzip, br, gzip',
        gzipSync(brotliCompressSync(gzipSync(gzipSync(gzipSync(TEXT))))),
      ),
      answer('/members', 'gzip', members),
      answer('/raw', 'deflate', deflateRawSync(TEXT)),
      answer('/zeros', 'gzip', Buffer.concat([gzipSync(TEXT), Buffer.alloc(10)])),
    ]) {
      const seen = (await get(agent, url + path)) as { text: string };
      expect(seen.text === TEXT, path).toBe(true);
    }
  });

  it('does not decode responses without a body, errors, and unknown codings', async () => {
    const { url } = originOf();
    const agent = agentFor(originOf(), { decompress: true });
    const path = answer('/head', 'gzip', CODED['gzip']!);
    const head = (await get(agent, url + path, { method: 'HEAD' })) as {
      headers: object;
      text: string;
    };
    const length = String(CODED['gzip']!.length);
    expect(head.headers).toMatchObject({ 'content-encoding': 'gzip', 'content-length': length });
    for (const [status, coding, body] of [
      [204, 'gzip', ''],
      [304, 'br', ''],
      [200, 'gzip', ''],
      [404, 'gzip', 'not coded'],
      [500, 'br', 'not coded'],
      [200, 'compress', 'abc'],
      [200, 'gzip, unknown', 'abc'],
      [200, null, 'abc'],
    ] as const) {
      const length = body !== '' || status === 200;
      const path = answer('/alone', coding, body, { status, length });
      const seen = await get(agent, url + path);
      expect(seen).toMatchObject({ status, text: body });
      const { headers } = seen as { headers: IncomingHttpHeaders };
      expect(headers['content-encoding']).toBe(coding ?? undefined);
    }
    const empty = answer('/empty', 'gzip', '', { length: false });
    expect(await get(agent, url + empty)).toMatchObject({ status: 200, text: '' });
  });

  it.each(Object.keys(CODED))(
    'fails where %s is cut short, and its connection serves on',
    async (coding) => {
      const { url } = originOf();
      const agent = agentFor(originOf(), { decompress: true, connections: 1 });
      let connects = 0;
      agent.on('connect', () => connects++);
      const path = answer(`/cut-${coding}`, coding, cut(CODED[coding]!));
      for (let i = 0; i < 3; i++) {
        expect(await get(agent, url + path)).toEqual({
          name: 'Error',
          code: 'Z_BUF_ERROR',
          errno: -5,
          message: 'unexpected end of file',
        });
      }
      expect(connects).toBe(1);
    },
  );

  it('fails as undici’s interceptor does', async () => {
    const { url } = originOf();
    const broken = Buffer.from(CODED['gzip']!);
    broken[broken.length - 5]! ^= 1;
    const paths = [
      answer('/garbage', 'gzip', 'this is no gzip'),
      answer('/checksum', 'gzip', broken),
      answer('/flags', 'gzip', Buffer.from([0x1f, 0x8b, 8, 0xe0, ...Array<number>(20).fill(0)])),
      answer('/behind', 'gzip', Buffer.concat([gzipSync('a'), Buffer.from('behind')])),
      answer('/zlib', 'deflate', Buffer.from([0x78, 0, 1, 2, 3])),
      answer('/brotli', 'br', 'this is no brotli'),
      answer('/inner', 'gzip, br', brotliCompressSync('this is no gzip')),
      answer('/many', Array<string>(6).fill('gzip').join(', '), 'x'),
      ...(zstd ? [answer('/zstd', 'zstd', 'this is no zstd')] : []),
    ];
    const ours = agentFor(originOf(), { decompress: true });
    const theirs = agentFor(originOf()).compose(interceptors.decompress());
    for (const path of paths) {
      const outcome = await get(ours, url + path);
      expect(outcome, path).toHaveProperty('message');
      expect(outcome, path).toEqual(await get(theirs, url + path));
    }
  });

  it('s33 stops a bomb at maxSize, and at maxResponseSize in decoded bytes', async () => {
    const { url } = originOf();
    const path = answer('/bomb', 'gzip', gzipSync(Buffer.alloc(20_000_000)));
    const agent = agentFor(originOf(), { decompress: { maxSize: 1_000_000 } });
    const outcome = (await get(agent, url + path)) as { message: string };
    expect(outcome).toMatchObject({
      name: 'ResponseExceededMaxSizeError',
      code: 'UND_ERR_RES_EXCEEDED_MAX_SIZE',
    });
    expect(outcome.message).toMatch(
      /^Decompressed response size \(\d+\) exceeded maxSize \(1000000\)$/,
    );
    // A request's own limit takes precedence.
    const all = await request(url + path, {
      dispatcher: agent,
      decompress: { maxSize: 20_000_000 },
    } as object);
    expect((await all.body.arrayBuffer()).byteLength).toBe(20_000_000);

    const limited = agentFor(originOf(), { decompress: true, maxResponseSize: 1_000_000 });
    expect(await get(limited, url + path)).toMatchObject({
      code: 'UND_ERR_RES_EXCEEDED_MAX_SIZE',
      message: new peer.errors.ResponseExceededMaxSizeError().message,
    });
    // Undecoded it is small enough.
    const undecoded = await get(limited, url + path, { decompress: false });
    expect(undecoded).toMatchObject({ status: 200, headers: { 'content-encoding': 'gzip' } });
  });

  it('s33 a bomb of 1 GiB waits for its reader while others are served', async () => {
    const { url } = originOf();
    const member = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const path = answer('/huge', 'gzip', Buffer.concat(Array<Buffer>(16).fill(member)));
    const small = answer('/small', 'gzip', gzipSync('small'));
    const agent = agentFor(originOf(), { decompress: true });
    await get(agent, url + small);
    const before = process.memoryUsage().rss;

    let bytes = 0;
    let pieces = 0;
    let controller!: Dispatcher.DispatchController;
    const failed = new Promise<Error>((resolve) => {
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart: (given) => void (controller = given),
        onResponseStart: () => {},
        onResponseData: (given, chunk) => {
          given.pause();
          bytes += chunk.length;
          pieces++;
        },
        onResponseEnd: () => resolve(new Error('it ended')),
        onResponseError: (_given, error) => resolve(error),
      };
      agent.dispatch({ origin: url, path, method: 'GET' }, handler);
    });
    // Each needs turns of the thread that decodes.
    for (let i = 0; i < 50; i++) {
      expect(await get(agent, url + small)).toMatchObject({ status: 200, text: 'small' });
    }
    expect(pieces).toBe(1);
    expect(bytes).toBeLessThanOrEqual(64 * 1024);
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await failed).toBe(reason);
  });

  it('decodes for stream, pipeline and dispatch, for a Pool and a Client', async () => {
    const origin = originOf();
    const path = answer('/api', 'gzip', CODED['gzip']!);
    const options = { ...origin.options, allowH2: true };
    for (const dispatcher of [
      keep(new Pool(origin.url, { ...options, decompress: true })),
      keep(new Client(origin.url, { ...options, decompress: {} })),
    ]) {
      const chunks: Buffer[] = [];
      const sink = new Writable({
        write(chunk: Buffer, _encoding, done) {
          chunks.push(chunk);
          done();
        },
      });
      await dispatcher.stream({ path, method: 'GET' }, () => sink);
      expect(Buffer.concat(chunks).toString() === TEXT).toBe(true);
      const piped = Readable.from([]).pipe(
        dispatcher.pipeline({ path, method: 'GET' }, ({ body }) => body),
      );
      expect((await textOf(piped)) === TEXT).toBe(true);
    }
    const agent = agentFor(origin);
    const chunks: Buffer[] = [];
    const sink = () =>
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          chunks.push(chunk);
          done();
        },
      });
    await stream(
      origin.url + path,
      { dispatcher: agent, method: 'GET', decompress: true } as object as Parameters<
        typeof stream
      >[1],
      sink,
    );
    expect(Buffer.concat(chunks).toString() === TEXT).toBe(true);
  });

  it('decodes the response to a streamed upload', async () => {
    const { url } = originOf();
    const path = answer('/upload', 'br', CODED['br']!);
    const agent = agentFor(originOf(), { decompress: true });
    const seen = (await get(agent, url + path, {
      method: 'POST',
      body: Readable.from(['a', 'b', 'c']),
    })) as { text: string };
    expect(seen.text === TEXT).toBe(true);
  });

  it('decodes for fetch without changing the head, and reports it', async () => {
    const { url } = originOf();
    const agent = agentFor(originOf());
    const coded = answer('/fetch', 'gzip', CODED['gzip']!, { status: 404 });
    const moved = answer('/moved', 'gzip', 'never looked at', { status: 302 });
    const unknown = answer('/unknown', 'compress', 'abc');
    for (const [path, follows, decoded, text] of [
      [coded, true, true, TEXT],
      [coded, false, true, TEXT],
      [moved, false, true, null],
      [unknown, true, false, 'abc'],
    ] as const) {
      const decoding = { follows, decoded: false };
      const seen = await get(agent, url + path, { [kDecode]: decoding });
      expect(decoding.decoded, path).toBe(decoded);
      if (text === null) expect(seen).toMatchObject({ code: 'Z_DATA_ERROR' });
      else {
        expect((seen as { text: string }).text === text).toBe(true);
        const { headers } = seen as { headers: IncomingHttpHeaders };
        expect(headers['content-encoding']).toBe(answers.get(path)!.coding);
        expect(headers['content-length']).toBe(String(answers.get(path)!.body.length));
      }
    }
  });
});

describe('decompress', () => {
  it('decodes through proxies, by default and for a request', async () => {
    const { url } = plain;
    const path = answer('/proxied', 'gzip', CODED['gzip']!);
    const [tunnels, socks] = [await connectProxy(), await socksProxy()];
    for (const decompress of [true, undefined]) {
      const more = decompress === undefined ? {} : { decompress };
      for (const agent of [
        new ProxyAgent({ uri: `http://127.0.0.1:${tunnels.port}`, proxyTunnel: true, ...more }),
        new ProxyAgent({ uri: `socks5://127.0.0.1:${socks.port}`, ...more }),
        new Socks5ProxyAgent(`socks5://127.0.0.1:${socks.port}`, more),
      ]) {
        const coded = (await get(keep(agent), url + path)) as { text: string };
        expect(coded.text === TEXT).toBe(decompress === true);
        const asked = (await get(agent, url + path, { decompress: true })) as { text: string };
        expect(asked.text === TEXT).toBe(true);
      }
    }
    expect([tunnels.asked, socks.asked]).toEqual([2, 4]);
    await Promise.all([tunnels.close(), socks.close()]);
  });

  it('is off by default, and can be turned off per request', async () => {
    const path = answer('/off', 'gzip', CODED['gzip']!);
    const off = agentFor(plain);
    const on = agentFor(plain, { decompress: true });
    const coded = { headers: { 'content-encoding': 'gzip' } };
    expect(await get(off, plain.url + path)).toMatchObject(coded);
    expect(await get(agentFor(plain, { decompress: false }), plain.url + path)).toMatchObject(
      coded,
    );
    expect(await get(on, plain.url + path, { decompress: false })).toMatchObject(coded);
    const asked = (await get(off, plain.url + path, { decompress: true })) as { text: string };
    expect(asked.text === TEXT).toBe(true);
    const unsaid = (await get(on, plain.url + path, { decompress: null })) as { text: string };
    expect(unsaid.text === TEXT).toBe(true);
  });

  it('is a per-origin option', async () => {
    const path = answer('/origins', 'gzip', CODED['gzip']!);
    const agent = agentFor(plain, { origins: { localhost: { decompress: true } } });
    expect(((await get(agent, plain.url + path)) as { text: string }).text === TEXT).toBe(true);
    const other = plain.url.replace('localhost', '127.0.0.1');
    expect(await get(agent, other + path)).toMatchObject({
      headers: { 'content-encoding': 'gzip' },
    });
  });

  it('is validated as in undici', async () => {
    const message = 'decompress must be a boolean or an object';
    const size = 'decompress.maxSize must be a non-negative integer';
    for (const [value, text] of [
      ['gzip', message],
      [1, message],
      [[], message],
      [{ maxSize: -1 }, size],
      [{ maxSize: 1.5 }, size],
      [{ maxSize: '1' }, size],
      [{ maxSize: Infinity }, size],
    ] as const) {
      const options = { decompress: value } as object;
      const invalid = expect.objectContaining({ code: 'UND_ERR_INVALID_ARG', message: text });
      for (const make of [
        () => new Agent(options),
        () => new Pool('http://localhost', options),
        () => new Client('http://localhost', options),
      ]) {
        expect(make).toThrow(invalid);
      }
      expect(await get(agentFor(plain), plain.url, options)).toMatchObject({
        code: 'UND_ERR_INVALID_ARG',
        message: text,
      });
    }
    expect(() => new Agent({ origins: { a: { decompress: 1 as never } } })).toThrow(
      `origins["a"]: ${message}`,
    );
  });

  it('applies where undici’s own class serves the origin', async () => {
    const path = answer('/peer', 'gzip', CODED['gzip']!);
    const bomb = answer('/peer-bomb', 'gzip', gzipSync(Buffer.alloc(1_000_000)));
    const connect = peer.buildConnector({});
    const agent = keep(new Agent({ connect, decompress: true }));
    expect(((await get(agent, plain.url + path)) as { text: string }).text === TEXT).toBe(true);
    expect(await get(agent, plain.url + bomb, { decompress: { maxSize: 1000 } })).toMatchObject({
      code: 'UND_ERR_RES_EXCEEDED_MAX_SIZE',
    });
    expect(await get(agent, plain.url + path, { decompress: false })).toMatchObject({
      headers: { 'content-encoding': 'gzip' },
    });
    const decoding = { follows: true, decoded: false };
    expect(await get(agent, plain.url + path, { [kDecode]: decoding })).toMatchObject({
      headers: { 'content-encoding': 'gzip' },
    });
    expect(decoding.decoded).toBe(false);
  });

  it('works together with undici’s interceptor, which finds nothing to decode', async () => {
    const path = answer('/both', 'gzip', CODED['gzip']!);
    const both = agentFor(plain, { decompress: true }).compose(interceptors.decompress());
    expect(((await get(both, plain.url + path)) as { text: string }).text === TEXT).toBe(true);
    expect(peerMajor).toBeGreaterThanOrEqual(7);
  });
});
