import { beforeEach, describe, expect, it } from 'vitest';
import { errors, interceptors } from 'undici';

import { control, flushed } from '../support/addon';
import { Client } from '../../src/dispatchers/client';

let client: Client;
let events: unknown[][];

const strings = (list: readonly Buffer[]) => list.map((entry) => entry.toString('latin1'));

class Legacy {
  abort!: (reason?: Error) => void;
  resume!: () => void;
  headersResult: boolean | undefined;
  dataResult: boolean | undefined;

  onConnect(abort: (reason?: Error) => void) {
    this.abort = abort;
    events.push(['connect']);
  }

  onHeaders(status: number, raw: readonly Buffer[], resume: () => void, text: string) {
    this.resume = resume;
    events.push(['headers', status, strings(raw), text]);
    return this.headersResult;
  }

  onData(chunk: Buffer) {
    events.push(['data', String(chunk)]);
    return this.dataResult;
  }

  onComplete(raw: readonly Buffer[]) {
    events.push(['complete', strings(raw)]);
  }

  onError(error: Error) {
    events.push(['error', error]);
  }

  onUpgrade(status: number, raw: readonly Buffer[], socket: unknown) {
    events.push(['upgrade', status, strings(raw), typeof socket]);
  }
}

beforeEach(() => {
  control.reset();
  client = new Client('http://localhost:8080');
  events = [];
});

async function start(handler: object, options: object = {}) {
  client.dispatch({ path: '/', method: 'GET', ...options }, handler);
  await flushed();
  return control.request;
}

describe('a legacy handler', () => {
  it('gets all callbacks in its own form', async () => {
    const request = await start(new Legacy());
    control.deliver(
      control.head(request, 200, [['Content-Type', 'a/b']]),
      control.data(request, 'x'),
      control.end(request, [['T', '1']]),
    );
    expect(events).toEqual([
      ['connect'],
      ['headers', 200, ['Content-Type', 'a/b'], 'OK'],
      ['data', 'x'],
      ['complete', ['T', '1']],
    ]);
  });

  it('pauses by returning false and continues by calling resume', async () => {
    const handler = new Legacy();
    handler.headersResult = false;
    handler.dataResult = false;
    const request = await start(handler);
    control.deliver(
      control.head(request),
      control.data(request, 'a'),
      control.data(request, 'b'),
      control.end(request),
    );
    expect(events.length).toBe(2);
    handler.resume();
    expect(events.length).toBe(3);
    handler.dataResult = undefined;
    handler.resume();
    expect(events.map(([name]) => name)).toEqual([
      'connect',
      'headers',
      'data',
      'data',
      'complete',
    ]);
  });

  it('aborts with its reason', async () => {
    const handler = new Legacy();
    await start(handler);
    const reason = new Error('no');
    handler.abort(reason);
    expect(events.at(-1)).toEqual(['error', reason]);
  });

  it('gets an upgrade', async () => {
    const request = await start(new Legacy(), { upgrade: 'x' });
    control.deliver(control.upgrade(request, 101, [['A', 'b']]));
    expect(events.at(-1)).toEqual(['upgrade', 101, ['A', 'b'], 'object']);
  });

  it('gets invalid arguments through onError', () => {
    client.dispatch({ path: 'x', method: 'GET' }, new Legacy() as never);
    expect(events[0]![0]).toBe('error');
    expect(events[0]![1]).toBeInstanceOf(errors.InvalidArgumentError);
  });

  it('without onError gets invalid arguments thrown', () => {
    const { onConnect, onHeaders, onData, onComplete } = Legacy.prototype;
    expect(() =>
      client.dispatch({ path: '/', method: 'GET' }, {
        onConnect,
        onHeaders,
        onData,
        onComplete,
      } as never),
    ).toThrow('invalid onError method');
  });

  it('settles behind interceptors that use new handlers', async () => {
    client
      .compose(interceptors.retry())
      .dispatch({ path: '/', method: 'GET' }, new Legacy() as never);
    await flushed();
    const request = control.request;
    control.deliver(
      control.head(request, 200, [['a', 'b']]),
      control.data(request, 'x'),
      control.end(request),
    );
    expect(events).toEqual([
      ['connect'],
      ['headers', 200, ['a', 'b'], 'OK'],
      ['data', 'x'],
      ['complete', []],
    ]);
  });

  it('counts as a new handler when it has both kinds of methods', async () => {
    const handler = Object.assign(new Legacy(), {
      onRequestStart: () => events.push(['new start']),
      onResponseStart: () => events.push(['new head']),
      onResponseData() {},
      onResponseEnd() {},
      onResponseError() {},
    });
    const request = await start(handler);
    control.deliver(control.head(request));
    expect(events).toEqual([['new start'], ['new head']]);
  });
});
