// What is reported to Rust of pause() and resume(), with a scripted addon.

import { afterEach, beforeEach, expect, it } from 'vitest';

import { control, flushed, turned } from '../support/addon';
import { Recorder } from '../support/recorder';
import { Client } from '../../src/index';
import { CreditFlag, PIECE_OVERHEAD, WINDOW } from '../../src/wire/generated';

let client: Client;
let recorder: Recorder;

beforeEach(() => {
  control.reset();
  client = new Client('http://localhost:3000');
  recorder = new Recorder();
});
afterEach(() => void client.destroy().catch(() => {}));

/** The `Credit` records so far: bytes, and whether paused. */
const told = () =>
  control.of('Credit').map((r) => [r.payload.readUInt32LE(0), r.flags === CreditFlag.Paused]);

async function start(options: object = {}) {
  client.dispatch({ path: '/', method: 'GET', ...options }, recorder);
  await flushed();
  return control.request;
}

it('a pause that outlasts the event loop turn is reported, and its end immediately', async () => {
  const request = await start();
  control.deliver(control.head(request));
  recorder.controller.pause();
  await flushed();
  expect(told()).toEqual([]);
  await turned();
  expect(told()).toEqual([[0, true]]);
  recorder.controller.resume();
  await flushed();
  expect(told()).toEqual([
    [0, true],
    [0, false],
  ]);
});

it('a pause that ends within the turn needs no record', async () => {
  const request = await start();
  recorder.during = (name, { controller }) => {
    if (name === 'data') controller.pause();
  };
  for (let i = 0; i < 3; i++) {
    control.deliver(...(i === 0 ? [control.head(request)] : []), control.data(request, 'x'));
    recorder.controller.resume();
  }
  await turned();
  expect(recorder.names).toEqual(['start', 'head', 'data', 'data', 'data']);
  expect(told()).toEqual([]);
});

it('outstanding credit is returned at the end of the pause', async () => {
  const request = await start();
  control.deliver(control.head(request), control.data(request, 'abc'));
  recorder.controller.pause();
  await turned();
  recorder.controller.resume();
  recorder.controller.pause();
  await turned();
  expect(told()).toEqual([
    [0, true],
    [3 + PIECE_OVERHEAD, false],
    [0, true],
  ]);
  const half = Buffer.alloc(WINDOW / 2 - PIECE_OVERHEAD, 'x');
  control.deliver(control.largeData(request, half));
  recorder.controller.resume();
  await flushed();
  expect(told().slice(3)).toEqual([
    [0, false],
    [WINDOW / 2, false],
  ]);
});

it('a pause before the head is reported with the head', async () => {
  recorder.during = (name, { controller }) => {
    if (name === 'start') controller.pause();
  };
  const request = await start();
  await turned();
  control.deliver(control.head(request));
  await turned();
  expect(told()).toEqual([[0, true]]);
});

it('a pause before the final head is reported with it, if it lasts', async () => {
  const request = await start();
  recorder.controller.pause();
  await turned();
  control.deliver(control.informational(request, 103));
  await turned();
  expect(told()).toEqual([]);
  control.deliver(control.head(request));
  await turned();
  expect(told()).toEqual([[0, true]]);
});

it('a pause that ends with the final head is not reported', async () => {
  const request = await start();
  recorder.controller.pause();
  await turned();
  recorder.during = (name, { controller }) => {
    if (name === 'head') controller.resume();
  };
  control.deliver(control.head(request));
  await turned();
  expect(told()).toEqual([]);
});

it('the pause of a request that has ended by the end of the turn is not reported', async () => {
  const request = await start();
  control.deliver(control.head(request));
  recorder.controller.pause();
  recorder.controller.abort();
  await turned();
  expect(told()).toEqual([]);
});

it('an upgraded stream is not paused along with its handler', async () => {
  const request = await start({ upgrade: 'x' });
  recorder.controller.pause();
  await turned();
  control.deliver(control.upgrade(request));
  recorder.controller.resume();
  await turned();
  expect(recorder.names).toEqual(['start', 'upgrade']);
  expect(told()).toEqual([]);
  (recorder.last('upgrade')[3] as { destroy(): void }).destroy();
});

it('an upgrade that arrives after its pool’s destroy() is cancelled', async () => {
  await start({ upgrade: 'x' });
  void client.destroy();
  await flushed();
  expect(recorder.names).toEqual(['start', 'error']);
  expect(control.of('PoolDestroy')).toHaveLength(1);
  expect(control.of('Cancel').map((r) => r.slot)).toEqual([control.of('Dispatch')[0]!.slot]);
});
