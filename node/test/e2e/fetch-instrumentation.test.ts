// What instrumentation sees of fetch's coded bodies, next to undici's fetch.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { gzipSync } from 'node:zlib';

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { fetch } from '../../src/index';
import { peer } from '../../src/undici/undici';
import { httpOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const TEXT = 'a'.repeat(50_000);
const CODED = gzipSync(TEXT);

let origin: Origin;
beforeAll(async () => {
  origin = await httpOrigin((request, response) => {
    response.setHeader('content-encoding', 'gzip');
    if (request.url?.startsWith('/sized')) response.setHeader('content-length', CODED.length);
    response.write(CODED.subarray(0, 10));
    response.end(CODED.subarray(10));
  });
});
afterAll(() => origin.close());

interface Sizes {
  readonly name: string;
  readonly encodedBodySize: number;
  readonly decodedBodySize: number;
  readonly transferSize: number;
}

const entries: Sizes[] = [];
const observer = new PerformanceObserver((list) => {
  entries.push(...(list.getEntries() as unknown as Sizes[]));
});
beforeAll(() => observer.observe({ entryTypes: ['resource'] }));
afterAll(() => observer.disconnect());

const LIBRARIES = { undici: peer.fetch, ours: fetch };

/** The sizes in the `resource` entry of each library's fetch. */
async function sizes(path: string): Promise<object[]> {
  const seen: object[] = [];
  for (const [name, call] of Object.entries(LIBRARIES)) {
    const url = `${origin.url}${path}?${name}`;
    const response = await call(url);
    expect(await response.text()).toBe(TEXT);
    const entry = await vi.waitUntil(() => entries.find((each) => each.name === url));
    const { encodedBodySize, decodedBodySize, transferSize } = entry;
    seen.push({ encodedBodySize, decodedBodySize, transferSize });
  }
  return seen;
}

describe('a coded body of fetch', () => {
  it.each(['/sized', '/chunked'])('has its sizes in the `resource` entry: %s', async (path) => {
    const [theirs, ours] = await sizes(path);
    expect(ours).toEqual(theirs);
    expect(ours).toMatchObject({ encodedBodySize: CODED.length });
  });

  it('reaches subscribers of `bodyChunkReceived` as it was received', async () => {
    const received: Buffer[] = [];
    const listener = (message: unknown): void => {
      received.push((message as { chunk: Buffer }).chunk);
    };
    subscribe('undici:request:bodyChunkReceived', listener);
    cleanup.add(() => unsubscribe('undici:request:bodyChunkReceived', listener));
    for (const [name, call] of Object.entries(LIBRARIES)) {
      expect(await (await call(`${origin.url}/chunked?seen-by-${name}`)).text()).toBe(TEXT);
      expect(Buffer.concat(received.splice(0)).equals(CODED)).toBe(true);
    }
    const [theirs, ours] = await sizes('/chunked');
    expect(ours).toEqual(theirs);
  });
});
