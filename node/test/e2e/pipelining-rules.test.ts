// Which request may follow which on a connection, before the response to the first: decided in
// `request/pipeline.ts`, whose rules are undici's and which calls handlers and counts, and again in
// the engine, which writes. The engine may hold back what JavaScript lets go, never the reverse.
// ARCHITECTURE.md says why there are two.

import type { Socket } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client as PeerClient } from 'undici';

import { Client, Pool } from '../../src/index';
import { BODY_SLICE } from '../../src/wire/generated';
import { Recorder } from '../support/recorder';
import { type Origin, rawOrigin } from '../support/servers';

async function* endless() {
  yield 'x';
  await new Promise(() => {});
}

const idempotentPut = { method: 'PUT', idempotent: true, blocking: false };

interface Kind {
  readonly options: () => object;
  /** Whether it may follow another one. */
  readonly follows: boolean;
  /** Whether another one may follow it. */
  readonly isFollowed: boolean;
  /** The engine does not share a connection while it waits for the body or for `100 Continue`. */
  readonly isAloneInEngine?: boolean;
}

const KINDS: Readonly<Record<string, Kind>> = {
  'a GET': {
    options: () => ({ method: 'GET', blocking: false }),
    follows: true,
    isFollowed: true,
  },
  'a blocking GET': { options: () => ({ method: 'GET' }), follows: true, isFollowed: false },
  'a POST': {
    options: () => ({ method: 'POST', body: 'x', blocking: false }),
    follows: false,
    isFollowed: true,
  },
  'an idempotent PUT': {
    options: () => ({ ...idempotentPut, body: 'x' }),
    follows: true,
    isFollowed: true,
  },
  'one with a large body': {
    options: () => ({ ...idempotentPut, body: Buffer.alloc(BODY_SLICE + 1, 'x') }),
    follows: true,
    isFollowed: true,
    isAloneInEngine: true,
  },
  'one that expects 100 Continue': {
    options: () => ({ ...idempotentPut, body: 'x', expectContinue: true }),
    follows: true,
    isFollowed: true,
    isAloneInEngine: true,
  },
  'one with an endless body': {
    options: () => ({ ...idempotentPut, body: endless() }),
    follows: false,
    isFollowed: false,
  },
  'a HEAD': { options: () => ({ method: 'HEAD' }), follows: true, isFollowed: false },
  'a GET with a body': {
    options: () => ({ method: 'GET', body: 'x', blocking: false }),
    follows: true,
    isFollowed: false,
  },
  'an upgrade': {
    options: () => ({ method: 'GET', upgrade: 'echo', blocking: false }),
    follows: false,
    isFollowed: false,
  },
};

let origin: Origin;
/** Targets that have arrived, and who waits for one. */
const arrived = new Set<string>();
const waiting = new Map<string, () => void>();

beforeAll(async () => {
  origin = await rawOrigin((socket: Socket) => {
    let seen = '';
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1');
      for (const [head, target] of seen.matchAll(/[A-Z]+ (\S+) HTTP\/1\.1\r\n/g)) {
        seen = seen.replace(head, '');
        if (target === '/ok') socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        arrived.add(target!);
        waiting.get(target!)?.();
      }
    });
  });
});
afterAll(() => origin.close());

async function arrival(target: string): Promise<void> {
  if (!arrived.has(target)) await new Promise<void>((resolve) => waiting.set(target, resolve));
}

type Dispatcher = Client | Pool;

const ok = async (dispatcher: Dispatcher) =>
  (await dispatcher.request({ path: '/ok', method: 'GET' })).body.text();

/** Whatever was to be written is written, and has arrived: round trips on every I/O thread. */
async function settled(others: Dispatcher[]): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await Promise.all(others.map(ok));
    await new Promise(setImmediate);
  }
}

interface Outcome {
  readonly isWritten: boolean;
  readonly running: number;
  readonly started: boolean;
}

/** `second` is dispatched when `first` has arrived; its response never comes. */
async function follow(
  make: () => Dispatcher,
  first: Kind,
  second: Kind,
  id: string,
  isExpected: boolean,
  others: Dispatcher[],
): Promise<Outcome> {
  const dispatcher = make();
  await ok(dispatcher);
  const send = (kind: Kind, path: string): Recorder => {
    const recorder = new Recorder();
    dispatcher.dispatch({ path, ...kind.options() } as never, recorder);
    return recorder;
  };
  send(first, `/${id}/first`);
  await arrival(`/${id}/first`);
  const target = `/${id}/second`;
  const recorder = send(second, target);
  if (isExpected) await arrival(target);
  else await settled(others);
  const { running } = dispatcher.stats;
  const outcome = { isWritten: arrived.has(target), running, started: recorder.names.length > 0 };
  await dispatcher.destroy();
  return outcome;
}

describe.each(Object.entries(KINDS))('behind %s', (before, first) => {
  it.each(Object.entries(KINDS))('%s', async (behind, second) => {
    const goes = first.isFollowed && second.follows;
    const isWritten = goes && !first.isAloneInEngine && !second.isAloneInEngine;
    const others = Array.from({ length: 8 }, () => new Client(origin.url));
    const options = { pipelining: 10 };
    const by = (name: string, make: () => Dispatcher, expected: boolean) =>
      follow(
        make,
        first,
        second,
        `${name}/${before}/${behind}`.replaceAll(' ', '-'),
        expected,
        others,
      );

    const [peer, client, pool] = await Promise.all([
      by('undici', () => new PeerClient(origin.url, options) as unknown as Client, goes),
      by('client', () => new Client(origin.url, options), isWritten),
      // Its requests are with the engine at once: it alone decides.
      by('pool', () => new Pool(origin.url, { ...options, connections: 1 }), isWritten),
    ]);
    expect(peer).toEqual({ isWritten: goes, running: goes ? 2 : 1, started: goes });
    expect(client).toEqual({ isWritten, running: goes ? 2 : 1, started: goes });
    expect(pool.isWritten).toBe(isWritten);
    await Promise.all(others.map((other) => other.destroy()));
  });
});
