// S32: a body resumed after a failure is the same body, or an error.

import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Agent, Client, interceptors, Pool, request, RetryAgent } from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const WHOLE = '0123456789abcdef';
const TOTAL = WHOLE.length;
/** The part sent before the connection broke. */
const SENT = 6;

let origin: Origin;
/** Responds to the request for the rest. */
let resume: (response: ServerResponse) => void;
let ranges: unknown[];
let closed: Promise<unknown>[];

function start(response: ServerResponse): void {
  response.writeHead(200, { 'content-length': TOTAL, etag: '"one"', 'accept-ranges': 'bytes' });
  response.write(WHOLE.slice(0, SENT), () => setImmediate(() => response.destroy()));
}

beforeAll(async () => {
  origin = await httpOrigin((incoming: IncomingMessage, response) => {
    ranges.push(incoming.headers.range);
    closed.push(new Promise((resolve) => response.once('close', resolve)));
    if (incoming.headers.range === undefined && ranges.length === 1) start(response);
    else resume(response);
  });
});
afterAll(() => origin.close());
beforeEach(() => {
  ranges = [];
  closed = [];
});

const OPTIONS = { minTimeout: 1, maxTimeout: 1, maxRetries: 1 };

const kinds = {
  'an Agent': () => new Agent().compose(interceptors.retry(OPTIONS)),
  'a Pool': () => new Pool(origin.url).compose(interceptors.retry(OPTIONS)),
  'a Client': () => new Client(origin.url).compose(interceptors.retry(OPTIONS)),
  'undici’s RetryAgent': () => new RetryAgent(new Agent(), OPTIONS),
};

/** What the reader got, and whether it completed. */
async function read(make: () => Agent): Promise<{ text: string; error: unknown }> {
  const dispatcher = make();
  cleanup.add(() => dispatcher.destroy());
  let text = '';
  try {
    const { body } = await request(origin.url, { dispatcher });
    for await (const chunk of body) text += String(chunk);
    return { text, error: null };
  } catch (error) {
    return { text, error };
  }
}

const range = (from: number, to: number, total: number | string) => `bytes ${from}-${to}/${total}`;
const partial =
  (headers: object, body = WHOLE.slice(SENT)) =>
  (response: ServerResponse) => {
    response.writeHead(206, { etag: '"one"', ...headers }).end(body);
  };
const good = { 'content-range': range(SENT, TOTAL - 1, TOTAL) };

describe.each(Object.entries(kinds))('s32 over %s', (_kind, make) => {
  const run = () => read(make as () => Agent);

  it('the rest of the same body completes it', async () => {
    resume = partial(good);
    expect(await run()).toEqual({ text: WHOLE, error: null });
    expect(ranges).toEqual([undefined, `bytes=${SENT}-${TOTAL - 1}`]);
  });

  const bad: Record<string, (response: ServerResponse) => void> = {
    'with another ETag': partial({ ...good, etag: '"two"' }),
    'from another byte on': partial({ 'content-range': range(SENT + 1, TOTAL - 1, TOTAL) }),
    'from the first byte on': partial({ 'content-range': range(0, TOTAL - 1, TOTAL) }, WHOLE),
    'without a range': partial({}),
    'with a range that says nothing': partial({ 'content-range': 'bytes a-b/c' }),
    'with a length that is not the range’s': partial(
      { ...good, 'content-length': TOTAL - SENT + 4 },
      `${WHOLE.slice(SENT)}evil`,
    ),
    'that is a new body': (response) => response.end('another body'),
    'that failed': (response) => response.writeHead(500).end('failed'),
    'that is not satisfiable': (response) => response.writeHead(416).end('no'),
  };

  it.each(Object.keys(bad))('a response %s is an error', async (name) => {
    resume = bad[name]!;
    const { text, error } = await run();
    expect(error).toBeInstanceOf(Error);
    expect(WHOLE.startsWith(text)).toBe(true);
    expect(text.length).toBeLessThan(TOTAL);
  });

  it('another total with the same ETag and range adds nothing to the announced body', async () => {
    resume = partial({ 'content-range': range(SENT, TOTAL - 1, TOTAL + 1) });
    expect(await run()).toEqual({ text: WHOLE, error: null });
  });

  it('a rejected response of any size is not read to its end', async () => {
    resume = (response) => {
      response.writeHead(206, { etag: '"two"', 'content-range': good['content-range'] });
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536))) continue;
      };
      response.on('drain', more);
      more();
    };
    expect((await run()).error).toBeInstanceOf(Error);
    // Its connection is gone, and with it the endless body.
    await Promise.all(closed);
    expect(ranges).toHaveLength(2);
  });
});

describe('s32 a decoded response that breaks off', () => {
  const coded = gzipSync(randomBytes(200_000));
  const makers: [string, (decompress?: boolean) => object][] = [
    [
      'the interceptor',
      (decompress) => new Agent({ decompress }).compose(interceptors.retry(OPTIONS)),
    ],
    ['RetryAgent', (decompress) => new RetryAgent(new Agent({ decompress }), OPTIONS)],
  ];
  const ways = makers.flatMap(([name, make]) => [
    [`${name}, decoded by request`, () => make(), { decompress: true }] as const,
    [`${name}, decoded by default`, () => make(true), {}] as const,
  ]);

  it.each(ways)('is not resumed at a number of decoded bytes: %s', async (_name, make, options) => {
    const seen: unknown[] = [];
    const server = await httpOrigin((incoming, response) => {
      seen.push(incoming.headers.range);
      const headers = { 'content-encoding': 'gzip', 'content-length': coded.length, etag: '"1"' };
      response.writeHead(200, headers);
      response.write(coded.subarray(0, 100_000), () => setImmediate(() => response.destroy()));
    });
    cleanup.add(() => server.close());
    const dispatcher = make() as Agent;
    cleanup.add(() => dispatcher.destroy());
    const { body } = await request(server.url, { dispatcher, ...options });
    await expect(body.arrayBuffer()).rejects.toMatchObject({
      code: expect.stringMatching(/^(UND_ERR_SOCKET|ECONNRESET)$/) as unknown,
    });
    expect(seen).toEqual([undefined]);
  });
});
