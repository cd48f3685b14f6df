// The `request` of undici's diagnostics messages: undici's own object, which subscribers read and change.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { afterEach, describe, expect, it } from 'vitest';

import { Client, FormData, Pool } from '../../src/index';
import { peer } from '../../src/undici/undici';
import { Cleanup, wireOrigin } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

type Seen = Record<string, unknown> & {
  headers: unknown[];
  addHeader(name: string, value: unknown): unknown;
};

/** Calls `look` with the request of each message until the test ends. */
function observe(name: string, look: (request: Seen) => void): void {
  const listener = (message: unknown): void => look((message as { request: Seen }).request);
  subscribe(name, listener);
  cleanup.add(() => unsubscribe(name, listener));
}

async function open() {
  const origin = await wireOrigin();
  cleanup.add(() => origin.close());
  const client = new Client(origin.url);
  cleanup.add(() => client.destroy());
  const send = async (options: object): Promise<string> => {
    const { body } = await client.request({ path: '/', method: 'GET', ...options });
    await body.dump();
    return origin.requests.at(-1) as string;
  };
  return { origin, client, send };
}

const OPTIONS = [
  { headers: { 'x-one': '1', 'x-more': ['2', '3'], 'content-type': 'text/plain' } },
  { headers: ['x-one', '1', 'x-one', '2'], headersTimeout: 1000, bodyTimeout: 2000 },
  { method: 'POST', body: 'text', reset: true, idempotent: true, blocking: false },
  { method: 'POST', body: Buffer.from('bytes'), headers: { host: 'other.test' } },
  { method: 'PUT', body: new Uint8Array(0), query: { a: 1 } },
];

describe('the request of undici:request:create', () => {
  it.each(OPTIONS)('has the properties that undici’s has: %j', async (options) => {
    const { origin, send } = await open();
    const seen: Record<string, unknown>[] = [];
    const keys: string[][] = [];
    observe('undici:request:create', (request) => {
      keys.push(Object.keys(request).sort());
      // Without what undici keeps under symbols.
      seen.push(Object.fromEntries(Object.entries(request)));
    });
    await send(options);
    const theirs = new peer.Client(origin.url);
    cleanup.add(() => theirs.destroy());
    await (await theirs.request({ path: '/', method: 'GET', ...options })).body.dump();
    expect(keys[0]).toEqual(keys[1]);
    expect(seen[0]).toEqual(seen[1]);
  });

  it('accepts header fields that are pushed, added, changed and removed', async () => {
    const { send } = await open();
    observe('undici:request:create', (request) => {
      request.headers.push('x-pushed', 'yes', 'x-twice', ['a', 'b']);
      request.addHeader('x-added', 'too');
      request.headers[1] = 'changed';
      request.headers.splice(request.headers.indexOf('x-removed'), 2);
    });
    const wire = await send({ headers: { 'x-kept': 'before', 'x-removed': 'r' } });
    expect(wire.split('\r\n').filter((line) => line.startsWith('x-'))).toEqual([
      'x-kept: changed',
      'x-pushed: yes',
      'x-twice: a',
      'x-twice: b',
      'x-added: too',
    ]);
  });

  it('is sent as subscribers leave it', async () => {
    const { send } = await open();
    observe('undici:request:create', (request) => {
      Object.assign(request, { method: 'POST', path: '/new', host: 'other.test', body: 'changed' });
      request['reset'] = true;
    });
    const wire = await send({ path: '/old' });
    expect(wire).toMatch(/^POST \/new HTTP\/1\.1\r\nhost: other\.test\r\nconnection: close\r\n/);
    expect(wire).toMatch(/\r\ncontent-length: 7\r\n\r\nchanged$/);
  });

  it.each([
    ['a field', (request: Seen) => request.headers.push('x-bad', 'a\r\nb: c')],
    ['half a field', (request: Seen) => request.headers.push('x-bad')],
    ['a path', (request: Seen) => (request['path'] = '/a b')],
    ['a method', (request: Seen) => (request['method'] = 'GET /x')],
  ])('fails the request alone with %s that none may have', async (_what, change) => {
    const { origin, send } = await open();
    let isBad = true;
    observe('undici:request:create', (request) => {
      if (isBad) change(request);
    });
    await expect(send({})).rejects.toMatchObject({ code: 'UND_ERR_INVALID_ARG' });
    isBad = false;
    await send({ path: '/good' });
    expect(origin.requests).toHaveLength(1);
  });

  it('aborts its request, and reports how it ended', async () => {
    const { client } = await open();
    const states: unknown[] = [];
    const enough = new Error('enough');
    let kept: Seen | undefined;
    observe('undici:request:create', (request) => {
      kept = request;
      states.push([request['abort'], request['aborted'], request['completed']]);
    });
    const pending = client.request({ path: '/', method: 'GET' });
    (kept?.['abort'] as (reason: Error) => void)(enough);
    await expect(pending).rejects.toBe(enough);
    states.push([typeof kept?.['abort'], kept?.['aborted'], kept?.['completed']]);
    expect(states).toEqual([
      [null, false, false],
      ['function', true, false],
    ]);
  });

  it('is the same object in every message', async () => {
    const { send } = await open();
    const seen = new Set<unknown>();
    const names = ['create', 'bodySent', 'headers', 'trailers'];
    for (const name of names) observe(`undici:request:${name}`, (request) => seen.add(request));
    observe('undici:client:sendHeaders', (request) => seen.add(request));
    await send({ method: 'POST', body: 'x' });
    const [request] = [...seen] as Seen[];
    expect(seen.size).toBe(1);
    expect(request?.['completed']).toBe(true);
  });

  it('has the content-type of the request’s form', async () => {
    const origin = await wireOrigin();
    cleanup.add(() => origin.close());
    const pool = new Pool(origin.url);
    cleanup.add(() => pool.destroy());
    observe('undici:request:create', (request) => request.headers.push('x-pushed', 'yes'));
    const form = new FormData();
    form.set('field', 'value');
    await (await pool.request({ path: '/', method: 'POST', body: form })).body.dump();
    expect(origin.requests[0]).toMatch(/\r\nx-pushed: yes\r\ncontent-type: multipart\/form-data/);
  });
});
