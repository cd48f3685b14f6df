/**
 * What undici's clients expose under internal symbols, as views of our state.
 *
 * What lives here: a client's queue, and the stand-ins for an HTTP/2 session and its streams, which are
 * in Rust. `Client` exposes them to readers of the symbols: instrumentation, and undici's own tests.
 * They are created on demand, and nothing in this package reads them.
 *
 * The queue is a snapshot: changing it has no effect.
 */

import type { Connection } from '../connection';
import { type Request, observe } from '../request';
import type { OriginDispatcher } from '../origin';

/** undici does not export these, so they are identified by their descriptions. */
const kRequestStream = Symbol('request stream');
const kRequestStreamId = Symbol('request stream id');
const kRequestStreamCleanup = Symbol('request stream cleanup');
const kOpenStreams = Symbol('open streams');

/** The stand-in for a request's stream: only its end. */
class StreamStandIn {
  readonly #request: Request;

  constructor(request: Request) {
    this.#request = request;
  }

  /** Whether the request has settled: then the stream was reset, or has ended. */
  get destroyed(): boolean {
    return this.#request.settled;
  }

  /** Aborts the request. */
  destroy(error?: Error): this {
    this.#request.abortWith(error);
    return this;
  }
}

/** The stand-in for an HTTP/2 session: its socket, its end, and its number of streams. */
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

  /** Ends the connection, and its requests with `error`. */
  destroy(error?: Error): void {
    if (this.#connection.isUp) this.#connection.destroy(error ?? null);
  }
}

const streams = new WeakMap<Request, StreamStandIn>();
const sessions = new WeakMap<Connection, SessionStandIn>();

/** Unsettled requests of a client, in order of dispatch: running ones come first. */
export function queueOf(pool: OriginDispatcher): object[] {
  return pool.requests.all().map((request) => {
    const observed = observe(request);
    if (!Object.hasOwn(observed, kRequestStream)) showStream(observed, pool, request);
    return observed;
  });
}

/** What undici's requests expose of their HTTP/2 stream; `null` while there is none. */
function showStream(observed: object, pool: OriginDispatcher, request: Request): void {
  const show = (symbol: symbol, get: () => unknown): void => {
    Object.defineProperty(observed, symbol, { configurable: true, get });
  };
  show(kRequestStream, () => streamOf(pool, request));
  // Known once a head has arrived on it.
  show(kRequestStreamId, () => (request.settled ? null : request.streamNumber));
  show(kRequestStreamCleanup, () => {
    const stream = streamOf(pool, request);
    return stream && (() => stream.destroy());
  });
}

/** `null` unless the request runs over HTTP/2. */
function streamOf(pool: OriginDispatcher, request: Request): StreamStandIn | null {
  if (request.settled || pool.multiplexed === null) return null;
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
  const connection = pool.multiplexed;
  if (connection === null) return null;
  let session = sessions.get(connection);
  if (session === undefined) {
    session = new SessionStandIn(connection, pool);
    sessions.set(connection, session);
  }
  return session;
}
