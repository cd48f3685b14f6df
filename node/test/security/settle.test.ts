// A request settles exactly once, whatever the server, the user and the clock do.

import type { Socket } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import { Agent, Client, Pool } from '../../src/index';
import { httpOrigin, rawOrigin, type Origin } from '../support/servers';
import { Cleanup, seeded } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const HEAD = 'HTTP/1.1 200 OK\r\n';

/** Ten responses of different shapes. */
const shapes: Record<string, string> = {
  length: `${HEAD}content-length: 10\r\n\r\n0123456789`,
  empty: `${HEAD}content-length: 0\r\n\r\n`,
  chunked: `${HEAD}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n`,
  trailers: `${HEAD}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: 1\r\ny: 2\r\n\r\n`,
  'until close': `${HEAD}connection: close\r\n\r\n0123456789`,
  'no content': 'HTTP/1.1 204 No Content\r\n\r\n',
  'not modified': 'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n',
  informational: `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${HEAD}content-length: 3\r\n\r\nabc`,
  closing: `${HEAD}connection: close\r\ncontent-length: 3\r\n\r\nabc`,
  upgrade: 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nabc',
};

const TERMINAL = new Set(['end', 'error', 'upgrade']);

/** Counts a request's callbacks, and those after its end. */
class Counter {
  readonly calls: string[] = [];
  readonly done: Promise<void>;
  controller: any = null;
  /** Called in each callback, with its name. */
  during: (name: string, counter: Counter) => void = () => {};
  #settle!: () => void;

  constructor() {
    this.done = new Promise((resolve) => (this.#settle = resolve));
  }

  get terminals(): number {
    return this.calls.filter((name) => TERMINAL.has(name)).length;
  }

  get afterTerminal(): string[] {
    return this.calls.slice(this.calls.findIndex((name) => TERMINAL.has(name)) + 1);
  }

  #told(name: string): void {
    this.calls.push(name);
    if (TERMINAL.has(name)) this.#settle();
    this.during(name, this);
  }

  onRequestStart(controller: unknown): void {
    this.controller = controller;
    this.#told('start');
  }

  onResponseStart(): void {
    this.#told('head');
  }

  onResponseData(): void {
    this.#told('data');
  }

  onResponseEnd(): void {
    this.#told('end');
  }

  onResponseError(): void {
    this.#told('error');
  }

  onRequestUpgrade(_controller: unknown, _status: number, _headers: unknown, socket: any): void {
    socket.on('error', () => {});
    socket.on('end', () => socket.destroy());
    socket.resume();
    this.#told('upgrade');
  }
}

/** Waits until all have settled, then for stragglers, and checks each. */
async function expectOnce(counters: readonly Counter[], origin: Origin): Promise<void> {
  await Promise.all(counters.map(({ done }) => done));
  // A round trip through the engine: anything still on its way is delivered before it.
  const probe = new Client(origin.url);
  const counter = new Counter();
  probe.dispatch({ path: '/probe', method: 'GET' }, counter);
  await counter.done;
  await probe.destroy();
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  for (const { calls, terminals, afterTerminal } of counters) {
    expect([calls, terminals, afterTerminal]).toEqual([calls, 1, []]);
  }
}

const PROBE = `${HEAD}content-length: 0\r\n\r\n`;

const faults: Record<string, (socket: Socket) => void> = {
  FIN: (socket) => socket.end(),
  RST: (socket) => socket.resetAndDestroy(),
  stall: () => {},
};

/** `/shape/cut/fault`: the shape up to the cut, then the fault. */
function faulty(): Promise<Origin> {
  return rawOrigin((socket) => {
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      const [, shape, cut, fault] = chunk.toString('latin1').split(' ')[1]!.split('/');
      if (shape === 'probe') {
        socket.write(PROBE);
        return;
      }
      const bytes = shapes[decodeURIComponent(shape!)]!.slice(0, Number(cut));
      if (bytes === '') faults[fault!]!(socket);
      else socket.write(bytes, () => faults[fault!]!(socket));
    });
  });
}

describe('r1 r2: a request settles exactly once', () => {
  for (const [shape, bytes] of Object.entries(shapes)) {
    for (const fault of Object.keys(faults)) {
      it(`when the server does ${fault} in a response of shape "${shape}", at any byte`, async () => {
        const origin = await faulty();
        cleanup.add(() => origin.close());
        // No timeout unless the server stalls: a loaded machine must not turn an end into a timeout.
        const timeout = fault === 'stall' ? 60 : 0;
        const pool = new Pool(origin.url, {
          connections: 20,
          headersTimeout: timeout,
          bodyTimeout: timeout,
          keepAliveTimeout: 100,
        });
        cleanup.add(() => pool.destroy());
        const counters: Counter[] = [];
        for (let cut = 0; cut <= bytes.length; cut++) {
          const counter = new Counter();
          counters.push(counter);
          pool.dispatch(
            {
              path: `/${encodeURIComponent(shape)}/${cut}/${fault}`,
              method: cut % 2 === 0 || shape === 'upgrade' ? 'GET' : 'POST',
              ...(shape === 'upgrade' ? { upgrade: 'x' } : {}),
            },
            counter,
          );
        }
        await expectOnce(counters, origin);
        expect(pool.stats.size).toBe(0);
        // Both faults and responses have occurred.
        const ends = counters.map(({ calls }) => calls.find((name) => TERMINAL.has(name)));
        expect(ends).toContain('error');
        expect(ends.at(-1)).toBe(shape === 'upgrade' ? 'upgrade' : ends.at(-1));
        if (fault === 'FIN') expect(ends.at(-1)).toBe(shape === 'upgrade' ? 'upgrade' : 'end');
      });
    }
  }

  const phases = [
    'dispatch',
    'start',
    'head',
    'data',
    'end',
    'microtask',
    'turn',
    'turns',
  ] as const;
  const acts = ['abort', 'throw', 'abort twice', 'pause and abort', 'destroy', 'close'] as const;

  /** Over all seeds: with one, a request that destroys its dispatcher early may leave only errors. */
  const outcomes = new Set<string>();

  for (let seed = 1; seed <= 12; seed++) {
    it(`when aborts, throws, destroy() and close() happen at random moments: seed ${seed}`, async () => {
      const random = seeded(seed);
      const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
      const origin = await httpOrigin((request, response) => {
        if (request.url === '/probe') {
          response.end();
          return;
        }
        request.on('error', () => {});
        request.resume();
        response.on('error', () => {});
        response.writeEarlyHints({ link: '</a>' });
        const size = Number(request.url!.slice(1));
        response.write('x'.repeat(size));
        setImmediate(() => response.end('y'));
      });
      cleanup.add(() => origin.close());
      const make = (): Client | Pool | Agent =>
        pick([
          () => new Client(origin.url, { pipelining: pick([1, 3]) }),
          () => new Pool(origin.url, { connections: pick([1, 2, null]) }),
          () => new Agent(),
        ])();
      let dispatcher = make();
      const used = [dispatcher];
      const counters: Counter[] = [];

      for (let i = 0; i < 120; i++) {
        const current = dispatcher;
        const phase = pick(phases);
        const act = pick(acts);
        const counter = new Counter();
        counters.push(counter);
        let acted = false;
        const perform = (mayThrow: boolean): void => {
          if (acted) return;
          acted = true;
          const { controller } = counter;
          const error = new Error(act);
          switch (act) {
            case 'throw':
              if (mayThrow) throw error;
              controller?.abort(error);
              return;
            case 'abort twice':
              controller?.abort(error);
              controller?.abort(error);
              return;
            case 'pause and abort':
              controller?.pause();
              controller?.abort(error);
              controller?.resume();
              return;
            case 'abort':
              controller?.abort(error);
              return;
            // Rarely, because it ends all the others too.
            case 'destroy':
              if (random() < 0.1) void current.destroy(error);
              else controller?.abort(error);
              return;
            case 'close':
              if (random() < 0.1 && !current.closed) void current.close().catch(() => {});
              else controller?.abort(error);
          }
        };
        // Errors of onResponseEnd go to onResponseError in undici and here: not a case of this test.
        counter.during = (name) => {
          if (name === phase) perform(name !== 'end');
        };
        current.dispatch(
          {
            origin: origin.url,
            path: `/${pick([0, 10, 100_000, 1_000_000])}`,
            ...pick<object>([
              { method: 'GET' },
              { method: 'POST', body: 'x'.repeat(pick([1, 300_000])) },
              { method: 'PUT', body: [Buffer.from('a'), Buffer.alloc(100_000)] },
            ]),
          } as never,
          counter,
        );
        if (phase === 'dispatch') perform(false);
        if (phase === 'microtask') queueMicrotask(() => perform(false));
        if (phase === 'turn') setImmediate(() => perform(false));
        if (phase === 'turns') {
          setImmediate(() => setImmediate(() => setImmediate(() => perform(false))));
        }
        if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
        if (current.closed || current.destroyed) {
          dispatcher = make();
          used.push(dispatcher);
        }
      }
      await expectOnce(counters, origin);
      await Promise.all(used.map((each) => each.destroy()));
      const ends = counters.flatMap(({ calls }) => calls.filter((name) => TERMINAL.has(name)));
      for (const end of ends) outcomes.add(end);
    });
  }

  it('with either outcome, over all seeds', () => {
    expect(outcomes).toEqual(new Set(['end', 'error']));
  });

  it('when the dispatcher is destroyed while responses arrive', async () => {
    const origin = await httpOrigin((request, response) => {
      response.end(request.url === '/probe' ? '' : 'x'.repeat(50_000));
    });
    cleanup.add(() => origin.close());
    for (let round = 0; round < 40; round++) {
      const pool = new Pool(origin.url, { connections: 8 });
      const counters = Array.from({ length: 20 }, () => new Counter());
      for (const counter of counters) {
        pool.dispatch({ path: '/', method: 'GET' }, counter);
      }
      let told = 0;
      const after = round;
      await new Promise<void>((resolve) => {
        for (const counter of counters) {
          counter.during = () => {
            if (++told === after) resolve();
          };
        }
        if (after === 0) resolve();
      });
      const destroyed = pool.destroy(new Error('destroyed'));
      await Promise.all(counters.map(({ done }) => done));
      await destroyed;
      await expectOnce(counters, origin);
    }
  });

  it('when it is closed and destroyed together, with requests queued, running and paused', async () => {
    const origin = await httpOrigin((request, response) => {
      if (request.url === '/probe') response.end();
      else response.write('x');
    });
    cleanup.add(() => origin.close());
    const client = new Client(origin.url);
    const counters = Array.from({ length: 10 }, () => new Counter());
    counters[0]!.during = (name, { controller }) => {
      if (name === 'head') controller.pause();
      if (name === 'head') {
        const closed = client.close();
        void client.destroy(new Error('now'));
        void closed.catch(() => {});
      }
    };
    for (const counter of counters) {
      client.dispatch({ path: '/', method: 'GET' }, counter);
    }
    await expectOnce(counters, origin);
    expect(counters.flatMap(({ calls }) => calls).filter((name) => name === 'error')).toHaveLength(
      10,
    );
  });
});
