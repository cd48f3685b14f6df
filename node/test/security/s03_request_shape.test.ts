// S3 to S6: lengths, targets, sizes and boundaries of requests.

import { Readable } from 'node:stream';

import { Client as PeerClient } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { Agent, Client, FormData, Pool, request } from '../../src/index';
import { attempt, headLines, wireOrigin, type WireOrigin } from '../support/wire';

let origin: WireOrigin;
let client: Client;
let peer: PeerClient;

beforeAll(async () => {
  origin = await wireOrigin();
  client = new Client(origin.url);
  peer = new PeerClient(origin.url, { allowH2: false });
});

afterEach(() => {
  vi.restoreAllMocks();
});

afterAll(async () => {
  await client.destroy();
  await peer.destroy();
  await origin.close();
});

describe('s03 a length that is', () => {
  const refused: Record<string, object> = {
    'given twice in two spellings': { headers: { 'Content-Length': '1', 'content-length': '1' } },
    'given twice in a flat array': { headers: ['content-length', '1', 'CONTENT-LENGTH', '2'] },
    'given as a list': { headers: { 'content-length': ['1'] } },
    'given as two values in one': { headers: { 'content-length': '1, 1' } },
    signed: { headers: { 'content-length': '+1' } },
    negative: { headers: { 'content-length': '-1' } },
    hexadecimal: { headers: { 'content-length': '0x1' } },
    empty: { headers: { 'content-length': '' } },
    'a number with an exponent': { headers: { 'content-length': 1e21 } },
    'beside transfer-encoding': {
      headers: { 'content-length': '1', 'transfer-encoding': 'chunked' },
    },
    'replaced by transfer-encoding': { headers: { 'Transfer-Encoding': 'chunked' } },
    'replaced by a list of transfer codings': {
      headers: { 'transfer-encoding': ['chunked', 'identity'] },
    },
    'replaced by keep-alive': { headers: { 'keep-alive': 'timeout=5' } },
    'more than the body has': { headers: { 'content-length': '2' } },
    'less than the body has': { headers: { 'content-length': '0001' }, body: 'xx' },
  };

  for (const [name, options] of Object.entries(refused)) {
    it(`${name} is rejected as in undici, before any byte is sent`, async () => {
      const before = origin.requests.length;
      const full = { method: 'POST', body: 'x', ...options };
      const outcome = await attempt(client, full);
      expect(outcome).toHaveProperty('code');
      expect(outcome).toEqual(await attempt(peer, full));
      await attempt(client, { path: '/marker' });
      expect(origin.requests.slice(before).map((text) => text.split(' ')[1])).toEqual(['/marker']);
      expect(origin.rest()).toBe('');
    });
  }

  it('beyond Number.MAX_SAFE_INTEGER is rejected', async () => {
    for (const length of ['9007199254740993', '1'.repeat(30), '1'.repeat(400)]) {
      const body = Readable.from(['x']);
      const outcome = await attempt(client, {
        method: 'POST',
        body,
        headers: { 'content-length': length },
      });
      expect(outcome).toMatchObject({
        code: 'UND_ERR_INVALID_ARG',
        message: 'invalid content-length header',
      });
    }
    expect(origin.rest()).toBe('');
  });

  it('not that of the stream fails the request, and its bytes never form another request', async () => {
    for (const [declared, bytes] of [
      ['3', 'GET /smuggled HTTP/1.1\r\n\r\n'],
      ['100', 'short'],
    ] as const) {
      const own = await wireOrigin();
      const single = new Client(own.url);
      const outcome = await attempt(single, {
        method: 'POST',
        path: '/upload',
        body: Readable.from([Buffer.from(bytes)]),
        headers: { 'content-length': declared },
      });
      expect(outcome).toMatchObject({ code: 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH' });
      await attempt(single, { path: '/next' });
      const paths = own.requests.map((text) => text.split(' ')[1]);
      expect(paths.filter((path) => path !== '/upload')).toEqual(['/next']);
      await single.destroy();
      await own.close();
    }
  });
});

describe('s04 a path that looks like another origin', () => {
  const paths = [
    '//evil.invalid/x',
    '///evil.invalid',
    '/\\evil.invalid',
    '/@evil.invalid',
    'http://evil.invalid/x',
    'https://user@evil.invalid/',
    '/%2f%2fevil.invalid',
    '/..//evil.invalid',
  ];

  for (const path of paths) {
    it(`goes to the configured origin: ${path}`, async () => {
      const { host } = new URL(origin.url);
      const pool = new Pool(origin.url);
      const agent = new Agent();
      for (const [dispatcher, options] of [
        [client, { path }],
        [pool, { path }],
        [agent, { path, origin: origin.url }],
      ] as const) {
        const before = origin.requests.length;
        expect(await attempt(dispatcher, options)).toEqual({ status: 200 });
        const requests = origin.requests.slice(before);
        expect(requests).toHaveLength(1);
        const [line, hostLine] = headLines(requests[0]!);
        expect(line).toBe(`GET ${path} HTTP/1.1`);
        expect(hostLine).toBe(`host: ${host}`);
      }
      await pool.destroy();
      await agent.destroy();
    });
  }

  it('is rejected where it does not start with a slash', async () => {
    for (const path of [
      '\\\\evil.invalid',
      '@evil.invalid',
      'evil.invalid',
      'ftp://evil.invalid',
    ]) {
      const outcome = await attempt(client, { path });
      expect(outcome).toMatchObject({ code: 'UND_ERR_INVALID_ARG' });
      expect(outcome).toEqual(await attempt(peer, { path }));
    }
  });

  it('given as an object to request() stays at its origin', async () => {
    const { port } = new URL(origin.url);
    for (const pathname of ['//evil.invalid/', 'http://evil.invalid/', '@evil.invalid/']) {
      const before = origin.requests.length;
      const { body } = await request({
        protocol: 'http:',
        hostname: 'localhost',
        port,
        pathname,
      });
      await body.dump();
      expect(origin.requests.slice(before)).toHaveLength(1);
    }
  });
});

describe('s05 a request of extreme size', () => {
  const sizes: Record<string, object> = {
    'with 40,000 headers': {
      headers: Object.fromEntries(Array.from({ length: 40_000 }, (_, i) => [`x-${i}`, 'v'])),
    },
    'with a path of 70 KB': { path: `/${'p'.repeat(70_000)}` },
    'with a header name of 70 KB': { headers: { ['n'.repeat(70_000)]: 'v' } },
    'with a header value of 4 MB': { headers: { x: 'v'.repeat(4_000_000) } },
    'with a method of 70 KB': { method: 'M'.repeat(70_000) },
  };

  for (const [name, options] of Object.entries(sizes)) {
    it(`${name} is an error or exactly one request, and the next one works`, async () => {
      const before = origin.requests.length;
      const outcome = await attempt(client, options);
      const requests = origin.requests.slice(before);
      if ('status' in outcome) expect(requests).toHaveLength(1);
      else {
        expect(outcome.code).toMatch(/^UND_ERR_/);
        expect(requests).toEqual([]);
      }
      expect(await attempt(client, { path: '/next' })).toEqual({ status: 200 });
      expect(origin.requests.at(-1)).toMatch(/^GET \/next /);
    });
  }
});

describe('s06 the boundary of a form', () => {
  async function boundary(): Promise<string> {
    const form = new FormData();
    form.append('a', 'b');
    await attempt(client, { method: 'POST', body: form });
    return /boundary=(\S+)/.exec(origin.requests.at(-1)!)![1]!;
  }

  it('does not come from Math.random, and no two forms share one', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) seen.add(await boundary());
    expect(seen.size).toBe(200);
    expect(vi.mocked(Math.random)).not.toHaveBeenCalled();
  });

  it('has at least 36 random bits, spread over all digits', async () => {
    const boundaries = await Promise.all(Array.from({ length: 50 }, boundary));
    const random = boundaries.map((text) => /\d+$/.exec(text)![0].slice(-11));
    for (let digit = 0; digit < 11; digit++) {
      expect(new Set(random.map((text) => text[digit])).size).toBeGreaterThan(4);
    }
  });

  it('cannot be closed by names, file names or types', async () => {
    const form = new FormData();
    form.append('a"\r\nx: y', 'b');
    form.append('file', new File(['f'], 'n"\r\nContent-Type: text/evil\r\n\r\n', { type: 't/x' }));
    const lying = Object.defineProperty(new File(['f'], 'plain'), 'type', {
      value: 'text/plain\r\nx-injected: 1',
    });
    form.append('typed', lying);
    await attempt(client, { method: 'POST', body: form });
    const lines = origin.requests.at(-1)!.split('\r\n\r\n').slice(1).join('\n').split(/\r?\n/);
    const fields = lines
      .filter((line) => /^[A-Za-z-]+:/.test(line))
      .map((line) => line.split(':')[0]);
    expect(new Set(fields)).toEqual(new Set(['Content-Disposition', 'Content-Type']));
    expect(fields.filter((field) => field === 'Content-Disposition')).toHaveLength(3);
  });
});
