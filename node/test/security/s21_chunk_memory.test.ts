// What a program can see around a chunk: `chunk.buffer` holds bytes of the same response only.

import type * as http from 'node:http';

import { describe, expect, it } from 'vitest';

import { Pool } from '../../src/index';
import { http2Origin, httpOrigin, httpsOrigin, type Origin } from '../support/servers';

/** Chunks of at least this size are in our memory; smaller ones are in Node's pool, like any small Buffer. */
const LARGE = 16 * 1024;
const AT_ONCE = 40;
const ROUNDS = 5;

/** The response to `/<length>/<byte>`: `length` times `byte`. */
function bodyOf(path: string | undefined): Buffer {
  const [, length, byte] = (path ?? '').split('/').map(Number);
  return Buffer.alloc(length as number, byte);
}

/**
 * How many large chunks one response had, and how many of them share memory with bytes of other
 * responses. What `body` emits may be a copy by Node's streams, in Node's pool.
 */
function strangers(pool: Pool, length: number, byte: number) {
  return new Promise<{ large: number; strange: number }>((resolve, reject) => {
    const seen = { large: 0, strange: 0 };
    pool.dispatch(
      { path: `/${length}/${byte}`, method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData(_controller, chunk) {
          if (chunk.length < LARGE) return;
          const all = Buffer.from(chunk.buffer);
          seen.large++;
          if (!all.equals(Buffer.alloc(all.length, byte))) seen.strange++;
        },
        onResponseEnd: () => resolve(seen),
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}

const answer: http.RequestListener = (request, response) => response.end(bodyOf(request.url));

describe.each<[string, () => Promise<Origin>]>([
  ['HTTP/1.1', () => httpOrigin(answer)],
  ['HTTP/1.1 over TLS', () => httpsOrigin(answer)],
  [
    'HTTP/2',
    () =>
      http2Origin(
        (stream, headers) => {
          stream.respond();
          stream.end(bodyOf(headers[':path']));
        },
        // By default, Node's server refuses streams above 10 MB in total.
        { maxSessionMemory: 100 },
      ),
  ],
])('s21 the memory of a chunk over %s', (_name, serve) => {
  it.each([48, 64, 100, 400])('holds only its own response (%i KiB)', async (kibibytes) => {
    const origin = await serve();
    const pool = new Pool(origin.url, { allowH2: true, ...origin.options, connections: 8 });
    try {
      let large = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const bytes = Array.from({ length: AT_ONCE }, (_, index) => 1 + ((round + index) % 250));
        const seen = await Promise.all(
          bytes.map((byte) => strangers(pool, kibibytes * 1024, byte)),
        );
        expect(seen.filter(({ strange }) => strange > 0)).toEqual([]);
        large += seen.reduce((sum, one) => sum + one.large, 0);
      }
      expect(large).toBeGreaterThan(0);
    } finally {
      await pool.destroy();
      await origin.close();
    }
  });
});
