// A request's callbacks run in the caller's asynchronous context, and never in another's.

import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage } from 'node:http';
import { Writable } from 'node:stream';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Agent, Client, type Dispatcher, Pool } from '../../src/index';
import { httpOrigin, type Origin } from '../support/servers';

const storage = new AsyncLocalStorage<string>();
const JOBS = ['one', 'two', 'three'];

let origin: Origin;

beforeAll(async () => {
  origin = await httpOrigin((request: IncomingMessage, response) => {
    request.resume();
    response.writeEarlyHints({ link: '</a.css>; rel=preload; as=style' });
    request.on('end', () => {
      response.write('a');
      setImmediate(() => response.end('b'));
    });
  });
});

afterAll(() => origin.close());

/** The contexts in which callbacks ran, by job. */
class Log {
  readonly wrong: string[] = [];
  count = 0;

  note(job: string | undefined, where: string): void {
    this.count++;
    const store = storage.getStore();
    if (store !== job) this.wrong.push(`${where} of ${job} in ${store}`);
  }
}

const DISPATCHERS: Record<string, () => Dispatcher> = {
  'a Client': () => new Client(origin.url),
  'a Client that pipelines': () => new Client(origin.url, { pipelining: 3 }),
  'a Pool of one connection': () => new Pool(origin.url, { connections: 1 }),
  'an Agent': () => new Agent(),
  'a composed Agent': () =>
    new Agent().compose((dispatch) => (options, handler) => dispatch(options, handler)),
};

async function* chunks(log: Log, job: string): AsyncGenerator<Buffer> {
  for (let i = 0; i < 20; i++) {
    log.note(job, 'body source');
    yield await Promise.resolve(Buffer.alloc(100_000));
  }
}

/** Every callback of one job. */
async function run(dispatcher: Dispatcher, log: Log, job: string): Promise<void> {
  const note = (where: string): void => log.note(job, where);
  const options = { origin: origin.url, path: '/', method: 'GET' } as const;

  const first = await dispatcher.request({ ...options, onInfo: () => note('onInfo') });
  note('await');
  for (const event of ['data', 'end', 'close']) first.body.on(event, () => note(`body ${event}`));
  await new Promise((resolve) => first.body.on('close', resolve));

  await new Promise<void>((resolve, reject) => {
    dispatcher.stream(
      { ...options, opaque: null },
      () => {
        note('stream factory');
        return new Writable({
          write(_chunk, _encoding, done) {
            note('stream write');
            done();
          },
        });
      },
      (error) => {
        note('stream callback');
        if (error) reject(error);
        else resolve();
      },
    );
  });

  await new Promise<void>((resolve, reject) => {
    dispatcher.dispatch(
      { ...options, method: 'POST', body: chunks(log, job) as unknown as Buffer },
      {
        onRequestStart: () => note('onRequestStart'),
        onResponseStart: () => note('onResponseStart'),
        onResponseData: () => note('onResponseData'),
        onResponseEnd() {
          note('onResponseEnd');
          resolve();
        },
        onResponseError: (_controller, error) => reject(error),
        onBodySent: () => note('onBodySent'),
        onRequestSent: () => note('onRequestSent'),
      },
    );
  });

  await new Promise<void>((resolve) => {
    dispatcher.dispatch(
      { origin: origin.url, path: '/', method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart(controller) {
          controller.abort(new Error('enough'));
        },
        onResponseData() {},
        onResponseEnd() {},
        onResponseError() {
          note('onResponseError');
          resolve();
        },
      },
    );
  });
}

describe('callbacks run in the context of their request', () => {
  for (const [name, make] of Object.entries(DISPATCHERS)) {
    it(`with ${name}, of which three jobs use one at a time`, async () => {
      const dispatcher = make();
      const log = new Log();
      await Promise.all(JOBS.map((job) => storage.run(job, run, dispatcher, log, job)));
      expect(log.wrong).toEqual([]);
      expect(log.count).toBeGreaterThan(JOBS.length * 40);
      await dispatcher.destroy();
    });
  }

  it('and outside of any they run in none, beside jobs that have one', async () => {
    const pool = new Pool(origin.url, { connections: 1 });
    const log = new Log();
    await Promise.all([
      ...JOBS.map((job) => storage.run(job, run, pool, log, job)),
      run(pool, log, undefined as never),
    ]);
    expect(log.wrong).toEqual([]);
    await pool.destroy();
  });
});
