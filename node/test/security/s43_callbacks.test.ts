// S43: the caller's callbacks other than handlers throw when the engine calls them: their
// request or connection fails, or there is an uncaught exception as with undici; process and pool
// continue. Handlers are in reentrancy.test.ts, sinks in Rust.

import type { LookupFunction } from 'node:net';

import { afterEach, expect, it } from 'vitest';

import { Client, Pool } from '../../src/index';
import { inChild } from '../support/child';
import { httpOrigin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function serve() {
  const origin = await httpOrigin((_request, response) => response.end('ok'));
  cleanup.add(() => origin.close());
  return origin;
}

const text = (dispatcher: Client | Pool) =>
  dispatcher.request({ path: '/', method: 'GET' }).then(({ body }) => body.text());

type Found = (error: null, addresses: unknown, family?: number) => void;

const lookups: Record<string, { lookup: (found: Found) => void; answer: 'ok' | 'error' }> = {
  throws: {
    lookup() {
      throw new Error('as the test wants it');
    },
    answer: 'error',
  },
  'answers with nonsense': { lookup: (found) => found(null, [{}]), answer: 'error' },
  'answers twice': {
    lookup(found) {
      found(null, [{ address: '127.0.0.1', family: 4 }]);
      found(null, [{ address: '127.0.0.2', family: 4 }]);
    },
    answer: 'ok',
  },
};

it.each(Object.entries(lookups))(
  'a lookup that %s concerns its own connection only',
  async (_what, { lookup, answer }) => {
    const origin = await serve();
    let calls = 0;
    const first: LookupFunction = (_host, _options, found) => {
      if (calls++ === 0) lookup(found as Found);
      else found(null, [{ address: '127.0.0.1', family: 4 }]);
    };
    const pool = new Pool(origin.url, { connections: 1, connect: { lookup: first } });
    cleanup.add(() => pool.destroy());
    expect(await text(pool).catch(() => 'error')).toBe(answer);
    expect(await text(pool)).toBe('ok');
    expect(calls).toBe(answer === 'ok' ? 1 : 2);
  },
);

it.each(['connect', 'disconnect', 'drain'])(
  'a listener of %j that throws is an uncaught exception, and the pool serves on',
  async (event) => {
    const origin = await serve();
    const outcome = await inChild(
      `const uncaught = [];
       process.on('uncaughtException', (error) => uncaught.push(error.message));
       const pool = new dodici.Pool(values.url, { connections: 1, pipelining: 1 });
       let thrown = false;
       pool.on(values.event, () => {
         if (thrown) return;
         thrown = true;
         throw new Error('as the test wants it');
       });
       const get = () => pool.request({ path: '/', method: 'GET', reset: true })
         .then(({ body }) => body.text(), (error) => error.message);
       const first = await Promise.all([get(), get(), get()]);
       const later = await get();
       await pool.destroy();
       return { uncaught, thrown, first, later };`,
      { values: { url: origin.url, event } },
    );
    expect(outcome).toMatchObject({
      uncaught: ['as the test wants it'],
      thrown: true,
      first: ['ok', 'ok', 'ok'],
      later: 'ok',
    });
  },
);
