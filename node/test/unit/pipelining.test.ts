// Which requests of a client with `pipelining` above 1 count as running, and when they are sent.

import { getEventListeners } from 'node:events';
import { Readable } from 'node:stream';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Client } from '../../src/dispatchers/client';
import { symbols } from '../../src/undici/undici';
import { control, flushed, turned } from '../support/addon';
import { Recorder } from '../support/recorder';

let client: Client;

beforeEach(() => {
  control.reset();
});

afterEach(async () => {
  const destroyed = client.destroy();
  await flushed();
  control.deliver(...control.of('PoolCreate').map((record) => control.poolClosed(record.slot)));
  await destroyed;
});

const pool = () => control.of('PoolCreate')[0]!.slot;
const paths = () => control.of('Dispatch').map((record) => record.head.split(' ')[1]);
const record = (path: string) =>
  control.of('Dispatch').find((sent) => sent.head.split(' ')[1] === path)!;
const finish = (path: string) =>
  control.deliver(control.head(record(path)), control.end(record(path)));
const busy = () => (client as unknown as Record<symbol, boolean>)[symbols.kBusy];

function send(path: string, options: object = {}): Recorder {
  const recorder = new Recorder();
  client.dispatch({ path, method: 'GET', blocking: false, ...options }, recorder);
  return recorder;
}

/** A connected client without requests. */
async function connected(pipelining = 3): Promise<void> {
  client = new Client('http://localhost:8080', { pipelining });
  send('/first');
  await flushed();
  control.deliver(control.connected(pool()));
  await flushed();
  finish('/first');
}

describe('a client that pipelines', () => {
  it('connects first, and sends nothing before its connect listeners have run', async () => {
    client = new Client('http://localhost:8080', { pipelining: 2 });
    const seen: unknown[] = [];
    client.on('connect', () => seen.push({ ...client.stats }));
    for (const path of ['/a', '/b', '/c']) send(path);
    await flushed();
    expect(control.submitted.map((sent) => sent.kind)).toEqual(['PoolCreate', 'PoolConnect']);
    control.deliver(control.connected(pool()));
    await flushed();
    expect(seen).toEqual([{ connected: true, pending: 3, running: 0, size: 3 }]);
    expect(paths()).toEqual(['/a', '/b']);
    finish('/a');
    expect(paths()).toEqual(['/a', '/b', '/c']);
  });

  it('starts what a connect listener dispatches, and what waited before it', async () => {
    client = new Client('http://localhost:8080', { pipelining: 3 });
    const seen: unknown[] = [];
    client.on('connect', () => {
      seen.push({ ...client.stats }, busy());
      send('/b');
      seen.push({ ...client.stats }, busy());
    });
    send('/a');
    await flushed();
    control.deliver(control.connected(pool()));
    await flushed();
    expect(seen).toEqual([
      { connected: true, pending: 1, running: 0, size: 1 },
      true,
      { connected: true, pending: 0, running: 2, size: 2 },
      false,
    ]);
    expect(paths()).toEqual(['/a', '/b']);
  });

  it('sends nothing behind a blocking request before its head', async () => {
    await connected();
    send('/slow', { blocking: true });
    send('/next');
    await flushed();
    expect(paths()).toEqual(['/first', '/slow']);
    expect(busy()).toBe(true);
    control.deliver(control.informational(record('/slow'), 103));
    expect(paths()).toEqual(['/first', '/slow']);
    control.deliver(control.head(record('/slow')));
    expect(paths()).toEqual(['/first', '/slow', '/next']);
    expect(busy()).toBe(false);
  });

  for (const [what, options] of [
    ['a request that must not be repeated', { method: 'POST' }],
    ['an upgrade', { upgrade: 'echo' }],
    ['CONNECT', { method: 'CONNECT' }],
    ['a body from a stream', { method: 'PUT', idempotent: true, body: Readable.from(['x']) }],
  ] as const) {
    it(`starts ${what} only when nothing else runs`, async () => {
      await connected();
      send('/before');
      send('/alone', options);
      await turned();
      expect(paths()).toEqual(['/first', '/before']);
      expect(client.stats).toMatchObject({ pending: 1, running: 1 });
      finish('/before');
      await turned();
      expect(paths()).toEqual(['/first', '/before', '/alone']);
    });
  }

  it('sends nothing behind HEAD, which ends the connection, or behind a body in progress', async () => {
    await connected();
    send('/head', { method: 'HEAD' });
    send('/next');
    await flushed();
    expect(paths()).toEqual(['/first', '/head']);
    finish('/head');
    await flushed();
    expect(paths()).toEqual(['/first', '/head']);
    control.deliver(control.disconnected(pool()), control.connected(pool(), 2));
    await flushed();
    expect(paths()).toEqual(['/first', '/head', '/next']);
    finish('/next');

    const body = new Readable({ read() {} });
    send('/upload', { method: 'PUT', body });
    await turned();
    send('/after');
    expect(busy()).toBe(true);
    body.push(null);
    await turned();
    expect(paths().slice(3)).toEqual(['/upload', '/after']);
  });

  it('waits for the end of the turn before reading a stream’s length', async () => {
    await connected();
    const body = new Readable({ read() {} });
    send('/empty', { body });
    expect(client.stats).toMatchObject({ pending: 1, running: 0 });
    body.push(null);
    send('/next');
    await turned();
    expect(client.stats).toMatchObject({ pending: 0, running: 2 });
    expect(record('/empty').head).not.toContain('transfer-encoding');
  });

  it('takes requests back when the connection is lost, and does not send them twice', async () => {
    await connected();
    send('/a');
    send('/b');
    await flushed();
    control.deliver(control.disconnected(pool()));
    expect(client.stats).toEqual({ connected: false, pending: 2, running: 0, size: 2 });
    control.deliver(control.connected(pool(), 2));
    await flushed();
    expect(client.stats).toEqual({ connected: true, pending: 0, running: 2, size: 2 });
    expect(paths()).toEqual(['/first', '/a', '/b']);
  });

  it('does not call a handler again whose response has begun on the lost connection', async () => {
    await connected();
    const [answered, unanswered] = [send('/a'), send('/b')];
    answered.during = (name) => {
      if (name === 'head') answered.controller.pause();
    };
    await flushed();
    control.deliver(control.head(record('/a')), control.end(record('/a')));
    control.deliver(control.disconnected(pool()));
    control.deliver(control.connected(pool(), 2));
    await turned();
    expect(answered.names).toEqual(['start', 'head']);
    expect(unanswered.names).toEqual(['start', 'start']);
    answered.controller.resume();
    expect(answered.names).toEqual(['start', 'head', 'end']);
  });

  it('closes its connection when a request is aborted as it is about to be sent', async () => {
    await connected();
    const running = send('/a');
    const aborted = new Recorder();
    aborted.during = (name) => {
      if (name === 'start') aborted.controller.abort();
    };
    client.dispatch({ path: '/b', method: 'GET', blocking: false }, aborted);
    expect(aborted.names).toEqual(['start', 'error']);
    send('/c');
    await flushed();
    expect(control.of('ConnectionGiveUp').length).toBe(1);
    // Nothing is sent on a connection that is about to close.
    expect(paths()).toEqual(['/first', '/a']);
    control.deliver(control.disconnected(pool()));
    control.deliver(control.connected(pool(), 2));
    await flushed();
    expect(paths()).toEqual(['/first', '/a', '/c']);
    expect(running.names).toEqual(['start', 'start']);
  });

  it('keeps its connection when a handler throws as its request is about to be sent', async () => {
    await connected();
    const thrown = new Error('thrown');
    const recorder = new Recorder();
    recorder.during = (name) => {
      if (name === 'start') throw thrown;
    };
    client.dispatch({ path: '/a', method: 'GET' }, recorder);
    send('/b');
    await flushed();
    expect(recorder.last('error')).toEqual(['error', thrown]);
    expect(control.of('ConnectionGiveUp').length).toBe(0);
    expect(paths()).toEqual(['/first', '/b']);
  });

  it('notices a body that fails before its turn, and ignores signals afterwards', async () => {
    await connected();
    send('/slow', { blocking: true });
    const body = new Readable({ read() {} });
    const abort = new AbortController();
    const failing = send('/upload', { method: 'PUT', body, signal: abort.signal });
    const failure = new Error('failure');
    body.destroy(failure);
    await turned();
    expect(failing.names).toEqual(['error']);
    expect(failing.last('error')).toEqual(['error', failure]);
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    expect(control.of('ConnectionGiveUp').length).toBe(0);
  });

  it('fails every waiting request when connecting fails, then emits connectionError', async () => {
    client = new Client('http://localhost:8080', { pipelining: 2 });
    const recorders = ['/a', '/b', '/c'].map((path) => send(path));
    const seen: unknown[] = [];
    client.on('connectionError', () => seen.push(recorders.map((r) => r.names.at(-1))));
    await flushed();
    const refused = [
      ['Code', 9],
      ['Message', 'x'],
      ['SystemCode', 'ECONNREFUSED'],
    ] as [string, unknown][];
    control.deliver(control.connectFailed(pool(), refused));
    expect(seen).toEqual([['error', 'error', 'error']]);
    expect(client.stats.size).toBe(0);
  });

  it('applies a change of pipelining immediately', async () => {
    client = new Client('http://localhost:8080');
    for (const path of ['/a', '/b', '/c']) send(path);
    await flushed();
    control.deliver(control.connected(pool()));
    expect(client.stats.running).toBe(1);
    client.pipelining = 2;
    expect(client.stats.running).toBe(2);
    client.pipelining = 5;
    expect(client.stats.running).toBe(3);
    await flushed();
    expect(paths()).toEqual(['/a', '/b', '/c']);
  });
});

it('a stream is not read before all earlier requests of the connection have ended', async () => {
  client = new Client('http://localhost:8080');
  send('/a');
  let read = false;
  const body = new Readable({
    read() {
      read = true;
      this.push(null);
    },
  });
  send('/upload', { method: 'PUT', body });
  send('/after');
  await turned();
  expect(read).toBe(false);
  expect(paths()).toEqual(['/a']);
  control.deliver(control.connected(pool()));
  finish('/a');
  await turned();
  expect(read).toBe(true);
  expect(paths()).toEqual(['/a', '/upload', '/after']);
});
