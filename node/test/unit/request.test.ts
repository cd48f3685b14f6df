import { EventEmitter } from 'node:events';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errors } from 'undici';

import { control, encode, flushed, turned } from '../support/addon';
import { Recorder } from '../support/recorder';
import { Client } from '../../src/dispatchers/client';
import { PIECE_OVERHEAD, WINDOW } from '../../src/wire/generated';

let client: Client;
let recorder: Recorder;

beforeEach(() => {
  control.reset();
  client = new Client('http://localhost:8080');
  recorder = new Recorder();
});

afterEach(async () => {
  const pools = control.of('PoolCreate').map((record) => record.slot);
  const destroyed = client.destroy();
  await flushed();
  control.deliver(...pools.map((pool) => control.poolClosed(pool)));
  await destroyed;
});

/** Dispatches a request and returns its record. */
async function start(handler: object = recorder, options: object = {}) {
  client.dispatch({ path: '/', method: 'GET', ...options }, handler);
  await flushed();
  return control.request;
}

describe('a request', () => {
  it('starts at dispatch, and is flushed once for all requests of one microtask', async () => {
    for (let i = 0; i < 5; i++) client.dispatch({ path: `/${i}`, method: 'GET' }, new Recorder());
    expect(control.submitCalls).toBe(0);
    await flushed();
    expect(control.submitCalls).toBe(1);
    expect(control.of('Dispatch').map((r) => r.head.split(' ')[1])).toEqual([
      '/0',
      '/1',
      '/2',
      '/3',
      '/4',
    ]);
  });

  it('gets head, chunks and end in order, with raw headers and trailers', async () => {
    const request = await start();
    let raw: unknown;
    recorder.during = (name, { controller }) => {
      if (name === 'head') raw = controller.rawHeaders;
    };
    control.deliver(
      control.head(
        request,
        201,
        [
          ['Content-Type', 'a/b'],
          ['X-\u00fc', '\u00ff'],
        ],
        'Created',
      ),
      control.data(request, 'abc'),
      control.largeData(request, Buffer.from('large')),
      control.end(request, [
        ['X-Sum', '1'],
        ['x-sum', '2'],
      ]),
    );
    expect(recorder.events).toEqual([
      ['start'],
      ['head', 201, { 'content-type': 'a/b', 'x-\u00fc': '\u00ff' }, 'Created'],
      ['data', 'abc'],
      ['data', 'large'],
      ['end', { 'x-sum': ['1', '2'] }],
    ]);
    const latin1 = (list: unknown) => (list as Buffer[]).map((b) => b.toString('latin1'));
    expect(latin1(raw)).toEqual(['Content-Type', 'a/b', 'X-\u00fc', '\u00ff']);
    expect(latin1(recorder.controller.rawTrailers)).toEqual(['X-Sum', '1', 'x-sum', '2']);
  });

  it('keeps its chunks when the inbound buffer is overwritten', async () => {
    const chunks: Buffer[] = [];
    const request = await start({
      ...recorder,
      onRequestStart() {},
      onResponseStart() {},
      onResponseEnd() {},
      onResponseError() {},
      onResponseData: (_: unknown, chunk: Buffer) => chunks.push(chunk),
    });
    control.deliver(control.head(request), control.data(request, 'first'));
    control.deliver(control.data(request, 'other'));
    expect(chunks.map(String)).toEqual(['first', 'other']);
  });

  it('gets informational heads before the final one', async () => {
    const request = await start();
    control.deliver(
      control.informational(request, 103, [['Link', '</a>']]),
      control.informational(request, 102),
      control.head(request, 200),
      control.end(request),
    );
    expect(recorder.events.map(([name, status]) => [name, status]).slice(1, 4)).toEqual([
      ['head', 103],
      ['head', 102],
      ['head', 200],
    ]);
  });

  it('reads a reason phrase as UTF-8', async () => {
    const request = await start();
    control.deliver(control.head(request, 200, [], Buffer.from('gr\u00fcn').toString('latin1')));
    expect(recorder.last('head')[3]).toBe('gr\u00fcn');
  });

  it("ignores completions for the slot's previous owner", async () => {
    const first = await start();
    recorder.controller.abort(new Error('gone'));
    control.deliver(control.head(first), control.data(first, 'x'), control.end(first));
    const second = new Recorder();
    const request = await start(second);
    expect(request.slot).toBe(first.slot);
    expect(request.generation).not.toBe(first.generation);
    control.deliver(control.head(first), control.data(first, 'x'), control.end(first));
    expect(second.names).toEqual(['start']);
    expect(recorder.names).toEqual(['start', 'error']);
  });

  it('that was aborted keeps its slot until the engine has released it', async () => {
    const first = await start();
    recorder.controller.abort(new Error('gone'));
    const second = await start(new Recorder());
    expect(second.slot).not.toBe(first.slot);
    control.deliver(control.head(first), control.data(first, 'x'));
    expect((await start(new Recorder())).slot).not.toBe(first.slot);
    control.deliver(control.end(first));
    const third = await start(new Recorder());
    expect([third.slot, third.generation]).toEqual([first.slot, first.generation + 1]);
  });

  it('reads a batch that did not fit the inbound buffer', async () => {
    const request = await start();
    const big = 'x'.repeat(300_000);
    control.deliver(control.head(request), control.data(request, big), control.end(request));
    expect((recorder.last('data')[1] as string).length).toBe(big.length);
    expect(recorder.names.at(-1)).toBe('end');
  });

  it('fails with the error that Rust reports', async () => {
    const request = await start();
    control.deliver(
      control.error(request, [
        ['Code', 10],
        ['Message', 'x'],
      ]),
    );
    expect(recorder.last('error')[1]).toBeInstanceOf(errors.HeadersTimeoutError);
    expect(client.stats.size).toBe(0);
  });
});

describe('abort', () => {
  it('settles immediately with the given reason and cancels', async () => {
    const request = await start();
    const reason = new Error('enough');
    recorder.controller.abort(reason);
    expect(recorder.last('error')[1]).toBe(reason);
    expect(recorder.controller.aborted).toBe(true);
    expect(recorder.controller.reason).toBe(reason);
    await flushed();
    expect(control.of('Cancel').map((r) => [r.slot, r.generation])).toEqual([
      [request.slot, request.generation],
    ]);
  });

  it('without a reason is a RequestAbortedError', async () => {
    await start();
    recorder.controller.abort();
    expect(recorder.last('error')[1]).toBeInstanceOf(errors.RequestAbortedError);
  });

  it('in onRequestStart writes nothing', async () => {
    recorder.during = (name, { controller }) => {
      if (name === 'start') controller.abort(new Error('early'));
    };
    client.dispatch({ path: '/', method: 'GET' }, recorder);
    await flushed();
    expect(recorder.names).toEqual(['start', 'error']);
    expect(control.submitted).toEqual([]);
  });

  it('happens once, and nothing of the batch is delivered after it', async () => {
    const request = await start();
    recorder.during = (name, { controller }) => {
      if (name === 'data') {
        controller.abort(new Error('one'));
        controller.abort(new Error('two'));
      }
    };
    control.deliver(
      control.head(request),
      control.data(request, 'a'),
      control.data(request, 'b'),
      control.end(request),
    );
    expect(recorder.names).toEqual(['start', 'head', 'data', 'error']);
  });

  it('after the end does nothing', async () => {
    const request = await start();
    control.deliver(control.head(request), control.end(request));
    recorder.controller.abort(new Error('late'));
    expect(recorder.names).toEqual(['start', 'head', 'end']);
  });

  it('of a request whose bytes have all arrived still fails it', async () => {
    const request = await start();
    recorder.during = (name, { controller }) => {
      if (name === 'head') controller.abort(new Error('no'));
    };
    control.deliver(control.head(request), control.data(request, 'a'), control.end(request));
    expect(recorder.names).toEqual(['start', 'head', 'error']);
    expect(control.of('Cancel').length).toBe(1);
  });

  it("listens to EventEmitter signals through the peer's request()", async () => {
    const signal = new EventEmitter();
    const response = client.request({ path: '/', method: 'GET', signal: signal });
    await flushed();
    signal.emit('abort');
    await expect(response).rejects.toBeInstanceOf(errors.RequestAbortedError);
  });
});

describe('a handler that throws', () => {
  const phases: [string, string[]][] = [
    ['start', ['start', 'error']],
    ['head', ['start', 'head', 'error']],
    ['data', ['start', 'head', 'data', 'error']],
    ['end', ['start', 'head', 'data', 'end', 'error']],
  ];
  for (const [phase, names] of phases) {
    it(`in ${phase} fails its request with that error`, async () => {
      const boom = new Error('boom');
      recorder.during = (name) => {
        if (name === phase) throw boom;
      };
      client.dispatch({ path: '/', method: 'GET' }, recorder);
      await flushed();
      const request = control.request as typeof control.request | undefined;
      if (request)
        control.deliver(control.head(request), control.data(request, 'x'), control.end(request));
      expect(recorder.names).toEqual(names);
      expect(recorder.last('error')[1]).toBe(boom);
      expect(client.stats.size).toBe(0);
    });
  }

  it('does not stop the other records of the batch', async () => {
    const bad = new Recorder();
    bad.during = (name) => {
      if (name === 'head' || name === 'error') throw new Error(name);
    };
    const reported: unknown[] = [];
    client.on('error' as never, (error: unknown) => reported.push(error));
    const first = await start(bad);
    const second = await start();
    control.deliver(control.head(first), control.head(second), control.end(second));
    expect(recorder.names).toEqual(['start', 'head', 'end']);
    expect(reported.map((error) => (error as Error).message)).toEqual(['error']);
  });

  it('in onResponseError becomes an uncaughtException, after the batch', async () => {
    const bad = new Recorder();
    const boom = new Error('unheard');
    bad.during = (name) => {
      if (name === 'error') throw boom;
    };
    const first = await start(bad);
    const second = await start();
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
    control.deliver(
      control.error(first, [
        ['Code', 16],
        ['Message', 'x'],
      ]),
      control.head(second),
      control.end(second),
    );
    expect(recorder.names).toEqual(['start', 'head', 'end']);
    expect(await caught).toBe(boom);
    for (const listener of listeners) process.on('uncaughtException', listener);
  });
});

describe('pause', () => {
  it('buffers the rest of the batch, and resume delivers it in order', async () => {
    const request = await start();
    recorder.during = (name, { controller, events }) => {
      if (name === 'data' && events.length === 3) controller.pause();
    };
    control.deliver(
      control.head(request),
      control.data(request, 'a'),
      control.data(request, 'b'),
      control.end(request, [['t', '1']]),
    );
    expect(recorder.names).toEqual(['start', 'head', 'data']);
    expect(recorder.controller.paused).toBe(true);
    recorder.controller.resume();
    expect(recorder.events.slice(3)).toEqual([
      ['data', 'b'],
      ['end', { t: '1' }],
    ]);
  });

  it('in onRequestStart lets the head through and holds the body', async () => {
    recorder.during = (name, { controller }) => {
      if (name === 'start') controller.pause();
    };
    const request = await start();
    control.deliver(control.head(request), control.data(request, 'a'));
    expect(recorder.names).toEqual(['start', 'head']);
    control.deliver(control.data(request, 'b'), control.end(request));
    recorder.controller.resume();
    expect(recorder.names).toEqual(['start', 'head', 'data', 'data', 'end']);
  });

  it('during the delivery of buffered chunks stops it again', async () => {
    const request = await start();
    recorder.during = (name, { controller }) => {
      if (name === 'data') controller.pause();
    };
    control.deliver(
      control.head(request),
      control.data(request, 'a'),
      control.data(request, 'b'),
      control.data(request, 'c'),
    );
    recorder.controller.resume();
    expect(recorder.names).toEqual(['start', 'head', 'data', 'data']);
    recorder.controller.resume();
    expect(recorder.names).toEqual(['start', 'head', 'data', 'data', 'data']);
  });

  it('and resume in one callback deliver nothing twice', async () => {
    const request = await start();
    recorder.during = (name, { controller }) => {
      if (name !== 'data') return;
      controller.pause();
      controller.resume();
    };
    control.deliver(
      control.head(request),
      control.data(request, 'a'),
      control.data(request, 'b'),
      control.end(request),
    );
    expect(recorder.events.slice(2)).toEqual([
      ['data', 'a'],
      ['data', 'b'],
      ['end', {}],
    ]);
  });

  it('does not delay an error', async () => {
    const request = await start();
    recorder.during = (name, { controller }) => {
      if (name === 'data') controller.pause();
    };
    control.deliver(control.head(request), control.data(request, 'a'), control.data(request, 'b'));
    control.deliver(
      control.error(request, [
        ['Code', 11],
        ['Message', ''],
      ]),
    );
    await turned();
    expect(recorder.names).toEqual(['start', 'head', 'data', 'error']);
    recorder.controller.resume();
    expect(recorder.names).toEqual(['start', 'head', 'data', 'error']);
  });
});

describe('credit', () => {
  // Including the overhead of a piece.
  const half = Buffer.alloc(WINDOW / 2 - PIECE_OVERHEAD, 'x');
  const credited = () => control.of('Credit').map((r) => r.payload.readUInt32LE(0));

  it('is returned once half of the window is delivered, with a larger window once all of it is', async () => {
    const request = await start();
    control.deliver(
      control.head(request),
      control.largeData(request, half.subarray(PIECE_OVERHEAD + 1)),
    );
    expect(credited()).toEqual([]);
    control.deliver(control.data(request, 'x'));
    expect(credited()).toEqual([WINDOW / 2]);
    control.deliver(control.largeData(request, half), control.largeData(request, half));
    expect(credited()).toEqual([WINDOW / 2, WINDOW / 2 + 3 * WINDOW, WINDOW / 2]);
  });

  it('is withheld while paused and returned on resume', async () => {
    const request = await start();
    recorder.during = (name, { controller }) => {
      if (name === 'data') controller.pause();
    };
    control.deliver(control.head(request), control.largeData(request, half));
    expect(credited()).toEqual([]);
    recorder.controller.resume();
    await flushed();
    expect(credited()).toEqual([WINDOW / 2]);
  });
});

it('is submitted once at the end of the batch when dispatched inside it', async () => {
  const request = await start();
  recorder.during = (name) => {
    if (name !== 'end') return;
    client.dispatch({ path: '/1', method: 'GET' }, new Recorder());
    client.dispatch({ path: '/2', method: 'GET' }, new Recorder());
  };
  const calls = control.submitCalls;
  control.deliver(control.head(request), control.end(request));
  expect(control.submitCalls).toBe(calls + 1);
  expect(control.of('Dispatch').length).toBe(3);
});

it('is padded so that the next record is aligned', () => {
  expect(encode({ kind: 1, slot: 1, generation: 1, payload: Buffer.from('abc') }).length).toBe(20);
});

it('does not deliver to a request that was destroyed with its client', async () => {
  const request = await start();
  const destroyed = client.destroy();
  control.deliver(control.head(request), control.end(request));
  expect(recorder.last('error')[1]).toBeInstanceOf(errors.ClientDestroyedError);
  await turned();
  control.deliver(control.poolClosed(control.of('PoolCreate')[0]!.slot));
  await destroyed;
});
