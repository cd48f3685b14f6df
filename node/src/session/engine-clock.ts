/**
 * The engine's clock on the scale of `performance.now()`.
 *
 * What lives here: when, by `now()`, the epoch of the environment was, to which the engine's times refer.
 * The session has one. It must not know what is timed.
 *
 * Both clocks are monotonic, and the system's own, so that this is measured only once: the closest of
 * some pairs of readings, which is off by less than a microsecond. A worker's `performance.now()` starts
 * with the worker, and so does its environment. Only a Mac's clocks drift apart, while it sleeps:
 * new connections, which soon follow that, check.
 */

import { now } from '../process';

/** Pairs of readings: a thread may be interrupted between the two, but hardly every time. */
const PAIRS = 5;

/** What the measured epoch may be off by, in milliseconds, before another one replaces it. */
const DRIFT = 1;

/** See above. */
export class EngineClock {
  readonly #read: () => number;
  #epoch: number | null = null;

  /** `read` returns the milliseconds since the epoch. */
  constructor(read: () => number) {
    this.#read = read;
  }

  /** When the epoch was, in milliseconds by `now()`. */
  get epoch(): number {
    return (this.#epoch ??= this.#measure());
  }

  /** Measures again, in case the clocks have drifted apart. */
  check(): void {
    const measured = this.#measure();
    if (Math.abs(measured - this.epoch) > DRIFT) this.#epoch = measured;
  }

  #measure(): number {
    let epoch = 0;
    let closest = Infinity;
    for (let pair = 0; pair < PAIRS; pair++) {
      const before = now();
      const engine = this.#read();
      const distance = now() - before;
      if (distance < closest) {
        closest = distance;
        epoch = before + distance / 2 - engine;
      }
    }
    return epoch;
  }
}
