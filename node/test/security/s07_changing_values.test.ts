// S7, S8: options that change while they are read, and a polluted Object.prototype.

import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Client } from '../../src/index';
import { httpsOrigin } from '../support/servers';
import { attempt, headLines, wireOrigin, type WireOrigin } from '../support/wire';

let origin: WireOrigin;
let client: Client;

beforeAll(async () => {
  origin = await wireOrigin();
  client = new Client(origin.url);
});

afterAll(async () => {
  await client.destroy();
  await origin.close();
});

const EVIL = 'ok\r\nx-injected: 1\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n';

/** Harmless the first `times` times it is read as text, harmful afterwards. */
function turncoat(harmless: string, times: number): object {
  let reads = 0;
  const read = () => (reads++ < times ? harmless : EVIL);
  return Object.assign(() => {}, { toString: read, [Symbol.toPrimitive]: read });
}

/** An object whose property `name` is harmless the first `times` times it is read. */
function changing(name: string, harmless: unknown, times: number, evil: unknown = EVIL): object {
  let reads = 0;
  return Object.defineProperty({}, name, {
    enumerable: true,
    get: () => (reads++ < times ? harmless : evil),
  });
}

/** A string object with one value for the checks and another for the wire. */
class TwoFaced extends String {
  override toLowerCase(): string {
    return 'x-fine';
  }

  override toString(): string {
    return EVIL;
  }
}

/** Runs and returns what was written; the marker proves that nothing else follows. */
async function written(options: object): Promise<string[]> {
  const before = origin.requests.length;
  const connections = origin.connections;
  await attempt(client, options);
  await attempt(client, { path: '/marker' });
  expect(origin.rest()).toBe('');
  expect(origin.connections - connections).toBeLessThanOrEqual(1);
  const requests = origin.requests.slice(before);
  expect(requests.pop()).toMatch(/^GET \/marker /);
  for (const request of requests) {
    for (const line of headLines(request)) {
      expect(line).not.toMatch(/^(x-injected|GET \/smuggled)/);
    }
  }
  expect(requests.length).toBeLessThanOrEqual(1);
  return requests;
}

describe('s07 a value that changes between reads', () => {
  for (const times of [0, 1, 2, 3]) {
    const after = `after ${times} reads`;

    for (const name of [
      'path',
      'method',
      'upgrade',
      'headers',
      'body',
      'query',
      'servername',
      'host',
    ]) {
      it(`is checked as it is sent: option ${name} ${after}`, async () => {
        const harmless: Record<string, unknown> = {
          path: '/fine',
          method: 'POST',
          headers: { x: 'fine' },
          body: 'fine',
          query: { a: 'b' },
        };
        const evil: Record<string, unknown> = { headers: { x: EVIL }, query: { [EVIL]: EVIL } };
        await written(
          Object.defineProperties(
            { method: 'POST', path: '/fine' },
            Object.getOwnPropertyDescriptors(
              changing(name, harmless[name] ?? 'fine', times, evil[name] ?? EVIL),
            ),
          ),
        );
      });
    }

    it(`is checked as it is sent: header value ${after}`, async () => {
      await written({ headers: changing('x', 'fine', times) });
      await written({ headers: { x: turncoat('fine', times) } });
      await written({ headers: { x: ['a', turncoat('fine', times)] } });
      await written({ headers: { host: turncoat('fine', times) } });
      await written({ headers: { 'content-type': turncoat('fine', times) } });
      await written({
        headers: { 'content-length': turncoat('0', times) },
        method: 'POST',
      });
      await written({ headers: ['x', turncoat('fine', times)] });
      await written({ headers: [['x', turncoat('fine', times)]] });
    });

    it(`is checked as it is sent: list of values ${after}`, async () => {
      let reads = 0;
      const list = new Proxy(['fine', 'fine'], {
        get: (target, key, receiver) =>
          typeof key === 'string' && /^\d+$/.test(key)
            ? reads++ < times
              ? 'fine'
              : EVIL
            : Reflect.get(target, key, receiver),
      });
      await written({ headers: { x: list } });
      reads = 0;
      await written({ headers: list });
    });

    it(`is checked as it is sent: a list with its own methods ${after}`, async () => {
      let calls = 0;
      const say = () => (calls++ < times ? ['fine'] : [EVIL]);
      class Own extends Array<string> {
        override map(): never {
          return say() as never;
        }
      }
      await written({ headers: { x: Own.of('a', 'b') } });
      await written({ headers: { 'content-type': Own.of('a') } });
      await written({ headers: { x: Object.assign(['a'], { map: say }) } });
    });

    it(`is checked as it is sent: header name ${after}`, async () => {
      await written({ headers: [turncoat('x-fine', times), 'v'] });
      await written({ headers: [[turncoat('x-fine', times), 'v']] });
      await written({ headers: [new TwoFaced('x-fine'), 'v'] });
      await written({ headers: [[new TwoFaced('x-fine'), 'v']] });
      await written({ headers: new Map([[new TwoFaced('x-fine'), 'v']]) });
    });

    it(`is checked as it is sent: a Proxy as headers ${after}`, async () => {
      let reads = 0;
      await written({
        headers: new Proxy(
          { a: 'fine', b: 'fine' },
          {
            get: (target, key) =>
              Object.hasOwn(target, key) ? (reads++ < times ? 'fine' : EVIL) : undefined,
          },
        ),
      });
    });

    it(`is checked as it is sent: type of a Blob ${after}`, async () => {
      const blob = new Blob(['x']);
      let reads = 0;
      Object.defineProperty(blob, 'type', { get: () => (reads++ < times ? 'a/b' : EVIL) });
      await written({ method: 'POST', body: blob });
    });

    it(`is checked as it is sent: length of bytes ${after}`, async () => {
      const bytes = Buffer.from('fine');
      let reads = 0;
      Object.defineProperty(bytes, 'byteLength', { get: () => (reads++ < times ? 4 : EVIL) });
      await written({ method: 'POST', body: bytes });
      const blob = new Blob(['x']);
      reads = 0;
      Object.defineProperty(blob, 'size', { get: () => (reads++ < times ? 1 : EVIL) });
      await written({ method: 'POST', body: blob });
    });
  }
});

describe('s07 a value that throws when it is read', () => {
  const failure = new Error('not today');
  const throwing = (name: string): object =>
    Object.defineProperty({}, name, {
      enumerable: true,
      get() {
        throw failure;
      },
    });

  const cases: Record<string, object> = {
    'as an option': Object.defineProperties({}, Object.getOwnPropertyDescriptors(throwing('path'))),
    'as a header': { headers: throwing('x') },
    'as a header list': {
      headers: {
        *[Symbol.iterator]() {
          yield ['a', 'b'];
          throw failure;
        },
      },
    },
    'as text of a header': {
      headers: {
        x: Object.assign(() => {}, {
          toString() {
            throw failure;
          },
        }),
      },
    },
    'as a Proxy': {
      headers: new Proxy(
        {},
        {
          ownKeys() {
            throw failure;
          },
        },
      ),
    },
  };

  for (const [name, options] of Object.entries(cases)) {
    it(`${name} fails that request alone, and nothing is written`, async () => {
      const given = { method: 'GET', path: '/' };
      Object.defineProperties(given, Object.getOwnPropertyDescriptors(options));
      const before = origin.requests.length;
      const errors: unknown[] = [];
      client.dispatch(given, {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData() {},
        onResponseEnd() {},
        onResponseError: (_controller: unknown, error: unknown) => errors.push(error),
      });
      expect(errors).toEqual([failure]);
      expect(client.stats.size).toBe(0);
      await attempt(client, { path: '/marker' });
      expect(origin.requests.slice(before)).toHaveLength(1);
      expect(origin.rest()).toBe('');
    });
  }
});

describe('s08 a polluted Object.prototype', () => {
  it('affects no request, no connection and no trust', async () => {
    const secure = await httpsOrigin((_request, response) => response.end());
    const before = origin.requests.length;
    const script = fileURLToPath(new URL('../support/polluted.mjs', import.meta.url));
    const child = spawn(process.execPath, [script, origin.url, secure.url]);
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    await secure.close();
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      dispatch: 200,
      request: 200,
      agent: 200,
      topLevel: 200,
      untrusted: expect.stringMatching(
        /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_\w+)$/,
      ),
      headers: { 'content-length': '0' },
    });
    const { host } = new URL(origin.url);
    expect(origin.requests.slice(before)).toEqual(
      ['/', '/dispatch', '/request', '/agent', '/top'].map(
        (path) => `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n\r\n`,
      ),
    );
  });
});
