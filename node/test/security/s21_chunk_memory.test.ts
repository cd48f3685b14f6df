// What a program can see around a chunk: `chunk.buffer` holds bytes of that chunk's response alone.

import type * as http from 'node:http';

import { describe, expect, it } from 'vitest';

import { Pool } from '../../src/index';
import { http2Origin, httpOrigin, httpsOrigin, type Origin } from '../support/servers';

/** Chunks from here on have memory of ours; smaller ones lie in Node's own pool, as any small Buffer. */
const LARGE = 16 * 1024;
const AT_ONCE = 40;
const ROUNDS = 5;

/** What `/<length>/<byte>` is answered with: so many of this byte. */
function bodyOf(path: string | undefined): Buffer {
  const [, length, byte] = (path ?? '').split('/').map(Number);
  return Buffer.alloc(length as number, byte);
}

/**
 * How many large chunks of one response were told, and how many of them lie beside bytes that are not
 * that response's. What `body` hands on may be a copy of Node's streams, in Node's pool.
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
        // By default Node's server refuses streams above 10 MB for all of them.
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
