/**
 * How many requests the connections of one origin can take.
 *
 * What lives here: the numbers of open connections, and undici's counters derived from them.
 * `OriginDispatcher` has one and notifies it. It must not know requests or events.
 */

import type { Connection } from '../connection';
import type { PoolSettings } from '../options';

/** Counters as undici defines them. */
export interface PoolCounters {
  /** Open connections. */
  readonly connected: number;
  /** Of these, the ones that can take a request immediately. */
  readonly free: number;
  /** Requests that no open or opening connection has capacity for. */
  readonly queued: number;
  /** Requests not yet written. */
  readonly pending: number;
  /** Requests written and unanswered. */
  readonly running: number;
  readonly size: number;
  readonly busy: boolean;
}

/** See above. */
export class Capacity {
  /** Pipelining depth of HTTP/1.1 connections; 0 closes them after each request. */
  pipelining: number;
  /** Connections whose `connect` listeners are running: as in undici, they have no requests yet. */
  announcing = 0;

  readonly #settings: PoolSettings;
  #connected = 0;
  /** Of these, the HTTP/2 connections, and their total concurrency. */
  #multiplexed = 0;
  #streams = 0;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
    this.pipelining = settings.pipelining;
  }

  /** `connection` was opened. */
  opened(connection: Connection): void {
    this.#connected++;
    if (!connection.isMultiplexed) return;
    this.#multiplexed++;
    this.#streams += connection.streams;
  }

  /** `connection` has ended. */
  closed(connection: Connection): void {
    this.#connected--;
    if (!connection.isMultiplexed) return;
    this.#multiplexed--;
    this.#streams -= connection.streams;
  }

  /** `connection` takes this many streams from now on. */
  changed(connection: Connection, streams: number): void {
    this.#streams += streams - connection.streams;
    connection.streams = streams;
  }

  get connected(): number {
    return this.#connected;
  }

  /** Whether a connection speaks HTTP/2. */
  get isMultiplexed(): boolean {
    return this.#multiplexed > 0;
  }

  /** Concurrent requests of an HTTP/1.1 connection, at least one. */
  get depth(): number {
    return Math.max(1, this.pipelining);
  }

  /** Concurrent requests of an HTTP/2 connection: the option's value before there is one. */
  get concurrency(): number {
    return this.#multiplexed > 0
      ? this.#streams / this.#multiplexed
      : this.#settings.h2.maxConcurrentStreams;
  }

  /** Requests that may be in flight without queueing: a connection that is not open yet counts as one. */
  get room(): number {
    const { connections } = this.#settings;
    if (connections === null) return Infinity;
    return this.places + Math.max(0, connections - this.#connected);
  }

  /** Concurrent requests of all open connections. */
  get places(): number {
    return (this.#connected - this.#multiplexed) * this.depth + this.#streams;
  }

  /** How many of `size` requests are running, if they run as soon as there is capacity. */
  running(size: number): number {
    return Math.min(size, Math.max(0, this.places - this.announcing * this.depth));
  }

  /** For this many requests in total, and this many of them running. */
  counters(size: number, running: number, busy: boolean): PoolCounters {
    const connected = this.#connected;
    const each = this.#multiplexed > 0 ? Math.max(1, this.places / connected) : this.depth;
    return {
      connected,
      free: connected - Math.min(connected, Math.ceil(running / each)),
      queued: Math.max(0, size - this.room),
      pending: size - running,
      running,
      size,
      busy,
    };
  }
}
