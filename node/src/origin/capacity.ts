/**
 * How many requests the connections of one origin take.
 *
 * What lives here: the connections that are up, as numbers, and the counters that undici shows,
 * which follow from them. `OriginDispatcher` has one and tells it what happens. It must not know requests
 * or events.
 */

import type { Connection } from '../connection';
import type { PoolSettings } from '../options';

/** Counters as undici defines them. */
export interface PoolCounters {
  /** Connections that are up. */
  readonly connected: number;
  /** Of these, the ones that would take a request at once. */
  readonly free: number;
  /** Requests that no connection, made or being made, has room for. */
  readonly queued: number;
  /** Requests not yet written. */
  readonly pending: number;
  /** Requests written and not answered. */
  readonly running: number;
  readonly size: number;
  readonly busy: boolean;
}

/** See above. */
export class Capacity {
  /** Requests at once on an HTTP/1.1 connection; 0 closes it after each. */
  pipelining: number;
  /** Connections whose `connect` listeners run: as in undici, nothing runs on them yet. */
  announcing = 0;

  readonly #settings: PoolSettings;
  #connected = 0;
  /** Of these, the ones that speak HTTP/2, and how many requests they take at once together. */
  #multiplexed = 0;
  #streams = 0;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
    this.pipelining = settings.pipelining;
  }

  /** `connection` is up. */
  opened(connection: Connection): void {
    this.#connected++;
    if (!connection.isMultiplexed) return;
    this.#multiplexed++;
    this.#streams += connection.streams;
  }

  /** `connection` was up. */
  closed(connection: Connection): void {
    this.#connected--;
    if (!connection.isMultiplexed) return;
    this.#multiplexed--;
    this.#streams -= connection.streams;
  }

  /** `connection` takes so many streams from now on. */
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

  /** Requests at once on an HTTP/1.1 connection, at least one. */
  get depth(): number {
    return Math.max(1, this.pipelining);
  }

  /** Requests that one HTTP/2 connection takes at once: what the option says before there is one. */
  get concurrency(): number {
    return this.#multiplexed > 0
      ? this.#streams / this.#multiplexed
      : this.#settings.h2.maxConcurrentStreams;
  }

  /** Requests that may be under way without queueing: a connection that is not up yet counts as one. */
  get room(): number {
    const { connections } = this.#settings;
    if (connections === null) return Infinity;
    return this.places + Math.max(0, connections - this.#connected);
  }

  /** Requests that the connections that are up take at once. */
  get places(): number {
    return (this.#connected - this.#multiplexed) * this.depth + this.#streams;
  }

  /** How many of `size` requests run, where they run as soon as there is a place. */
  running(size: number): number {
    return Math.min(size, Math.max(0, this.places - this.announcing * this.depth));
  }

  /** With so many requests in all, and so many of them running. */
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
