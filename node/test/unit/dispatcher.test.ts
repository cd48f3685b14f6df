import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as peer from 'undici';

import { control, flushed, turned } from '../support/addon';
import { Recorder } from '../support/recorder';
import { Client } from '../../src/dispatchers/client';
import { Pool } from '../../src/dispatchers/pool';
import { WireCloseReason } from '../../src/wire/generated';

const get = (path = '/') => ({ path, method: 'GET' }) as never;
/** May share the connection with requests before its head. */
const shared = () => ({ path: '/', method: 'GET', blocking: false }) as never;

let opened: (Client | Pool)[] = [];

beforeEach(() => {
  control.reset();
  opened = [];
});

afterEach(async () => {
  const done = opened.map((dispatcher) => dispatcher.destroy());
  await flushed();
  control.deliver(...control.of('PoolDestroy').map((r) => control.poolClosed(r.slot)));
  await Promise.all(done);
});

function client(options?: object, origin = 'http://localhost:8080'): Client {
  const made = new Client(origin, options);
  opened.push(made);
  return made;
}

/** The newest native pool. */
function created(): number {
  return control.of('PoolCreate').at(-1)!.slot;
}

function pool(options?: object): Pool {
  const made = new Pool('http://localhost:8080', options);
  opened.push(made);
  return made;
}

describe('server names', () => {
  it('s14 have separate pools, up to a limit', async () => {
    const made = new Pool('https://localhost:8443');
    opened.push(made);
    const name = (n: number): string => `host-${n}.example`;
    const send = (n: number): void => {
      made.dispatch({ ...(get() as object), headers: { host: name(n) } } as never, new Recorder());
    };
    for (let n = 0; n < 64; n++) send(n);
    await flushed();
    expect(control.of('PoolCreate')).toHaveLength(64);
    expect(control.of('PoolClose')).toEqual([]);
    // The first one is used again, so the second one is the oldest.
    send(0);
    for (let n = 64; n < 100; n++) send(n);
    await flushed();
    const closed = control.of('PoolClose').map((record) => record.slot);
    const ids = control.of('PoolCreate').map((record) => record.slot);
    expect(closed).toEqual(ids.slice(1, 37));
    // What they were given is sent before they close, and they accept nothing more.
    const last = (kind: string, pool: number): number =>
      control.submitted.findLastIndex((r) => r.kind === kind && (r.pool ?? r.slot) === pool);
    for (const pool of closed) expect(last('Dispatch', pool)).toBeLessThan(last('PoolClose', pool));
    control.deliver(control.poolClosed(closed[0]!));
    send(1);
    await flushed();
    expect(control.of('PoolCreate')).toHaveLength(101);
    // One that is still finishing is destroyed with the others, one that has closed is not.
    const destroyed = made.destroy();
    await flushed();
    const ended = control.of('PoolDestroy').map((record) => record.slot);
    expect(ended).toHaveLength(100);
    expect(ended).toContain(closed[1]);
    expect(ended).not.toContain(closed[0]);
    control.deliver(...ended.map((pool) => control.poolClosed(pool)));
    await destroyed;
  });
});

describe('a client', () => {
  it('creates its native pool with the first request, with its options', async () => {
    const c = client();
    await flushed();
    expect(control.submitted).toEqual([]);
    c.dispatch(get(), new Recorder());
    c.dispatch(get(), new Recorder());
    await flushed();
    expect(control.submitted.map((r) => r.kind)).toEqual(['PoolCreate', 'Dispatch', 'Dispatch']);
  });

  it('counts a request as pending until connected, then as running', async () => {
    const c = client({ pipelining: 2 });
    for (let i = 0; i < 3; i++) c.dispatch(shared(), new Recorder());
    await flushed();
    expect(c.stats).toEqual({ connected: false, pending: 3, running: 0, size: 3 });
    // Requests are sent once there is a connection.
    expect(control.of('Dispatch')).toEqual([]);
    control.deliver(control.connected(created()));
    expect(c.stats).toEqual({ connected: true, pending: 1, running: 2, size: 3 });
    await flushed();
    const [first] = control.of('Dispatch');
    control.deliver(control.head(first!), control.end(first!));
    expect(c.stats).toEqual({ connected: true, pending: 0, running: 2, size: 2 });
  });

  it("shows the same counters under the peer's symbols", async () => {
    const symbols = await import('../../src/undici/undici').then((module) => module.symbols);
    const c = client({ pipelining: 2 }) as any;
    c.dispatch(shared(), new Recorder());
    await flushed();
    control.deliver(control.connected(created()));
    expect([
      c[symbols.kConnected],
      c[symbols.kRunning],
      c[symbols.kPending],
      c[symbols.kSize],
      c[symbols.kBusy],
      c[symbols.kUrl].href,
    ]).toEqual([true, 1, 0, 1, false, 'http://localhost:8080/']);
  });

  it('returns false from dispatch and emits drain as undici does', async () => {
    const c = client();
    const drains: unknown[] = [];
    c.on('drain', ((url: URL, targets: unknown[]) => drains.push([url.href, targets])) as never);
    const recorder = new Recorder();
    expect(c.dispatch(get(), recorder as never)).toBe(false);
    await flushed();
    control.deliver(control.connected(control.request.pool));
    await flushed();
    control.deliver(control.head(control.request), control.end(control.request));
    expect(drains).toEqual([]);
    await flushed();
    expect(drains).toEqual([['http://localhost:8080/', [c]]]);
  });

  it('accepts several concurrent requests when it pipelines', async () => {
    const c = client({ pipelining: 3 });
    c.dispatch(shared(), new Recorder());
    await flushed();
    control.deliver(control.connected(created()));
    await flushed();
    expect(c.dispatch(shared(), new Recorder() as never)).toBe(true);
    expect(c.dispatch(shared(), new Recorder() as never)).toBe(false);
  });

  it('never updates counters or emits events ahead of callbacks', async () => {
    const c = client();
    const seen: unknown[] = [];
    const recorder = new Recorder();
    recorder.during = (name) => seen.push([name, c.stats.connected, c.stats.size]);
    c.on('connect', () => seen.push(['connect', c.stats.connected]));
    c.on('disconnect', () => seen.push(['disconnect', c.stats.connected, c.stats.size]));
    c.dispatch(get(), recorder);
    await flushed();
    const request = control.request;
    control.deliver(
      control.connected(request.pool),
      control.head(request),
      control.end(request),
      control.disconnected(request.pool),
    );
    await turned();
    expect(seen).toEqual([
      ['start', false, 1],
      ['connect', true],
      ['head', true, 1],
      ['end', true, 1],
      ['disconnect', false, 0],
    ]);
  });

  it('runs continuations of its connect listeners before delivering the first response', async () => {
    const c = client();
    const seen: string[] = [];
    const recorder = new Recorder();
    recorder.during = (name) => seen.push(name);
    c.on('connect', () => {
      process.nextTick(() => seen.push(`next tick: ${String(c.stats.running)} running`));
    });
    c.dispatch(get(), recorder);
    await flushed();
    const { request } = control;
    control.deliver(control.connected(request.pool), control.head(request), control.end(request));
    await turned();
    expect(seen).toEqual(['start', 'next tick: 1 running', 'head', 'end']);
  });

  it('delivers nothing ahead of a postponed disconnect, and loses nothing behind it', async () => {
    const c = client();
    const seen: string[] = [];
    const recorder = new Recorder();
    recorder.during = (name) => {
      seen.push(name);
      if (name === 'end') void Promise.resolve().then(() => seen.push('microtask'));
    };
    c.on('connect', () => seen.push('connect'));
    c.on('disconnect', () => seen.push('disconnect'));
    c.dispatch(get(), recorder);
    await flushed();
    const { pool: id } = control.request;
    const first = control.request;
    control.deliver(
      control.connected(id),
      control.head(first),
      control.end(first),
      control.disconnected(id),
      control.connected(id),
    );
    control.deliver(control.disconnected(id));
    await turned();
    await turned();
    expect(seen).toEqual([
      'start',
      'connect',
      'head',
      'end',
      'microtask',
      'disconnect',
      'connect',
      'disconnect',
    ]);
  });

  it('no longer counts a failed request when its handler is called', async () => {
    const c = client();
    const recorder = new Recorder();
    let size = -1;
    recorder.during = (name) => {
      if (name === 'error') size = c.stats.size;
    };
    c.dispatch(get(), recorder);
    await flushed();
    control.deliver(
      control.error(control.request, [
        ['Code', 16],
        ['Message', 'x'],
      ]),
    );
    expect(size).toBe(0);
  });

  it('emits connect, disconnect and connectionError with origin, targets and details', async () => {
    const c = client();
    const events: unknown[][] = [];
    for (const name of ['connect', 'disconnect', 'connectionError'] as const) {
      (c as any).on(name, (url: URL, targets: unknown[], ...rest: unknown[]) =>
        events.push([name, url.href, targets[0] === c, targets.length, ...rest]),
      );
    }
    c.dispatch(get(), new Recorder());
    await flushed();
    const { pool: id } = control.request;
    control.deliver(
      control.connectFailed(id, [
        ['Code', 9],
        ['Message', 'x'],
        ['SystemCode', 'ECONNREFUSED'],
        ['Syscall', 'connect'],
        ['Address', '127.0.0.1'],
        ['Port', 80],
      ]),
      control.connected(id, 1, [
        ['Protocol', 'h1'],
        ['RemoteAddress', '127.0.0.1'],
        ['RemotePort', 80],
      ]),
      control.disconnected(id, 1, 5),
    );
    await turned();
    const [failed, connected, disconnected] = events as any[];
    expect(failed.slice(0, 4)).toEqual(['connectionError', 'http://localhost:8080/', true, 1]);
    expect(failed[4]).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', port: 80 });
    expect(connected[4]).toMatchObject({ protocol: 'h1', remotePort: 80, timings: { total: 1.5 } });
    expect(disconnected[4]).toBeInstanceOf(peer.errors.SocketError);
    expect(disconnected[4].socket.remotePort).toBe(80);
    expect(disconnected[5].reason).toBe('peer closed');
  });

  it('survives a listener that throws', async () => {
    const c = client();
    const recorder = new Recorder();
    const boom = new Error('listener');
    c.on('connect', () => {
      throw boom;
    });
    c.dispatch(get(), recorder);
    await flushed();
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
    control.deliver(
      control.connected(control.request.pool),
      control.head(control.request),
      control.end(control.request),
    );
    expect(await caught).toBe(boom);
    for (const listener of listeners) process.on('uncaughtException', listener);
    await turned();
    expect(recorder.names).toEqual(['start', 'head', 'end']);
    expect(c.stats.connected).toBe(true);
  });

  it('replaces its connection when a request has another server name', async () => {
    const c = client({}, 'https://localhost:8443');
    const error = new Promise<Error>((resolve) =>
      c.once('disconnect', (_url, _targets, reason) => resolve(reason)),
    );
    const recorder = new Recorder();
    c.dispatch(get(), recorder);
    c.dispatch({ path: '/', method: 'GET', servername: 'example.com' } as never, new Recorder());
    await flushed();
    const first = control.request;
    // One connection: the second request waits for the first one's end.
    expect(control.of('Dispatch').length).toBe(1);
    control.deliver(control.connected(first.pool), control.head(first), control.end(first));
    await turned();
    expect(control.of('PoolDestroy').map((r) => r.slot)).toEqual([first.pool]);
    expect(control.request.pool).not.toBe(first.pool);
    control.deliver(
      control.disconnected(first.pool, 1, WireCloseReason.PoolDestroyed),
      control.poolClosed(first.pool),
    );
    await expect(error).resolves.toMatchObject({
      code: 'UND_ERR_INFO',
      message: 'servername changed',
    });
  });
});

describe('a pool', () => {
  it('uses separate connections for requests with another server name', async () => {
    const p = new Pool('https://localhost:8443');
    opened.push(p);
    const send = (more: object) =>
      p.dispatch({ path: '/', method: 'GET', ...more }, new Recorder());
    send({});
    send({ servername: 'localhost' });
    send({ headers: { host: 'example.com:1' } });
    send({ servername: 'example.com' });
    send({ headers: { host: '127.0.0.1' } });
    await flushed();
    const [a, b, c1, d, e] = control.of('Dispatch').map((r) => r.pool);
    expect([b, e]).toEqual([a, a]);
    expect(d).toBe(c1);
    expect(c1).not.toBe(a);
    expect(control.of('PoolCreate').at(-1)!.payload.toString('latin1')).toContain('example.com');
  });
});

describe('close', () => {
  it('waits for requests, then for connections', async () => {
    const c = client();
    const recorder = new Recorder();
    c.dispatch(get(), recorder);
    await flushed();
    let closed = false;
    const done = c.close().then(() => {
      closed = true;
    });
    expect(c.closed).toBe(true);
    await turned();
    expect(control.of('PoolDestroy')).toEqual([]);
    control.deliver(
      control.connected(control.request.pool),
      control.head(control.request),
      control.end(control.request),
    );
    await turned();
    expect(recorder.names.at(-1)).toBe('end');
    expect(control.of('PoolDestroy').length).toBe(1);
    expect(closed).toBe(false);
    control.deliver(control.poolClosed(control.request.pool));
    await done;
    expect(c.destroyed).toBe(true);
  });

  it('resolves immediately for a client that never sent anything', async () => {
    const c = client();
    await c.close();
    expect(control.submitted).toEqual([]);
  });

  for (const method of ['close', 'destroy'] as const) {
    it(`with a callback passes what the peer's ${method} passes`, async () => {
      const call = (dispatcher: any) =>
        new Promise((resolve) => dispatcher[method]((...args: unknown[]) => resolve(args)));
      expect(await call(client())).toEqual(await call(new peer.Client('http://localhost:1')));
    });
  }

  it('calls back again when it was closed before, and with an error when it was destroyed', async () => {
    const outcome = async (c: any) => {
      await c.close();
      const second = await new Promise((resolve) =>
        c.close((...args: any[]) => resolve([args[0]?.code, args[1]])),
      );
      return [second, await c.destroy()];
    };
    expect(await outcome(client())).toEqual(await outcome(new peer.Client('http://localhost:1')));
  });

  it('rejects a callback that is not a function', () => {
    expect(() => client().close('x' as never)).toThrow('invalid callback');
    expect(() => client().destroy(null, 'x' as never)).toThrow('invalid callback');
  });
});

describe('destroy', () => {
  it('fails every request with the given error, in the order of dispatch', async () => {
    const c = client({ pipelining: 2 });
    const order: string[] = [];
    const boom = new Error('boom');
    const send = (name: string) => {
      const recorder = new Recorder();
      recorder.during = (event, { events }) => {
        if (event === 'error') order.push(`${name} ${String(events.at(-1)![1] === boom)}`);
      };
      c.dispatch(shared(), recorder);
    };
    ['a', 'b', 'c', 'd'].forEach(send);
    await flushed();
    control.deliver(control.connected(created()));
    const done = c.destroy(boom);
    // The two that have not been written yet fail immediately, as in undici.
    expect(order).toEqual(['c true', 'd true']);
    await flushed();
    expect(order).toEqual(['c true', 'd true', 'a true', 'b true']);
    expect(control.of('Cancel')).toEqual([]);
    control.deliver(control.poolClosed(created()));
    await done;
    expect(c.stats.size).toBe(0);
  });

  it('passes its error to the disconnect event', async () => {
    const c = client();
    const boom = new Error('boom');
    c.dispatch(get(), new Recorder());
    await flushed();
    const { pool: id } = control.request;
    control.deliver(control.connected(id));
    const disconnected = new Promise((resolve) => {
      c.on('disconnect', ((_u: unknown, _t: unknown, error: Error) => resolve(error)) as never);
    });
    const done = c.destroy(boom);
    await flushed();
    control.deliver(control.disconnected(id, 1, 13), control.poolClosed(id));
    expect(await disconnected).toBe(boom);
    await done;
  });
});

describe('a pool', () => {
  it('without a limit never returns false', async () => {
    const p = pool();
    for (let i = 0; i < 100; i++) expect(p.dispatch(get(), new Recorder() as never)).toBe(true);
  });

  it('returns false when no further request could start, and drains', async () => {
    const p = pool({ connections: 2 });
    let drains = 0;
    p.on('drain', () => drains++);
    expect(p.dispatch(get(), new Recorder() as never)).toBe(true);
    expect(p.dispatch(get(), new Recorder() as never)).toBe(false);
    expect(p.dispatch(get(), new Recorder() as never)).toBe(false);
    await flushed();
    const [first, second] = control.of('Dispatch');
    control.deliver(control.connected(first!.pool, 1), control.connected(first!.pool, 2));
    expect(p.stats).toEqual({ connected: 2, free: 0, pending: 1, queued: 1, running: 2, size: 3 });
    await flushed();
    control.deliver(control.head(first!), control.end(first!));
    await flushed();
    expect(drains).toBe(0);
    control.deliver(control.head(second!), control.end(second!));
    await flushed();
    expect(drains).toBe(1);
    expect(p.stats).toEqual({ connected: 2, free: 1, pending: 0, queued: 0, running: 1, size: 1 });
  });

  it('can be composed, closed and destroyed through the composed dispatcher', async () => {
    const p = pool();
    const seen: string[] = [];
    const composed = p.compose((dispatch) => (options, handler) => {
      seen.push(typeof (handler as any).onRequestStart);
      return dispatch(options, handler);
    });
    const legacy = { onConnect() {}, onHeaders() {}, onData() {}, onComplete() {}, onError() {} };
    composed.dispatch(get(), legacy as never);
    expect(seen).toEqual(['function']);
    expect((composed as any).closed).toBe(false);
    const done = composed.destroy();
    expect(p.destroyed).toBe(true);
    await flushed();
    control.deliver(...control.of('PoolCreate').map((r) => control.poolClosed(r.slot)));
    await done;
  });
});
