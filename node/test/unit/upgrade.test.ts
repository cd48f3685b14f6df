import type { Duplex } from 'node:stream';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { control, flushed, turned, type SubmittedRecord } from '../support/addon';
import { Recorder } from '../support/recorder';
import { Client } from '../../src/dispatchers/client';
import { Pool } from '../../src/dispatchers/pool';
import { FEW, PIECE_OVERHEAD, WINDOW } from '../../src/wire/generated';

let client: Client;
let request: SubmittedRecord;
let recorder: Recorder;
let socket: Duplex & {
  ref(): unknown;
  unref(): unknown;
  setTimeout(ms: number, cb?: () => void): unknown;
};

beforeEach(async () => {
  control.reset();
  client = new Client('http://localhost:8080');
  recorder = new Recorder();
  client.dispatch({ path: '/', method: 'GET', upgrade: 'Websocket' }, recorder);
  await flushed();
  request = control.request;
  control.deliver(control.upgrade(request, 101, [['Upgrade', 'Websocket']]));
  socket = recorder.last('upgrade')[3] as typeof socket;
});

afterEach(async () => {
  socket.on('error', () => {});
  socket.destroy();
  const destroyed = client.destroy();
  await flushed();
  control.deliver(control.poolClosed(request.pool));
  await destroyed;
});

const sent = () => Buffer.concat(control.of('BodyChunk').map((r) => r.payload)).toString('latin1');

describe('an upgraded socket', () => {
  it('comes with status and headers, and its request no longer counts', () => {
    expect(recorder.last('upgrade').slice(1, 3)).toEqual([101, { upgrade: 'Websocket' }]);
    expect((recorder.controller.rawHeaders as Buffer[]).map(String)).toEqual([
      'Upgrade',
      'Websocket',
    ]);
    expect(client.stats.size).toBe(0);
  });

  it('is still pulled after the peer has ended its side', async () => {
    socket.resume();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    control.deliver(control.pull(request, 2), control.data(request, ''));
    socket.write('abcd');
    await turned();
    await flushed();
    expect(sent()).toBe('ab');
    control.deliver(control.pull(request, 10));
    await turned();
    await flushed();
    expect(sent()).toBe('abcd');
    expect(control.of('BodyEnd')).toHaveLength(1);
    control.deliver(control.end(request));
    await closed;
    expect(control.of('Cancel')).toHaveLength(0);
  });

  it('keeps its slot until Rust has sent what was written, although both sides have ended', async () => {
    socket.resume();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.end('abcd');
    control.deliver(control.pull(request, 10), control.data(request, ''));
    await closed;
    await flushed();
    expect(sent()).toBe('abcd');
    const other = new Recorder();
    client.dispatch({ path: '/', method: 'GET' }, other);
    await flushed();
    const [, behind] = control.of('Dispatch') as [SubmittedRecord, SubmittedRecord];
    expect(behind.slot).not.toBe(request.slot);
    control.deliver(control.end(request), control.head(behind), control.end(behind));
    client.dispatch({ path: '/', method: 'GET' }, other);
    client.dispatch({ path: '/', method: 'GET' }, other);
    await flushed();
    const slots = control.of('Dispatch').map((record) => record.slot);
    expect(slots.slice(2).sort()).toEqual([request.slot, behind.slot].sort());
    expect(control.of('Cancel')).toEqual([]);
  });

  it('ends for the reader once earlier writes have been sent and the reader wants more', async () => {
    let ended = false;
    socket.on('end', () => (ended = true));
    socket.resume();
    expect(socket.write(Buffer.alloc(socket.writableHighWaterMark))).toBe(false);
    control.deliver(control.data(request, ''));
    await turned();
    expect(ended).toBe(false);
    socket.once('drain', () => socket.pause());
    control.deliver(control.pull(request, 1 << 20));
    await turned();
    await turned();
    expect(ended).toBe(false);
    const end = new Promise((resolve) => socket.once('end', resolve));
    socket.resume();
    await end;
  });

  it('closes when both sides have ended, whatever it still has to write', async () => {
    socket.resume();
    socket.write('abcd');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    control.deliver(control.end(request));
    await closed;
    expect(socket.writableFinished).toBe(true);
  });

  it('reads what arrives and ends', async () => {
    const chunks: string[] = [];
    socket.on('data', (chunk) => chunks.push(String(chunk)));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    control.deliver(
      control.pull(request, 100),
      control.data(request, 'ab'),
      control.data(request, 'c'),
    );
    await turned();
    expect(chunks.join('')).toBe('abc');
    control.deliver(control.end(request));
    await ended;
    // Ending one side ends the other, without cutting anything off.
    expect(control.of('BodyEnd').length).toBe(1);
    expect(control.of('Cancel')).toEqual([]);
    // Rust has released it: its slot goes to the next one.
    client.dispatch({ path: '/', method: 'GET' }, new Recorder());
    await flushed();
    expect(control.of('Dispatch').at(-1)!.slot).toBe(request.slot);
  });

  it('writes only as much as is pulled', async () => {
    let written = false;
    socket.write('hello', () => {
      written = true;
    });
    await flushed();
    expect(sent()).toBe('');
    control.deliver(control.pull(request, 2));
    expect(sent()).toBe('he');
    expect(written).toBe(false);
    control.deliver(control.pull(request, 100));
    await turned();
    expect(sent()).toBe('hello');
    expect(written).toBe(true);
    socket.end('!');
    await turned();
    expect(sent()).toBe('hello!');
    expect(control.of('BodyEnd').length).toBe(1);
  });

  it('returns credit only as it is read', async () => {
    const half = Buffer.alloc(WINDOW / 2 - PIECE_OVERHEAD);
    control.deliver(control.largeData(request, half));
    await turned();
    expect(control.of('Credit')).toEqual([]);
    socket.resume();
    await turned();
    expect(control.of('Credit').map((r) => r.payload.readUInt32LE(0))).toEqual([WINDOW / 2]);
  });

  it('cancels when destroyed, and calls the callback of the pending write', async () => {
    const failed = new Promise((resolve) => socket.write('x', resolve));
    const boom = new Error('boom');
    const emitted = new Promise((resolve) => socket.once('error', resolve));
    socket.destroy(boom);
    expect(await failed).toBe(boom);
    expect(await emitted).toBe(boom);
    expect(control.of('Cancel').map((r) => [r.slot, r.generation])).toEqual([
      [request.slot, request.generation],
    ]);
  });

  it('is destroyed with the error that Rust reports', async () => {
    const emitted = new Promise<any>((resolve) => socket.once('error', resolve));
    control.deliver(
      control.error(request, [
        ['Code', 16],
        ['Message', 'other side closed'],
      ]),
    );
    expect((await emitted).code).toBe('UND_ERR_SOCKET');
  });

  it('outlives its client, as a detached socket does', async () => {
    const destroyed = client.destroy();
    await flushed();
    expect(socket.destroyed).toBe(false);
    control.deliver(control.poolClosed(request.pool), control.data(request, 'still'));
    await destroyed;
    const [chunk] = await new Promise<unknown[]>((resolve) =>
      socket.once('data', (...args) => resolve(args)),
    );
    expect(String(chunk)).toBe('still');
    client = new Client('http://localhost:8080');
  });
});

describe('a handler that throws in onRequestUpgrade', () => {
  it('gets that error, and the socket is destroyed', async () => {
    const bad = new Recorder();
    const boom = new Error('boom');
    bad.during = (name) => {
      if (name === 'upgrade') throw boom;
    };
    client.dispatch({ path: 'a:1', method: 'CONNECT' }, bad);
    await flushed();
    control.deliver(control.upgrade(control.request, 200));
    const made = bad.last('upgrade')[3] as Duplex;
    made.on('error', () => {});
    expect(bad.last('error')[1]).toBe(boom);
    expect(made.destroyed).toBe(true);
    expect(control.of('Cancel').length).toBe(1);
    expect(client.stats.size).toBe(0);
  });
});

describe('many upgraded sockets', () => {
  it('do not count as requests in flight: a few responses still take turns', async () => {
    const pool = new Pool('http://localhost:8080');
    for (let i = 0; i <= FEW; i++) {
      pool.dispatch({ path: '/', method: 'GET', upgrade: 'Websocket' }, new Recorder());
      await flushed();
      control.deliver(control.upgrade(control.request, 101));
    }
    const recorders = [new Recorder(), new Recorder()];
    for (const each of recorders) pool.dispatch({ path: '/', method: 'GET' }, each);
    await flushed();
    const [first, second] = control.of('Dispatch').slice(-2) as [SubmittedRecord, SubmittedRecord];
    control.deliver(
      control.head(first),
      control.end(first),
      control.head(second),
      control.end(second),
    );
    expect(recorders.map(({ names }) => names.includes('end'))).toEqual([true, false]);
    await turned();
    expect(recorders.map(({ names }) => names.includes('end'))).toEqual([true, true]);
    const destroyed = pool.destroy();
    await flushed();
    control.deliver(control.poolClosed(first.pool));
    await destroyed;
  });
});
