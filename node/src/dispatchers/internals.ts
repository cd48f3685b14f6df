/**
 * What undici's clients keep under internal symbols, as views of what is here.
 *
 * What lives here: the queue of a client, the stand-ins for an HTTP/2 session and its streams, which
 * live in Rust. `Client` shows them to whoever reads the symbols: instrumentation, and undici's own
 * tests. Nothing is made before somebody looks, and nothing in this package reads it.
 *
 * The queue is a picture of one moment: changing it changes nothing.
 */

import type { Connection } from '../connection';
import { type Request, observe } from '../request';
import type { OriginDispatcher } from '../origin';

/** undici keeps these for itself, so they are known by their descriptions only. */
const kRequestStream = Symbol('request stream');
const kRequestStreamId = Symbol('request stream id');
const kRequestStreamCleanup = Symbol('request stream cleanup');
const kOpenStreams = Symbol('open streams');

/** What there is of the stream that a request has: its end. */
class StreamStandIn {
  readonly #request: Request;

  constructor(request: Request) {
    this.#request = request;
  }

  /** Whether the request has settled: then the stream is given up, or has ended. */
  get destroyed(): boolean {
    return this.#request.settled;
  }

  /** Aborts the request. */
  destroy(error?: Error): this {
    this.#request.abortWith(error);
    return this;
  }
}

/** What there is of an HTTP/2 session: its socket, its end, and how many streams it has. */
class SessionStandIn {
  readonly #connection: Connection;

  constructor(connection: Connection, pool: OriginDispatcher) {
    this.#connection = connection;
    Object.defineProperty(this, kOpenStreams, {
      configurable: true,
      get: () => (connection.isUp ? pool.counters.running : 0),
    });
  }

  /** The stand-in for the connection's socket. */
  get socket(): unknown {
    return this.#connection.socket;
  }

  get destroyed(): boolean {
    return !this.#connection.isUp;
  }

  /** Ends the connection, and what runs on it with `error`. */
  destroy(error?: Error): void {
    if (this.#connection.isUp) this.#connection.destroy(error ?? null);
  }
}

const streams = new WeakMap<Request, StreamStandIn>();
const sessions = new WeakMap<Connection, SessionStandIn>();

/** Unsettled requests of a client, in the order of their dispatch: those that run come first. */
export function queueOf(pool: OriginDispatcher): object[] {
  return pool.requests.all().map((request) => {
    const observed = observe(request);
    if (!Object.hasOwn(observed, kRequestStream)) showStream(observed, pool, request);
    return observed;
  });
}

/** What undici's requests know of their HTTP/2 stream; each `null` while there is none. */
function showStream(observed: object, pool: OriginDispatcher, request: Request): void {
  const show = (symbol: symbol, get: () => unknown): void => {
    Object.defineProperty(observed, symbol, { configurable: true, get });
  };
  show(kRequestStream, () => streamOf(pool, request));
  // Known once a head came over it.
  show(kRequestStreamId, () => (request.settled ? null : request.streamNumber));
  show(kRequestStreamCleanup, () => {
    const stream = streamOf(pool, request);
    return stream && (() => stream.destroy());
  });
}

/** `null` unless the request runs over HTTP/2. */
function streamOf(pool: OriginDispatcher, request: Request): StreamStandIn | null {
  if (request.settled || connectionOf(pool) === null) return null;
  if (pool.requests.all().indexOf(request) >= pool.counters.running) return null;
  let stream = streams.get(request);
  if (stream === undefined) {
    stream = new StreamStandIn(request);
    streams.set(request, stream);
  }
  return stream;
}

/** The session of a client; `null` unless it has a connection that speaks HTTP/2. */
export function sessionOf(pool: OriginDispatcher): SessionStandIn | null {
  const connection = connectionOf(pool);
  if (connection === null) return null;
  let session = sessions.get(connection);
  if (session === undefined) {
    session = new SessionStandIn(connection, pool);
    sessions.set(connection, session);
  }
  return session;
}

function connectionOf(pool: OriginDispatcher): Connection | null {
  for (const connection of pool.connections()) {
    if (connection.isMultiplexed) return connection;
  }
  return null;
}
