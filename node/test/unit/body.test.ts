import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errors } from 'undici';

import { control, flushed, turned, type SubmittedRecord } from '../support/addon';
import { Recorder } from '../support/recorder';
import { Client } from '../../src/dispatchers/client';
import { Pool } from '../../src/dispatchers/pool';
import { peerMajor, symbols } from '../../src/undici/undici';
import { BODY_SLICE, WireBody } from '../../src/wire/generated';

let client: Client;
class SendRecorder extends Recorder {
  sent: unknown[] = [];
  requestSent = 0;

  onBodySent(chunk: unknown): void {
    this.sent.push(chunk);
  }

  onRequestSent(): void {
    this.requestSent++;
  }
}

let recorder: SendRecorder;

beforeEach(() => {
  control.reset();
  client = new Client('http://localhost:8080');
  recorder = new SendRecorder();
});

afterEach(async () => {
  const pools = control.of('PoolCreate').map((record) => record.slot);
  const destroyed = client.destroy();
  await flushed();
  control.deliver(...pools.map((pool) => control.poolClosed(pool)));
  await destroyed;
});

async function start(body: unknown, options: object = {}): Promise<SubmittedRecord> {
  client.dispatch({ path: '/', method: 'POST', body, ...options } as never, recorder);
  await flushed();
  if (control.of('Dispatch').length === 0) await turned();
  return control.request;
}

const sentBytes = () =>
  Buffer.concat(control.of('BodyChunk').map((r) => r.payload)).toString('latin1');

describe('bytes', () => {
  it('that fit are copied into the first record', async () => {
    const body = Buffer.from('abc');
    client.dispatch({ path: '/', method: 'POST', body }, recorder);
    body.fill('x');
    await flushed();
    expect(control.request.aux).toBe(WireBody.Full);
    expect(control.request.body.toString()).toBe('abc');
    expect(control.request.bodyLength).toBe(3);
    expect(recorder.sent).toEqual([body]);
    expect(recorder.requestSent).toBe(1);
  });

  it('that do not fit are sent in slices, never more than was pulled', async () => {
    const body = Buffer.alloc(BODY_SLICE * 2 + 10, 'abcd');
    const request = await start(body);
    expect(request.aux).toBe(WireBody.Sized);
    expect(request.bodyLength).toBe(body.length);
    expect(sentBytes()).toBe('');
    control.deliver(control.pull(request, 5));
    expect(sentBytes()).toBe('abcda');
    control.deliver(control.pull(request, body.length));
    expect(sentBytes()).toBe(body.toString('latin1'));
    expect(control.of('BodyChunk').map((r) => r.payload.length)).toEqual([
      5,
      BODY_SLICE,
      BODY_SLICE,
      5,
    ]);
    expect(control.of('BodyEnd').length).toBe(1);
    expect(recorder.sent).toEqual([body]);
    expect(recorder.requestSent).toBe(1);
  });

  it('that are detached while waiting fail the request', async () => {
    const body = new Uint8Array(BODY_SLICE + 1);
    const request = await start(body);
    structuredClone(body.buffer, { transfer: [body.buffer] });
    control.deliver(control.pull(request, BODY_SLICE));
    expect(control.of('BodyChunk')).toEqual([]);
    expect(recorder.last('error')[1]).toBeInstanceOf(errors.RequestContentLengthMismatchError);
    expect(control.of('Cancel').length).toBe(1);
  });
});

describe('a stream', () => {
  it('is paused while there is no credit', async () => {
    const stream = new Readable({ read() {} });
    stream.push('one');
    const request = await start(stream);
    expect(request.aux).toBe(WireBody.Chunked);
    // What is available is sent with the head, so a server that responds immediately has it.
    expect(control.submitted.map((r) => r.kind)).toEqual(
      expect.arrayContaining(['Dispatch', 'BodyChunk']),
    );
    expect(control.submitCalls).toBe(1);
    expect(sentBytes()).toBe('one');
    stream.push('two');
    await turned();
    expect(sentBytes()).toBe('one');
    expect(stream.isPaused()).toBe(true);
    control.deliver(control.pull(request, 1));
    await turned();
    expect(sentBytes()).toBe('onet');
    control.deliver(control.pull(request, 100));
    stream.push(null);
    await turned();
    expect(sentBytes()).toBe('onetwo');
    expect(control.of('BodyEnd').length).toBe(1);
    expect(recorder.sent.map(String)).toEqual(['one', 'two']);
    expect(recorder.requestSent).toBe(1);
  });

  it('makes the socket emit drain only after it was full', async () => {
    const body = Object.assign(new EventEmitter(), { pipe: () => undefined });
    const request = await start(body);
    control.deliver(control.connected(control.of('PoolCreate')[0]!.slot));
    const socket = (client as unknown as Record<symbol, Socket>)[symbols.kSocket]!;
    let drains = 0;
    socket.on('drain', () => {
      drains++;
      // There is room for it: emitting drain here would never end.
      body.emit('data', 'more');
    });
    body.emit('data', 'ab');
    expect(socket.writableNeedDrain).toBe(true);
    control.deliver(control.pull(request, 1_000_000));
    body.emit('data', 'cd');
    expect(socket.writableNeedDrain).toBe(false);
    await flushed();
    expect(sentBytes()).toBe('abmorecd');
    expect(drains).toBe(1);
  });

  it('sends everything it has after one pull', async () => {
    const chunk = Buffer.alloc(100, 'x');
    const stream = new Readable({
      highWaterMark: 100,
      read() {
        this.push(chunk);
      },
    });
    const request = await start(stream);
    // From the event loop, as the addon does.
    const pull = async (): Promise<void> => {
      setImmediate(() => control.deliver(control.pull(request, 1000)));
      await turned();
    };
    await pull();
    const calls = control.submitCalls;
    const sent = sentBytes().length;
    await pull();
    expect(sentBytes().length).toBe(sent + 1000);
    expect(control.submitCalls).toBe(calls + 1);
  });

  it('that has produced nothing after one turn is sent chunked without waiting longer', async () => {
    const stream = new Readable({ read() {} });
    const request = await start(stream);
    expect(request.aux).toBe(WireBody.Chunked);
    control.deliver(control.pull(request, 100));
    stream.push('late');
    stream.push(null);
    await turned();
    expect(sentBytes()).toBe('late');
  });

  it('that fails aborts the request with its error and is destroyed', async () => {
    const stream = new Readable({ read() {} });
    stream.push('x');
    await start(stream);
    const boom = new Error('boom');
    stream.destroy(boom);
    await turned();
    expect(recorder.last('error')[1]).toBe(boom);
    expect(control.of('Cancel').length).toBe(1);
  });

  it('that fails before its first chunk writes nothing', async () => {
    const boom = new Error('boom');
    client.dispatch(
      {
        path: '/',
        method: 'POST',
        body: new Readable({
          read() {
            this.destroy(boom);
          },
        }),
      },
      recorder,
    );
    await turned();
    expect(recorder.last('error')[1]).toBe(boom);
    expect(control.of('Dispatch')).toEqual([]);
  });

  it('that is destroyed without an error is a RequestAbortedError', async () => {
    const stream = new Readable({ read() {} });
    stream.push('x');
    await start(stream);
    stream.destroy();
    await turned();
    expect(recorder.last('error')[1]).toBeInstanceOf(errors.RequestAbortedError);
  });

  it('is destroyed when the request is aborted', async () => {
    const stream = new Readable({ read() {} });
    await start(stream);
    recorder.controller.abort(new Error('no'));
    await turned();
    expect(stream.destroyed).toBe(true);
    expect(recorder.names).toEqual(['start', 'error']);
  });

  it('is destroyed when the response ends before it', async () => {
    const stream = new Readable({ read() {} });
    stream.push('x');
    const request = await start(stream);
    control.deliver(control.head(request, 413), control.end(request));
    await turned();
    expect(recorder.names).toEqual(['start', 'head', 'end']);
    expect(stream.destroyed).toBe(true);
  });

  it('longer than its declared length fails when strict', async () => {
    const request = await start(Readable.from(['abc', 'def']), {
      headers: { 'content-length': '4' },
    });
    control.deliver(control.pull(request, 100));
    await turned();
    expect(recorder.last('error')[1]).toBeInstanceOf(errors.RequestContentLengthMismatchError);
    expect(sentBytes()).toBe('abc');
  });

  it('shorter than its declared length fails when strict', async () => {
    const request = await start(Readable.from(['abc']), { headers: { 'content-length': '4' } });
    control.deliver(control.pull(request, 100));
    await turned();
    expect(recorder.last('error')[1]).toBeInstanceOf(errors.RequestContentLengthMismatchError);
    expect(control.of('BodyEnd')).toEqual([]);
  });

  it('longer than its declared length is cut off when not strict', async () => {
    client = new Client('http://localhost:8080', { strictContentLength: false });
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    const request = await start(Readable.from(['abc', 'def']), {
      headers: { 'content-length': '4' },
    });
    control.deliver(control.pull(request, 100));
    await turned();
    process.off('warning', onWarning);
    expect(sentBytes()).toBe('abcd');
    expect(control.of('BodyEnd').length).toBe(1);
    expect(warnings.map((w) => w.name)).toEqual(['RequestContentLengthMismatchError']);
  });
});

describe('an iterable', () => {
  it('is read only as fast as it is pulled, and its iterator is returned when the request is aborted', async () => {
    const log: string[] = [];
    async function* chunks() {
      try {
        for (let i = 0; ; i++) {
          log.push(`made ${i}`);
          yield `chunk ${i}`;
        }
      } finally {
        log.push('returned');
      }
    }
    const request = await start(chunks());
    await turned();
    // The first one was sent with the head.
    expect(log).toEqual(['made 0', 'made 1']);
    expect(sentBytes()).toBe('chunk 0');
    control.deliver(control.pull(request, 7));
    await turned();
    expect(log).toEqual(['made 0', 'made 1', 'made 2']);
    recorder.controller.abort(new Error('no'));
    await turned();
    expect(log).toEqual(['made 0', 'made 1', 'made 2', 'returned']);
    expect(sentBytes()).toBe('chunk 0chunk 1');
  });

  it('that throws aborts the request with its error', async () => {
    const boom = new Error('boom');
    // eslint-disable-next-line require-yield
    async function* chunks() {
      throw boom;
    }
    client.dispatch({ path: '/', method: 'POST', body: chunks() as never }, recorder);
    await turned();
    expect(recorder.last('error')[1]).toBe(boom);
    expect(control.of('Dispatch')).toEqual([]);
  });

  it('that fails when pulled is reported before a response that arrived with the pull', async () => {
    const boom = new Error('boom');
    async function* chunks() {
      yield 'a chunk';
      throw boom;
    }
    const request = await start(chunks());
    control.deliver(control.pull(request, 7), control.head(request), control.end(request));
    await turned();
    expect(recorder.last('error')[1]).toBe(boom);
    expect(recorder.names).toEqual(['start', 'error']);
  });

  it('that fails after a chunk sent with the head fails when that chunk is written', async () => {
    const boom = new Error('boom');
    async function* chunks() {
      yield 'a chunk';
      throw boom;
    }
    const request = await start(chunks());
    await turned();
    expect(sentBytes()).toBe('a chunk');
    expect(recorder.names).not.toContain('error');
    expect(control.of('Cancel')).toEqual([]);
    control.deliver(control.pull(request, 7));
    await turned();
    expect(recorder.last('error')[1]).toBe(boom);
    expect(control.of('Cancel').length).toBe(1);
  });

  it('that has ended is finished before a response that arrived with the pull is delivered', async () => {
    let isOver = false;
    let wasOver: boolean | undefined;
    async function* chunks() {
      try {
        yield 'a chunk';
      } finally {
        isOver = true;
      }
    }
    recorder.during = (name) => {
      if (name === 'head') wasOver = isOver;
    };
    const request = await start(chunks());
    control.deliver(control.pull(request, 7), control.head(request), control.end(request));
    await turned();
    expect(wasOver).toBe(true);
  });

  it('of something other than bytes and text is a TypeError', async () => {
    client.dispatch({ path: '/', method: 'POST', body: [1] as never }, recorder);
    await turned();
    expect(recorder.last('error')[1]).toBeInstanceOf(TypeError);
  });

  it('that is a synchronous generator is read in the same way', async () => {
    function* chunks() {
      yield 'a';
      yield Buffer.from('b');
    }
    const request = await start(chunks());
    control.deliver(control.pull(request, 10));
    await turned();
    expect(sentBytes()).toBe('ab');
    expect(control.of('BodyEnd').length).toBe(1);
  });
});

describe('order', () => {
  const paths = () => control.of('Dispatch').map((r) => r.head.split(' ')[1]);

  it('of a client is the order of dispatch, even behind a body whose length is not known yet', async () => {
    const body = Readable.from(['x']);
    client.dispatch({ path: '/1', method: 'POST', body }, recorder);
    client.dispatch({ path: '/2', method: 'GET' }, new SendRecorder());
    await turned();
    expect(paths()).toEqual(['/1', '/2']);
  });

  it('of a client continues when the body in front is aborted', async () => {
    client.dispatch({ path: '/1', method: 'POST', body: new Readable({ read() {} }) }, recorder);
    client.dispatch({ path: '/2', method: 'GET' }, new SendRecorder());
    recorder.controller.abort(new Error('no'));
    await flushed();
    expect(paths()).toEqual(['/2']);
  });

  it('of a pool does not let other requests wait for a body', async () => {
    const pool = new Pool('http://localhost:8080');
    pool.dispatch({ path: '/1', method: 'POST', body: new Readable({ read() {} }) }, recorder);
    pool.dispatch({ path: '/2', method: 'GET' }, new SendRecorder());
    await flushed();
    expect(paths()).toEqual(['/2']);
    await turned();
    expect(paths()).toEqual(['/2', '/1']);
  });
});

it('an error thrown by onBodySent fails the request', async () => {
  const boom = new Error('boom');
  recorder.onBodySent = () => {
    throw boom;
  };
  client.dispatch({ path: '/', method: 'POST', body: 'x' }, recorder);
  await flushed();
  expect(recorder.last('error')[1]).toBe(boom);
});

it('an object that merely calls itself a Blob is no body to undici 8', () => {
  const body = { [Symbol.toStringTag]: 'Blob', arrayBuffer: () => new ArrayBuffer(0) };
  client.dispatch({ path: '/', method: 'POST', body: body as never }, recorder);
  expect(recorder.names).toEqual(peerMajor >= 8 ? ['error'] : ['start']);
});

describe('a source that always has another chunk', () => {
  let made: number;

  async function* endless() {
    for (;;) {
      made++;
      yield 'x';
    }
  }

  function endlessStream(): Readable {
    return new Readable({
      read() {
        made++;
        this.push('x');
      },
    });
  }

  it.each([
    ['an iterable', endless],
    ['a stream', endlessStream],
  ])('yields to the event loop before the window is full: %s', async (_, source) => {
    made = 0;
    const request = await start(source());
    control.deliver(control.pull(request, 1024 * 1024));
    await new Promise((resolve) => setImmediate(resolve));
    expect(made).toBeGreaterThan(1000);
    expect(made).toBeLessThan(100_000);
    recorder.controller.abort();
    await turned();
    const after = made;
    await turned();
    expect(made).toBe(after);
  });
});

describe('the response to a body sent in pieces', () => {
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

  async function* pieces() {
    yield 'a piece';
  }

  async function sendPieces(): Promise<SubmittedRecord> {
    const request = await start(pieces());
    control.deliver(control.pull(request, 100));
    await turned();
    return request;
  }

  it('is delivered once the event loop has polled every socket', async () => {
    const request = await sendPieces();
    control.deliver(control.head(request), control.data(request, 'x'), control.end(request));
    await turn();
    expect(recorder.names).toEqual(['start']);
    await turn();
    expect(recorder.names).toEqual(['start', 'head', 'data', 'end']);
  });

  it('ends in a later turn than its batch arrived in', async () => {
    const request = await sendPieces();
    control.deliver(control.head(request));
    await turned();
    control.deliver(control.data(request, 'x'), control.end(request));
    await turn();
    expect(recorder.names).toEqual(['start', 'head', 'data']);
    await turn();
    expect(recorder.names).toEqual(['start', 'head', 'data', 'end']);
  });

  it('is not overtaken, and what follows it is delivered in the next turn', async () => {
    const [other, last] = [new Recorder(), new Recorder()];
    const pool = new Pool('http://localhost:8080');
    pool.dispatch({ path: '/1', method: 'POST', body: pieces() as never }, recorder);
    pool.dispatch({ path: '/2', method: 'GET' }, other);
    pool.dispatch({ path: '/3', method: 'GET' }, last);
    await turned();
    const [second, third, first] = control.of('Dispatch') as [
      SubmittedRecord,
      SubmittedRecord,
      SubmittedRecord,
    ];
    control.deliver(control.pull(first, 100));
    await turned();
    control.deliver(control.head(second), control.end(second), control.head(first));
    expect(other.names).toEqual(['start', 'head', 'end']);
    control.deliver(control.end(first), control.head(third), control.end(third));
    await turn();
    expect([recorder.names, last.names]).toEqual([['start'], ['start']]);
    await turn();
    expect([recorder.names, last.names]).toEqual([['start', 'head', 'end'], ['start']]);
    await turn();
    expect(last.names).toEqual(['start', 'head', 'end']);
  });

  it('is not delayed if the body was sent with the head', async () => {
    const request = await start('all of it');
    control.deliver(control.head(request), control.end(request));
    expect(recorder.names).toEqual(['start', 'head', 'end']);
  });
});
